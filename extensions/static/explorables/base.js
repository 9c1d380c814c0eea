/* What all explorables share: controls, reset, state in the URL, text for who cannot see.

   An explorable is a file that calls `Explorables.define(name, {state, controls, compute, draw,
   describe})`:

     state     its settings at the start: an object of numbers, strings and arrays of numbers
     controls  what moves them: {key, label, type: "range", min, max, step} or
               {key, label, type: "choice", options: [[value, label], ...]} or
               {label, type: "button", act(state)}; `min`, `max` and `hidden` may be functions of
               the state
     mend      (state) brings settings that do not fit one another back into their ranges
     compute   (state) => numbers: the twin of a function of cnnbook, which the tests compare
     draw      (stage, state, numbers, set) fills the element `stage`; `set(changes)` moves settings
     describe  (state, numbers) => a sentence, read aloud when it has changed

   What it shows of a recorded experiment stands in NAME-data.js, which is loaded before it, as
   `Explorables.data.NAME`. Each place on the page gets `place.explorable` = {state, numbers, set(changes), reset()}. */
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";

  /* Return a new element; in the name of SVG if the tag begins with "svg:". */
  function make(tag, attributes = {}, ...children) {
    const element = tag.startsWith("svg:")
      ? document.createElementNS(SVG, tag.slice(4))
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  const copy = (state) => JSON.parse(JSON.stringify(state));
  const at = (value, state) => (typeof value === "function" ? value(state) : value);

  /* A number with a sign that is not a hyphen, and no more digits than it needs. */
  function say(value, digits = 2) {
    if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "undefined";
    const rounded = Number(value.toFixed(digits)) + 0;
    return String(rounded).replace("-", "−");
  }

  /* State as text, such as "stride=2&kernel=1,0,1", and back; what is not understood is left. */
  function write(state) {
    return Object.entries(state).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
      .join("&");
  }
  function read(text, start) {
    const state = copy(start);
    for (const part of text.split("&")) {
      let key, raw;
      try {
        [key, raw] = part.split("=").map(decodeURIComponent);
      } catch { continue; }  // a stray per cent sign
      if (!Object.hasOwn(start, key) || raw === undefined) continue;
      const given = start[key];
      if (Array.isArray(given)) {
        const numbers = raw.split(",").map(Number);
        if (numbers.length === given.length && numbers.every(Number.isFinite)) state[key] = numbers;
      } else if (typeof given === "number") {
        if (raw !== "" && Number.isFinite(Number(raw))) state[key] = Number(raw);
      } else state[key] = raw;
    }
    return state;
  }

  /* Keep each setting within what its control allows. */
  function clamp(spec, state) {
    for (const control of spec.controls) {
      const {key, type} = control;
      if (type === "range") {
        const low = at(control.min, state), high = at(control.max, state);
        const step = control.step ?? 1;
        const value = low + Math.round((state[key] - low) / step) * step;
        state[key] = Number(Math.min(Math.max(value, low), high).toFixed(10));
      } else if (type === "choice") {
        const values = control.options.map(([value]) => value);
        if (!values.includes(state[key])) state[key] = spec.state[key];
      }
    }
    spec.mend?.(state);
    return state;
  }

  function start(place, name, spec) {
    const prefix = `#explorable-${name}:`;
    const from = () => location.hash.startsWith(prefix)
      ? read(location.hash.slice(prefix.length), spec.state) : copy(spec.state);
    const stage = make("div", {class: "explorable-stage"});
    const words = make("p", {class: "explorable-words", role: "status"});
    const panel = make("div", {class: "explorable-controls"});
    const link = make("a", {class: "explorable-link"}, "Link to this setting");
    const undo = make("button", {type: "button", onclick: () => self.reset()}, "Reset");
    const self = {state: clamp(spec, from()), numbers: null, set, reset};
    const parts = spec.controls.map((control, order) => part(control, `${name}-${order}`));
    panel.append(...parts.map(([element]) => element), make("div", {class: "explorable-ends"},
      undo, link));

    /* Return the element of a control and a function that shows the state in it. */
    function part(control, id) {
      const {key, label, type} = control;
      if (type === "button") {
        const act = () => { const next = copy(self.state); control.act(next); set(next); };
        return [make("button", {type: "button", onclick: act}, label), () => {}];
      }
      if (type === "choice") {
        const options = control.options.map(([value, text]) => make("option", {value}, text));
        const choose = (event) => {
          const chosen = control.options.find(([value]) => String(value) === event.target.value)[0];
          set(control.act ? control.act(copy(self.state), chosen) : {[key]: chosen});
        };
        const list = make("select", {id, onchange: choose}, ...options);
        const both = make("div", {class: "explorable-control"}, make("label", {for: id}, label),
          list);
        return [both, () => {
          both.hidden = Boolean(control.hidden?.(self.state));
          list.value = String(self.state[key]);
        }];
      }
      const output = make("output", {for: id});
      const slide = make("input", {id, type: "range", step: control.step ?? 1,
        oninput: (event) => set({[key]: Number(event.target.value)})});
      const both = make("div", {class: "explorable-control"}, make("label", {for: id}, label),
        slide, output);
      return [both, () => {
        both.hidden = Boolean(control.hidden?.(self.state));
        slide.min = at(control.min, self.state);
        slide.max = at(control.max, self.state);
        slide.value = self.state[key];
        const text = control.format ? control.format(self.state[key]) : say(self.state[key], 3);
        output.textContent = text;
        slide.setAttribute("aria-valuetext", text);
      }];
    }

    function set(changes) {
      self.state = clamp(spec, {...self.state, ...copy(changes)});
      show();
      history.replaceState(null, "", prefix + write(self.state));
    }
    function reset() {
      self.state = clamp(spec, copy(spec.state));
      show();
      history.replaceState(null, "", `#explorable-${name}`);
    }
    function show() {
      self.numbers = spec.compute(self.state);
      for (const [, update] of parts) update();
      const focused = stage.contains(document.activeElement) && document.activeElement.dataset.key;
      spec.draw(stage, self.state, self.numbers, set);
      if (focused) stage.querySelector(`[data-key="${focused}"]`)?.focus();
      const text = spec.describe(self.state, self.numbers);
      if (words.textContent !== text) words.textContent = text;
      link.href = prefix + write(self.state);
    }

    place.querySelector(".without-script")?.remove();
    place.append(panel, stage, words);
    place.explorable = self;
    show();
    if (location.hash.startsWith(prefix)) place.scrollIntoView();
    addEventListener("hashchange", () => {
      if (!location.hash.startsWith(prefix)) return;
      self.state = clamp(spec, from());
      show();
      place.scrollIntoView();
    });
  }

  /* A table of numbers as SVG: `options.shade(value)` between −1 and 1, `options.text(value)`,
     `options.mark(row, column)` a class, `options.pick(row, column)` on a click. */
  function grid(rows, options = {}) {
    const size = options.size ?? 30, height = rows.length, width = rows[0].length;
    const picture = make("svg:svg", {class: "explorable-grid", role: "img",
      viewBox: `-1 -1 ${width * size + 2} ${height * size + 2}`,
      style: `width: ${width * size + 2}px`, "aria-label": options.label ?? ""});
    rows.forEach((row, i) => row.forEach((value, j) => {
      const shade = options.shade?.(value, i, j) ?? 0;
      const cell = make("svg:g", {class: `cell ${options.mark?.(i, j) ?? ""}`,
        transform: `translate(${j * size} ${i * size})`});
      cell.append(
        make("svg:rect", {class: "ground", width: size, height: size}),
        make("svg:rect", {class: shade < 0 ? "below" : "above", width: size, height: size,
          "fill-opacity": Math.min(Math.abs(shade), 1)}),
        make("svg:rect", {class: "edge", width: size, height: size}),
      );
      if (options.text) cell.append(make("svg:text", {x: size / 2, y: size / 2,
        class: Math.abs(shade) > 0.55 ? "on-dark" : ""}, options.text(value, i, j)));
      if (options.pick) cell.addEventListener("click", () => options.pick(i, j));
      picture.append(cell);
    }));
    // What is marked is drawn last, so that no neighbour covers its frame.
    picture.append(...picture.querySelectorAll(".window, .chosen"));
    return picture;
  }

  /* A part of the stage with its title; `style` is CSS, or "". */
  function titled(title, style, ...content) {
    return make("div", {class: "explorable-part", style: style || false},
      make("p", {class: "explorable-name"}, title), ...content);
  }

  /* Call `move(down, right)` if an event is an arrow key: by how many rows and columns. */
  function onArrow(event, move) {
    const way = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[
      event.key];
    if (!way) return;
    event.preventDefault();
    move(...way);
  }

  function define(name, spec) {
    const begin = () => document.querySelectorAll(`[data-explorable="${name}"]`)
      .forEach((place) => start(place, name, spec));
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
    else begin();
  }

  window.Explorables = {define, make, say, grid, titled, onArrow, data: {}};
})();
