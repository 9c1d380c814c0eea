"""The built pages, opened in Chromium from their folder: offline, light and dark, wide and narrow.

``make test-pages`` builds the pages and names their folder in ``BUILT_PAGES``. Without that, the
tests take what ``make book`` left in ``_build/html``, and skip when it is missing or out of date.
"""

import gzip
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html import unescape
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from test_book import ROOT, entries_of

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGES = entries_of(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
# Neighbours differ in one thing, so that a page is laid out again once only.
LOOKS = [("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)]
MAX_BYTES = 1_500_000
FIRST_PAINT = 1.0  # seconds
QUERY = "receptive"
GLOSSARY = "chapters/reference/glossary"
STILL = "* { transition: none !important }"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
# What is left of Markdown, of a role or of a formula when nothing has read it.
ARTEFACT = re.compile(r"\{[a-z]+(:[a-z]+)*\}|\$\$|```|:::|\]\(|\\[(\[]|KeyError(?! –)|Traceback")

# Elements that leave the screen, unless a part of the text holds them and scrolls by itself; and
# what is cut off where nothing scrolls; and notes that squeeze the text of a narrow page.
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const name = (e) => `${e.tagName.toLowerCase()}#${e.id}.${e.className}`;
  const frame = (e, pattern) => {
    for (e = e.parentElement; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.display !== "inline" && pattern.test(style.overflowX)) return e;
    }
  };
  const found = [];
  if (document.scrollingElement.scrollWidth > width) found.push("the page scrolls sideways");
  for (const e of document.body.querySelectorAll("*:not(mjx-container *)")) {
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    if (!e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (box.left < -1 || box.right > width + 1) {
      if (!frame(e, /auto|scroll/)?.parentElement.closest("article"))
        found.push(`${name(e)} from ${Math.round(box.left)} to ${Math.round(box.right)} px`);
    }
    if (e.matches("article :is(img, table, pre, mjx-container)")) {
      const edge = frame(e, /auto|scroll|hidden|clip/);
      const hides = edge && /hidden|clip/.test(getComputedStyle(edge).overflowX);
      if (hides && box.right > edge.getBoundingClientRect().right + 1)
        found.push(`${name(e)} is cut off by ${name(edge)}`);
    }
    if (width < 600 && e.matches("article aside.margin") && box.width < 0.8 * width)
      found.push(`${name(e)} stands beside the text, ${Math.round(box.width)} px wide`);
  }
  return found;
}"""

# A formula must be typeset, without an error, and show no backslash: that is a command unread.
MATHEMATICS = """() => [...document.querySelectorAll(".math")].filter((e) =>
    !e.querySelector("mjx-container mjx-math") ||
    e.querySelector("mjx-merror, merror, [data-mjx-error]") ||
    e.querySelector("mjx-assistive-mml")?.textContent.includes("\\\\")
  ).map((e) => e.textContent.trim().slice(0, 80))"""

# The images that show in this theme. They would be fetched when they come into view.
FIGURES = """async () => {
  const images = [...document.querySelectorAll("article img")].filter((e) => e.checkVisibility());
  for (const e of images) e.loading = "eager";
  await Promise.allSettled(images.map((e) => e.decode()));
  return images.map((e) => ({
    loaded: e.complete && e.naturalWidth > 0,
    alt: e.alt,
    caption: e.closest("figure")?.querySelector("figcaption .caption-text")?.textContent ?? "",
    path: decodeURIComponent(new URL(e.src).pathname),
  }));
}"""

# What axe looks at longest and learns least from: glyphs without text, which follow the text beside
# them, and the second and later token of a kind, which looks like the first.
THIN = """() => {
  const formulas = "mjx-container:not(summary *, th *, a *)";
  document.querySelectorAll(`${formulas} :is(mjx-math, mjx-assistive-mml)`)
    .forEach((e) => e.replaceChildren());
  const seen = new Set();
  for (const e of document.querySelectorAll("article .highlight pre span[class]")) {
    const kind = `${e.className} ${Boolean(e.closest("a"))} ${Boolean(e.closest(".cell_output"))}`;
    if (seen.has(kind) && !e.querySelector("a")) e.replaceWith(...e.childNodes);
    seen.add(kind);
  }
}"""

TEXT = """() => {
  const article = document.querySelector("article").cloneNode(true);
  article.querySelectorAll("pre, code, script, mjx-container").forEach((e) => e.remove());
  return article.textContent + [...article.querySelectorAll("img")].map((e) => e.alt).join(" ");
}"""

# Whether each solution shows before a click on its title, and after. They stay open.
SOLUTIONS = """() => [...document.querySelectorAll("article .dropdown.admonition")].map((e) => {
  const title = e.querySelector(".admonition-title");
  const shows = () => title.nextElementSibling.checkVisibility({visibilityProperty: true});
  const before = shows();
  title.click();
  return [before, shows()];
})"""

# The theme follows the system's at the next frame.
THEME = """() => new Promise((say) => requestAnimationFrame(() => requestAnimationFrame(
  () => say(document.documentElement.dataset.theme))))"""

# Also what no request shows, such as a hint to look a server up.
SOURCES = """() => [...document.querySelectorAll("[src], link[href], object[data]")]
  .map((e) => e.src || e.href || e.data)"""


def chromium() -> str | None:
    """The browser to test with, if there is one."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def pages_folder() -> Path:
    return ROOT / os.environ.get("BUILT_PAGES", "_build/html")


def is_built(name: str) -> bool:
    return (pages_folder() / f"{name}.html").is_file()


def is_current(name: str) -> bool:
    """Whether a page is built, and has been since its source was last changed."""
    sources = (ROOT / f"{name}{suffix}" for suffix in (".md", ".ipynb"))
    changed = [path.stat().st_mtime for path in sources if path.is_file()]
    return is_built(name) and (pages_folder() / f"{name}.html").stat().st_mtime >= max(changed)


# Marks, and no skip of the whole module: a run that collects nothing is a failure to make.
pytestmark = [
    pytest.mark.skipif(
        chromium() is None,
        reason=f"no browser: CHROMIUM names none, and none of {', '.join(BROWSERS)} is installed",
    ),
    pytest.mark.skipif(
        "BUILT_PAGES" not in os.environ and not all(map(is_current, PAGES)),
        reason="_build/html is missing or out of date: make book",
    ),
]


@dataclass
class Visit:
    """What one page did and showed."""

    name: str
    asked: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    themes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    overflow: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    mathematics: list[str] = field(default_factory=list)
    folded: list[list[bool]] = field(default_factory=list)
    text: str = ""

    def listen(self, page: Any) -> None:
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("requestfailed", self.note_failure)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )

    def note_failure(self, request: Any) -> None:
        """Note a request that failed. One that the visitor broke off by leaving is no failure."""
        if request.failure != "net::ERR_ABORTED":
            self.errors.append(f"failed: {request.url} ({request.failure})")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        running = playwright.chromium.launch(executable_path=chromium(), args=options)
        yield running
        running.close()


def wear(page: Any, theme: str, width: int) -> None:
    """Give a page a theme and a width, and time to follow."""
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(THEME)


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong with a page, by its whole set of rules."""
    found = (
        Axe()
        .run(page, options={"resultTypes": ["violations"], "preload": False})
        .response["violations"]
    )
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:160]}"
        for one in found
        for node in one["nodes"]
    ]


def look_at(name: str, browser: Any) -> Visit:
    """Open one page as a first-time reader without a network, and look at it from all sides."""
    seen = Visit(name)
    with browser.new_context(offline=True, color_scheme="light") as context:
        page = context.new_page()
        seen.listen(page)
        page.goto((pages_folder() / f"{name}.html").as_uri())
        page.evaluate("() => window.MathJax?.startup?.promise")
        page.add_style_tag(content=STILL)
        seen.sources = page.evaluate(SOURCES)
        seen.mathematics = page.evaluate(MATHEMATICS)
        seen.text = page.evaluate(TEXT)
        seen.folded = page.evaluate(SOLUTIONS)
        for theme, width in LOOKS:
            wear(page, theme, width)
            seen.themes.append(page.evaluate(THEME))
            seen.overflow += [f"{theme}, {width} px: {one}" for one in page.evaluate(OVERFLOW)]
            seen.figures += page.evaluate(FIGURES) if width == 1280 else []
        page.evaluate(THIN)
        for theme, width in LOOKS:
            wear(page, theme, width)
            seen.violations += [f"{theme}, {width} px: {one}" for one in violations(page)]
    return seen


# What a page must obey: each rule takes a visit and returns the problems it finds -----------------


def nothing_leaves_the_screen(visit: Visit) -> list[str]:
    return visit.overflow


def both_themes_are_worn(visit: Visit) -> list[str]:
    wanted = [theme for theme, _ in LOOKS]
    return [f"themes {visit.themes}"] * (visit.themes != wanted)


def axe_finds_nothing(visit: Visit) -> list[str]:
    return visit.violations


def figures_are_whole(visit: Visit) -> list[str]:
    def problems(figure: dict[str, Any]) -> Iterator[str]:
        alt, caption = (" ".join(figure[key].split()) for key in ("alt", "caption"))
        if not figure["loaded"]:
            yield "does not load"
        if not caption:
            yield "has no caption"
        if len(alt) < 40 or re.search(r"^\S+$|\.(png|svg|jpe?g)\b", alt):
            yield f"has no real alternative text: {alt!r}"
        if alt == caption:
            yield "has its caption for an alternative text"

    return [f"{one['path']} {problem}" for one in visit.figures for problem in problems(one)]


def mathematics_is_typeset(visit: Visit) -> list[str]:
    return visit.mathematics


def nothing_is_asked_of_another_machine(visit: Visit) -> list[str]:
    home = (pages_folder().as_uri() + "/", "data:")
    return [url for url in visit.asked + visit.sources if not url.startswith(home)]


def the_console_holds_no_error(visit: Visit) -> list[str]:
    return visit.errors


def no_markup_is_left_in_the_text(visit: Visit) -> list[str]:
    return [match[0] for match in ARTEFACT.finditer(visit.text)]


def solutions_open_on_a_click(visit: Visit) -> list[str]:
    return [
        f"solution {place}: shown before the click {before}, after it {after}"
        for place, (before, after) in enumerate(visit.folded, 1)
        if before or not after
    ]


RULES = [
    nothing_leaves_the_screen,
    both_themes_are_worn,
    axe_finds_nothing,
    figures_are_whole,
    mathematics_is_typeset,
    nothing_is_asked_of_another_machine,
    the_console_holds_no_error,
    no_markup_is_left_in_the_text,
    solutions_open_on_a_click,
]


@pytest.mark.parametrize("name", PAGES)
def test_page_obeys(browser: Any, name: str) -> None:
    if not is_built(name):
        pytest.fail(f"{name} is not built", pytrace=False)
    visit = look_at(name, browser)
    problems = [f"[{rule.__name__}] {problem}" for rule in RULES for problem in rule(visit)]
    if problems:
        pytest.fail("\n".join([f"{name}:", *dict.fromkeys(problems)]), pytrace=False)


@pytest.mark.parametrize("name", ["search", "genindex", "py-modindex"])
def test_axe_finds_nothing_in_what_sphinx_writes_itself(browser: Any, name: str) -> None:
    found = []
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.goto((pages_folder() / f"{name}.html").as_uri())
        page.add_style_tag(content=STILL)
        for theme, width in LOOKS:
            wear(page, theme, width)
            found += violations(page)
    assert found == []


# Over a network ----------------------------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    """A server that compresses text, as public ones do, and keeps no log."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if self.path == "/favicon.ico":  # the browser's question, not the book's
            self.send_response(204)
            self.end_headers()
        elif path.suffix in (".html", ".css", ".js") and path.is_file():
            body = gzip.compress(path.read_bytes(), 6)
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(path))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the pages on a local server."""
    handler = partial(Quiet, directory=pages_folder())
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        Thread(target=running.serve_forever).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def load(browser: Any, address: str) -> tuple[int, float]:
    """Load a page with all its images into an empty cache: bytes, seconds to the first paint."""
    sizes = []
    with browser.new_context() as context:
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"])
        )
        page.goto(address)
        page.evaluate("() => window.MathJax?.startup?.promise")
        page.evaluate(FIGURES)
        page.wait_for_load_state("networkidle")
        paint = page.evaluate(PAINT)
    return sum(sizes), paint / 1000


@pytest.mark.parametrize("name", PAGES)
def test_page_is_light_and_quick(browser: Any, server: str, name: str) -> None:
    size, paint = load(browser, f"{server}/{name}.html")
    assert 10_000 < size <= MAX_BYTES, f"{size} bytes with its images"
    if paint >= FIRST_PAINT:  # the machine may have been busy
        paints = [paint] + [load(browser, f"{server}/{name}.html")[1] for _ in range(4)]
        paint = median(paints)
    assert 0 < paint < FIRST_PAINT


# Search ------------------------------------------------------------------------------------------


def search(page: Any, home: str, query: str) -> set[str]:
    """Type a query into the search page; return the names of the pages it finds."""
    page.goto(f"{home}/search.html")
    entry = page.locator("main form.bd-search input")
    entry.fill(query)
    entry.press("Enter")
    page.locator("#search-results h2", has_text="Search Results").wait_for(state="attached")
    links = page.evaluate("() => [...document.querySelectorAll('ul.search a')].map((a) => a.href)")
    return {urlsplit(link).path.removeprefix(urlsplit(home).path)[1:-5] for link in links}


def pages_with(word: str) -> set[str]:
    """The names of the pages that hold a word in a paragraph."""

    def paragraphs(name: str) -> str:
        html = (pages_folder() / f"{name}.html").read_text(encoding="utf-8")
        return " ".join(re.findall(r"<p>.*?</p>", html, re.DOTALL)).lower()

    return {name for name in PAGES if re.search(rf"\b{word}\b", paragraphs(name))}


# From a folder, search lists the pages. Their summaries it fetches, and browsers let a page fetch
# no file; so the console is judged over a server, where the same search has to be free of errors.
@pytest.mark.parametrize("served", [False, True], ids=["folder", "server"])
def test_search_finds_what_the_pages_say(browser: Any, server: str, served: bool) -> None:
    home = server if served else pages_folder().as_uri()
    seen = Visit("search")
    with browser.new_context() as context:
        context.set_default_timeout(10_000)
        page = context.new_page()
        seen.listen(page)
        wanted, found = pages_with(QUERY), search(page, home, QUERY)
        assert wanted and wanted <= found
        page.locator("ul.search a").first.click()
        page.locator("article h1").wait_for()
        assert QUERY in page.locator("article").inner_text().lower()
        page.wait_for_load_state("networkidle")  # to leave earlier would break off what still loads
        assert search(page, home, "flibbertigibbet") == set()
    assert [url for url in seen.asked if not url.startswith((home, "data:"))] == []
    assert not served or seen.errors == []


def terms_of_the_glossary() -> dict[str, str]:
    """Each term of the glossary, and the page that its definition names last."""
    place = pages_folder() / f"{GLOSSARY}.html"
    html = place.read_text(encoding="utf-8") if place.is_file() else ""
    found = {}
    for term, definition in re.findall(
        r'<dt id="term-[^"]*">(.*?)</dt>\s*<dd>(.*?)</dd>', html, re.DOTALL
    ):
        name = unescape(re.sub(r'<a class="headerlink".*', "", term, flags=re.DOTALL)).strip()
        links = re.findall(r'class="reference internal" href="([^"#]+)\.html', definition)
        if links and "<" not in name:  # a formula is not what one types
            found[name] = os.path.normpath(Path(GLOSSARY).parent / links[-1])
    return found


def test_search_finds_the_section_of_a_term_first(browser: Any, server: str) -> None:
    terms, first = terms_of_the_glossary(), {}
    assert len(terms) >= 80
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{server}/search.html")
        for term in list(terms)[::4]:
            search(page, server, term)
            link = page.evaluate("() => document.querySelector('ul.search a').href")
            first[term] = urlsplit(link).path[1:-5]
    assert first == {term: terms[term] for term in first} and len(first) >= 20


# Links -------------------------------------------------------------------------------------------


class Anchors(HTMLParser):
    """The anchors of a page, and where it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for key, value in attributes:
            if key == "id" or (tag == "a" and key == "name"):
                self.ids.add(value or "")
            elif key in ("href", "src") and value:
                self.links.append(value)


