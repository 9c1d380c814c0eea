/* Poolings of a signal on a ring that moves: the twin of cnnbook.ops.max_pool2d, avg_pool2d and
   conv2d on images of one row, padded circularly. */
(() => {
  "use strict";
  const {define, make, say, titled} = Explorables;
  const RING = 12;  // divided by every stride from 2 to 4
  const CELL = 22, SIDE = 42;  // width of a pixel, and of the words beside the rows
  const fill = (rule) => Array.from({length: RING}, (_, i) => rule(i));
  const SIGNALS = {
    beat: ["0, 0, 1, 1, …", fill((i) => Number(i % 4 > 1))],
    fast: ["0, 1, …: fastest", fill((i) => i % 2)],
    three: ["0, 0, 1, …", fill((i) => Number(i % 3 === 2))],
    spike: ["a spike", fill((i) => Number(i === 4))],
    edge: ["two edges", fill((i) => Number(i > 5))],
    slow: ["a slow wave", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 0.9, 0.7, 0.5, 0.3, 0.1]],
    noise: ["noise", [0.7, 0.1, 0.4, 0.9, 0, 0.6, 0.3, 1, 0.8, 0.2, 0.5, 0.1]],
  };
  const BLURS = {
    none: ["none", [1]],
    two: ["(1, 1)/2", [1, 1]],
    three: ["(1, 2, 1)/4", [1, 2, 1]],
    five: ["(1, 4, 6, 4, 1)/16", [1, 4, 6, 4, 1]],
  };
  const choices = (table) => Object.entries(table).map(([key, [label]]) => [key, label]);
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  /* A signal moved on a ring of its own length by `by` places to the right. */
  const roll = (x, by) => x.map((_, i) => x[(((i - by) % x.length) + x.length) % x.length]);
  const ahead = (x, count, rule) => x.map((_, i) =>
    rule(Array.from({length: count}, (_, k) => x[(i + k) % x.length])));
  const dense_max = (x, {size}) => ahead(x, size, (window) => Math.max(...window));

  /* Each without its stride, so that the stride is the same last step for all. */
  const POOLINGS = [
    ["Max pooling", dense_max],
    ["Average pooling", (x, {size}) => ahead(x, size, (window) => sum(window) / size)],
    ["Stride alone", (x) => x],
    ["Max, blur, subsample", (x, state) => {
      const taps = BLURS[state.blur][1], total = sum(taps);
      const blurred = ahead(dense_max(x, state), taps.length,
        (window) => sum(window.map((value, k) => value * taps[k])) / total);
      return roll(blurred, Math.floor((taps.length - 1) / 2));  // the blur stands centred
    }],
  ];
  const distance = (a, b) => Math.sqrt(sum(a.map((value, i) => (value - b[i]) ** 2)) / a.length);

  function compute(state) {
    const {signal, stride, shift} = state;
    const outputs = POOLINGS.map(([, pool]) => Array.from({length: RING + 1}, (_, by) =>
      pool(roll(signal, by), state).filter((_, i) => i % stride === 0)));
    const all = (rule) => outputs.map((own) => own.map((output) => rule(output, own[0])));
    return {
      rest: outputs.map((own) => own[0]),
      moved: outputs.map((own) => own[shift]),
      same: all(distance),
      nearest: all((output, rest) =>
        Math.min(...rest.map((_, by) => distance(output, roll(rest, by))))),
      spread: outputs.map(([rest]) => distance(rest, rest.map(() => sum(rest) / rest.length))),
    };
  }

  const words = (x, y, text, style = "") => make("svg:text", {x, y, style}, text);

  /* Rows of values, each a cell as wide as the pixels that it stands for. */
  function rows(values, names, label, options = {}) {
    const {height = 24, chosen, stride = RING} = options;
    const width = RING * CELL, wide = width / values[0].length;
    const picture = make("svg:svg", {class: "explorable-grid", role: "img", "aria-label": label,
      viewBox: `-2 -2 ${width + SIDE + 4} ${values.length * (height + 4) + 2}`,
      style: `width: ${width + SIDE + 4}px`});
    values.forEach((row, i) => {
      const top = i * (height + 4);
      picture.append(make("svg:rect", {class: "ground", width, y: top, height}));
      row.forEach((value, j) => {
        const box = {x: j * wide, width: wide};
        if (value > 0) {
          picture.append(make("svg:rect", {class: "above", ...box, y: top + height * (1 - value),
            height: height * value, "fill-opacity": 0.4}));
        }
        picture.append(make("svg:rect", {class: "edge", ...box, y: top, height}),
          words((j + 0.5) * wide, top + height / 2, say(value, wide > CELL ? 2 : 1)));
      });
      picture.append(words(width + 5, top + height / 2, names[i], "text-anchor: start"));
      for (let x = 0; x <= width; x += stride * CELL) {
        picture.append(make("svg:line", {x1: x, x2: x, y1: top, y2: top + height,
          stroke: "currentColor", "stroke-width": 2.5}));
      }
    });
    if (chosen !== undefined) {
      picture.append(make("svg:g", {class: "chosen"},
        make("svg:rect", {class: "edge", x: chosen * wide, width: wide, height})));
    }
    return picture;
  }

  /* Bars of the change over all shifts: outlined from rest, filled from the nearest move. */
  function bars(same, nearest, {shift, stride}, set, label) {
    const step = 21, height = 40, left = 16;
    const picture = make("svg:svg", {class: "explorable-grid", role: "img", "aria-label": label,
      viewBox: `0 -8 ${left + 13 * step + 2} ${height + 26}`,
      style: `width: ${left + 13 * step + 2}px`});
    const bar = (by, value, inset, style) => make("svg:rect", {x: left + by * step + inset,
      width: step - 2 * inset, y: height * (1 - value), height: height * value, ...style});
    const line = (y, dash) => make("svg:line", {x1: left, x2: left + 13 * step, y1: y, y2: y,
      stroke: "currentColor", "stroke-opacity": dash ? 0.4 : 1, "stroke-dasharray": dash});
    picture.append(line(0, "2 4"), line(height, ""), words(7, 0, "1"), words(7, height, "0"));
    same.forEach((value, by) => {
      const here = by === shift;
      const text = here ? "font-weight: 700; text-decoration: underline" : "";
      if (nearest[by] > 0) picture.append(bar(by, nearest[by], 6, {fill: "#d55e00"}));
      if (value > 0) picture.append(bar(by, value, 3.5, {fill: "none", stroke: "currentColor"}));
      if (here || by % stride === 0) {
        picture.append(words(left + (by + 0.5) * step, height + 10, by, text));
      }
      picture.append(bar(by, 1, 0, {fill: "currentColor", "fill-opacity": here ? 0.12 : 0,
        style: "cursor: pointer", onclick: () => set({shift: by})}));
    });
    return picture;
  }

  function draw(stage, state, {rest, moved, same, nearest, spread}, set) {
    const {signal, shift, stride, cell} = state, names = ["at rest", `by ${shift}`];
    const change = (to, value) => {
      const next = [...signal];
      next[to] = Math.min(Math.max(Math.round(10 * value) / 10, 0), 1);
      if (to !== cell || next[to] !== signal[to]) set({signal: next, cell: to});
    };
    const press = (event) => {
      const way = {ArrowLeft: -1, ArrowRight: 1}[event.key], old = signal[cell];
      const value = {ArrowUp: old + 0.1, ArrowDown: old - 0.1, " ": old > 0.5 ? 0 : 1}[event.key];
      if (way === undefined && value === undefined) return;
      event.preventDefault();
      if (way) set({cell: cell + way});
      else change(cell, value);
    };
    const height = 44;
    const picture = rows([signal, roll(signal, shift)], names,
      "Signal at rest, and moved", {height, stride, chosen: cell});
    const paint = (event) => {
      // The picture is drawn anew after each change, so a drag goes on in the next one.
      if (event.type === "pointermove" && !(event.buttons & 1)) return;
      const point = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(picture.getScreenCTM().inverse());
      const to = Math.floor(point.x / CELL);
      if (to >= 0 && to < RING && point.y <= height + 2) change(to, 1 - point.y / height);
    };
    picture.style.userSelect = "none";
    picture.addEventListener("pointerdown", paint);
    picture.addEventListener("pointermove", paint);
    const editor = make("div", {class: "explorable-focus", tabindex: 0, "data-key": "signal",
      role: "application", onkeydown: press, "aria-label": `Signal; left and right choose a pixel, `
        + `up, down and space change it. Pixel ${cell + 1} is ${say(signal[cell])}`}, picture);
    const figure = (title, ...content) => titled(title, "flex: 1 1 308px; min-width: 0", ...content);
    const full = () => make("span", {class: "explorable-key",
      style: "background: #d55e00"});
    const pair = (...figures) => make("div", {class: "explorable-row"}, ...figures);
    stage.replaceChildren(
      pair(
        figure("Signal on a ring (click, or arrow keys)", editor),
        figure("Distance of each output, at every shift,",
          make("p", {class: "explorable-name"}, "□ from that at rest,"),
          make("p", {class: "explorable-name"}, full(), "from the nearest move of that.")),
      ),
      ...POOLINGS.map(([name], k) => pair(
        figure(`${name}: spread ${say(spread[k])}`,
          rows([rest[k], moved[k]], names, `${name}, at rest and moved`)),
        figure(make("span", {}, `□ ${say(same[k][shift])} from rest · `, full(),
          `${say(nearest[k][shift])} from a move`),
        bars(same[k], nearest[k], state, set, `${name}: distance against the shift`)),
      )),
    );
  }

  function describe({shift, stride, blur}, {same, nearest}) {
    const places = shift / stride, lost = nearest.map((own) => own[shift]);
    if (shift % stride === 0) {
      return `A shift by ${shift} is a multiple of the stride ${stride}: every output is the one `
        + `at rest, moved by ${places} ${places === 1 ? "place" : "places"}, exactly.`;
    }
    const verdict = lost[0] > 1e-9 ? "neither the same nor shifted"
      : same[0][shift] > 1e-9 ? "the same numbers, shifted" : "the same, for this signal";
    return `Moved by ${shift} with stride ${stride}, the output of max pooling is ${verdict}: ${
      say(lost[0])} from the nearest move of its output at rest. Average pooling: ${
      say(lost[1])}; stride alone: ${say(lost[2])}; max with blur ${blur === "none" ? "left out"
      : BLURS[blur][0]}: ${say(lost[3])}.`;
  }

  define("shift", {
    state: {signal: SIGNALS.beat[1], shift: 1, size: 2, stride: 2, blur: "three", cell: 0,
      preset: "beat"},
    controls: [
      {key: "shift", label: "Shift", type: "range", min: 0, max: RING},
      {key: "preset", label: "Signal", type: "choice",
        options: [...choices(SIGNALS), ["own", "your own"]],
        act: (state, name) => ({signal: SIGNALS[name]?.[1] ?? state.signal})},
      {key: "size", label: "Pooling window", type: "range", min: 2, max: 4},
      {key: "stride", label: "Stride", type: "range", min: 2, max: 4},
      {key: "blur", label: "Blur", type: "choice", options: choices(BLURS)},
    ],
    mend(state) {
      state.signal = state.signal.map((value) => Math.min(Math.max(value, 0), 1));
      state.cell = Math.min(Math.max(Math.round(state.cell), 0), RING - 1);
      state.preset = Object.keys(SIGNALS).find((name) =>
        SIGNALS[name][1].every((value, i) => value === state.signal[i])) ?? "own";
    },
    compute,
    draw,
    describe,
  });
})();
