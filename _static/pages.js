/* What the theme leaves out: names for what can be pressed, and keys for what is too wide. */
addEventListener("DOMContentLoaded", () => {
  "use strict";
  const all = (selector) => document.querySelectorAll(selector);

  document.querySelector(".bd-sidebar-primary")?.setAttribute("role", "navigation");
  document.querySelector(".bd-sidebar-primary")?.setAttribute("aria-label", "Book");
  for (const toggle of all(".bd-sidenav summary")) {
    const chapter = toggle.closest("li").querySelector("a").textContent.trim();
    toggle.setAttribute("aria-label", `Sections of ${chapter}`);
  }
  // A corner of a table heads nothing.
  for (const head of all("article th")) {
    if (!head.textContent.trim()) head.replaceWith(document.createElement("td"));
  }
  // Sphinx writes the parameters of a signature as a list of definitions without terms.
  for (const list of all("dt.sig dl")) {
    const lines = [...list.children].map((line) => {
      const span = document.createElement("span");
      span.className = "sig-line";
      span.append(...line.childNodes);
      return span;
    });
    list.replaceWith(...lines);
  }
  // These roles are out of date, and say nothing that the text does not.
  for (const entry of all(".citation-list, .citation")) entry.removeAttribute("role");

  // What scrolls sideways can be reached by key, and fades where it goes on.
  const wide = "pre, .math, mjx-container, .pst-scrollable-table-container, table, .cell_output, "
    + ".output";
  const atEnd = (e) =>
    e.classList.toggle("at-end", e.scrollLeft + e.clientWidth > e.scrollWidth - 2);
  const look = () => {
    for (const e of document.querySelector("article")?.querySelectorAll(wide) ?? []) {
      const scrolls = e.scrollWidth > e.clientWidth + 1
        && /auto|scroll/.test(getComputedStyle(e).overflowX);
      if (scrolls === e.classList.contains("is-wide")) continue;
      e.classList.toggle("is-wide", scrolls);
      if (scrolls) e.tabIndex = 0; else e.removeAttribute("tabindex");
      if (scrolls) e.addEventListener("scroll", () => atEnd(e), {passive: true});
    }
  };
  const article = document.querySelector("article");
  if (article) new ResizeObserver(look).observe(article);
  // Where a formula is all that names something, its text is said in words of its own.
  const name = () => {
    for (const e of all("article :is(summary, th):has(math)")) {
      const clone = e.cloneNode(true);
      clone.querySelectorAll("mjx-container").forEach((formula) => formula.remove());
      if (clone.textContent.trim()) continue;
      const said = document.createElement("span");
      said.className = "visually-hidden";
      said.textContent = [...e.querySelectorAll("math")].map((math) => math.textContent).join(", ");
      e.querySelectorAll("mjx-container")
        .forEach((formula) => formula.setAttribute("aria-hidden", "true"));
      e.append(said);
    }
  };
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    name();
    look();
  });
});