def broken_links(folder: Path) -> list[str]:
    """The links within a folder of pages that lead to no file, or to no anchor in it."""
    pages = {
        path: Anchors(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts
    }
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            )
            anchor = unquote(parts.fragment)
            lost = anchor and target in pages and anchor not in pages[target].ids
            if not target.exists() or lost:
                broken.append(f"{path.relative_to(folder)}: {link}")
    return broken


def test_no_link_is_broken() -> None:
    assert broken_links(pages_folder()) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text('<a href="two.html#here"></a><a href="#no"></a>')
    (tmp_path / "two.html").write_text('<a href="three.html"></a><a href="one.html"></a>')
    assert broken_links(tmp_path) == [
        "one.html: two.html#here",
        "one.html: #no",
        "two.html: three.html",
    ]


# The page that has all ---------------------------------------------------------------------------


def test_the_print_form_has_every_page_and_its_figures(browser: Any) -> None:
    with browser.new_context(offline=True) as context:
        page, seen = context.new_page(), Visit("print")
        seen.listen(page)
        page.goto((pages_folder() / "print.html").as_uri(), timeout=120_000)
        titles = page.evaluate(
            "() => [...document.querySelectorAll('h1')].map((e) => e.textContent)"
        )
        figures = page.evaluate(FIGURES)
        page.evaluate("() => MathJax.startup.promise")
        unset = page.evaluate(MATHEMATICS)
        formulas = page.evaluate("() => document.querySelectorAll('.math').length")
    assert len(titles) == len([name for name in PAGES if "/api/" not in name])
    assert len(figures) > 100 and figures_are_whole(Visit("print", figures=figures)) == []
    assert formulas > 1000 and unset == []
    assert seen.errors == []


# What the next build reads -----------------------------------------------------------------------


def test_a_page_as_sphinx_keeps_it_is_small() -> None:
    kept = [*(pages_folder().parent / ".doctrees").rglob("*.doctree")]
    assert len(kept) >= len(PAGES)
    assert max(path.stat().st_size for path in kept) < 10**6
