/* Geometry of a stack, the twin of cnnbook.geometry: sizes, parameters, receptive fields. */
(() => {
  "use strict";
  const {define, make, titled, onArrow} = Explorables;
  const MOST = 6, SIDE = 300;
  const conv = (channels, rest = {}) =>
    ({kind: "conv", kernel: 3, stride: 1, padding: 0, dilation: 1, channels, ...rest});
  const pool = {...conv(64), kind: "pool", kernel: 2, stride: 2};
  const STACKS = {
    b: ["article B", [conv(32), pool, conv(64), pool, conv(64)]],
    dilated: ["five dilated", Array(5).fill(conv(16, {dilation: 2, padding: 2}))],
    strided: ["four strided", [16, 32, 64, 128].map((channels) =>
      conv(channels, {stride: 2, padding: 1}))],
  };
  const numbered = (make_one) => Array.from({length: MOST}, (_, i) => make_one(i + 1)).flat();
  const count = (value) => value.toLocaleString("en-GB").replace("-", "−");

  /* The layers in the settings, each setting of which has a key of its own, such as "kernel3". */
  const keys = Object.keys(pool);
  const layers = (state) => numbered((n) =>
    n > state.count ? [] : Object.fromEntries(keys.map((key) => [key, state[key + n]])));
  function settings(name) {
    const [, stack] = STACKS[name], state = {stack: name, image: 28, count: stack.length};
    numbered((n) => keys.forEach((key) => { state[key + n] = (stack[n - 1] ?? conv(64))[key]; }));
    const last = walk(state).at(-1).size;
    return {...state, layer: stack.length, row: last >> 1, column: last >> 1};
  }
  const named = (state) => Object.keys(STACKS).find((name) => state.image === 28
    && JSON.stringify(STACKS[name][1]) === JSON.stringify(layers(state))) ?? "own";

  /* What each layer makes of the one before; from one that does not fit on, all is zero.
     `first` is the first pixel of unit 0, `taps` the pixels that a unit reads, counted from it. */
  function follow(state) {
    let here = {size: state.image, field: 1, jump: 1, first: 0, channels: 1, taps: [1]};
    return layers(state).map((layer) => {
      const {kind, kernel, stride, padding, dilation} = layer;
      const span = dilation * (kernel - 1) + 1, padded = here.size + 2 * padding;
      if (!here.size || padded < span) {
        const lacking = here.size ? {span, padded} : here.lacking;
        here = {...layer, size: 0, parameters: 0, field: 0, jump: 0, first: 0, taps: [], lacking};
        return here;
      }
      const step = dilation * here.jump, field = here.field + (kernel - 1) * step;
      const taps = new Uint8Array(field);
      for (let q = 0; q < kernel; q++) {
        here.taps.forEach((read, x) => { if (read) taps[q * step + x] = 1; });
      }
      const channels = kind === "pool" ? here.channels : layer.channels;
      const parameters = kind === "pool" ? 0 : channels * (here.channels * kernel ** 2 + 1);
      here = {...layer, channels, parameters, field, taps, before: here, jump: here.jump * stride,
        first: here.first - padding * here.jump, size: Math.floor((padded - span) / stride) + 1};
      return here;
    });
  }

  // Wide fields take a while, and every part of the drawing asks for them.
  const known = new WeakMap();
  const walk = (state) => known.get(state) ?? known.set(state, follow(state)).get(state);

  /* Which pixels of an axis the units of a layer depend on: back through all windows. A path that
     meets the padding of any layer ends there, as zeros depend on nothing. */
  function read(layer, units) {
    if (!layer.before) return units;
    const below = Array(layer.before.size).fill(0);
    units.forEach((on, i) => {
      for (let q = 0; on && q < layer.kernel; q++) {
        const place = i * layer.stride - layer.padding + q * layer.dilation;
        if (place >= 0 && place < below.length) below[place] = 1;
      }
    });
    return read(layer.before, below);
  }

  function compute(state) {
    const all = walk(state), here = all[state.layer - 1], last = all.at(-1);
    const unit = [state.row, state.column], nothing = Array(state.image).fill(0);
    const seen = (units) => (here.size ? read(here, units) : nothing);
    const one = (place) => seen(Array.from({length: here.size}, (_, i) => Number(i === place)));
    const first = unit.map((place) => here.first + place * here.jump);
    return {
      sizes: all.map(({size}) => size),
      parameters: all.map(({parameters}) => parameters),
      fields: all.map(({field}) => field),
      jumps: all.map(({jump}) => jump),
      taps: all.map(({taps}) => taps.reduce((sum, tap) => sum + tap, 0)),
      flat: last.channels * last.size ** 2 * (last.size > 0),
      first, last: first.map((pixel) => pixel + here.field - 1),
      rows: one(state.row), columns: one(state.column), covered: seen(Array(here.size).fill(1)),
    };
  }

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const side = (n) => `${n} × ${n}`;
  /* Why the chosen layer has no output, in short lines; null if it has one. */
  function lack(state) {
    const all = walk(state), at = all.findIndex(({size}) => !size) + 1;
    if (!at || at > state.layer) return null;
    const {span, padded} = all[at - 1].lacking;
    return [at < state.layer ? `Layer ${state.layer} has no input: layer ${at} does not fit.`
      : `Layer ${at} does not fit.`, `Its kernel spans ${span} pixels,`,
    `its padded input only ${padded}.`];
  }

  /* The spans of ones in a mask, as [start, end after the last]. */
  function runs(mask) {
    const ends = [...mask, 0].flatMap((on, i) => (on === (mask[i - 1] ?? 0) ? [] : [i]));
    return ends.filter((_, i) => i % 2 === 0).map((start, i) => [start, ends[2 * i + 1]]);
  }

  function picture(state, numbers, set) {
    const {image, row, column} = state, here = walk(state)[state.layer - 1];
    const {first, last, rows, columns, covered} = numbers, missing = lack(state);
    // The same view for all units of a layer, so that only the field moves.
    const end = here.first + (here.size - 1) * here.jump + here.field;
    const margin = Math.min(Math.max(-here.first, end - image, 0), Math.ceil(image / 4)) + 0.5;
    const scale = SIDE / (image + 2 * margin);
    const at = (pixel) => Number(((pixel + margin) * scale).toFixed(2));
    const box = ([top, bottom], [left, right]) =>
      `M${at(left)} ${at(top)}H${at(right)}V${at(bottom)}H${at(left)}Z`;
    const boxes = (ups, downs) => ups.flatMap((i) => downs.map((j) => box(i, j))).join("");
    const all = [[0, image]], lines = Array.from({length: image + 1}, (_, i) =>
      `M${at(i)} ${at(0)}V${at(image)}M${at(0)} ${at(i)}H${at(image)}`).join("");
    const path = (d, rest) => make("svg:path", {d, fill: "none", ...rest});
    const drawing = make("svg:svg", {role: "img", viewBox: `0 0 ${SIDE} ${SIDE}`,
      class: "explorable-grid", style: `width: ${SIDE}px`,
      "aria-label": missing?.join(" ") ?? `Field of unit ${row}, ${column} on the image`},
    make("svg:defs", {}, make("svg:pattern", {id: "geometry-hatch", width: 5, height: 5,
      patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
    make("svg:rect", {width: 1.6, height: 5, fill: "#d55e00"}))),
    path(boxes(all, all), {fill: "currentColor", "fill-opacity": 0.07}),
    path(lines, {stroke: "var(--pst-color-border)", "stroke-width": scale < 6 ? 0.4 : 0.8}));
    if (missing) {
      drawing.append(...missing.map((text, i) => make("svg:text", {x: SIDE / 2,
        y: SIDE / 2 - 22 + 22 * i, style: "font-size: 12.5px"}, text)));
      return drawing;
    }
    const centre = (place) => at(here.first + place * here.jump + here.field / 2);
    const places = Array.from({length: here.jump > 1 ? here.size : 0}, (_, i) => centre(i));
    const frame = [[first[0], last[0] + 1], [first[1], last[1] + 1]];
    drawing.append(
      path(boxes(all, all) + boxes(runs(covered), runs(covered)),
        {fill: "url(#geometry-hatch)", "fill-rule": "evenodd"}),
      path(box(...frame), {fill: "#0072b2", "fill-opacity": 0.28}),
      path(boxes(runs(rows), runs(columns)), {fill: "#0072b2", "fill-opacity": 0.6}),
      path(boxes(all, all), {stroke: "currentColor"}),
      path(box(...frame), {stroke: "currentColor", "stroke-width": 2.5}),
      path(places.flatMap((y) => places.map((x) => `M${x} ${y}h0`)).join(""), {
        stroke: "currentColor", "stroke-linecap": "round", "stroke-width": 4}),
      make("svg:circle", {cx: centre(column), cy: centre(row), r: 4.5, fill: "#d55e00",
        stroke: "var(--pst-color-background)"}),
    );
    const pick = (event) => {
      if (!(event.buttons & 1)) return;
      event.preventDefault();  // or the drawing that is replaced takes the focus with it
      const {left, top, width} = drawing.getBoundingClientRect();
      const unit = (distance) => Math.round((distance / width * SIDE - centre(0))
        / (here.jump * scale));
      const next = {row: unit(event.clientY - top), column: unit(event.clientX - left)};
      drawing.parentElement.focus({preventScroll: true});
      if (next.row !== row || next.column !== column) set(next);
    };
    drawing.addEventListener("mousedown", pick);
    drawing.addEventListener("mousemove", pick);
    return drawing;
  }

  function table(state, numbers, set) {
    const {parameters, fields, jumps, taps, flat} = numbers, all = walk(state);
    const cell = (text) => make("td", {style: "padding: 0.15rem 0.2rem; text-align: right"}, text);
    const rows = all.map((layer, i) => {
      const {kind, kernel, stride, padding, dilation, channels, size} = layer;
      const unusual = [["s", stride, 1], ["p", padding, 0], ["d", dilation, 1]]
        .map(([key, value, usual]) => (value === usual ? "" : `, ${key}\u00a0${value}`)).join("");
      const button = make("button", {type: "button", "data-key": `layer-${i}`,
        "aria-pressed": String(state.layer === i + 1), onclick: () => set({layer: i + 1}),
        style: `width: 100%; padding: 0.1rem 0.3rem; text-align: left; font-weight: ${
          state.layer === i + 1 ? 700 : 400}`},
      `${i + 1}\u00a0${kind}\u00a0${kernel}${unusual}`);
      const none = all[i - 1]?.lacking ? "–" : "does not fit";
      return make("tr", {}, make("td", {style: "padding: 0.1rem 0"}, button), ...(size
        ? [`${channels} × ${side(size)}`.replaceAll(" ", "\u00a0"), count(parameters[i]),
          `${taps[i] < fields[i] ? `${count(taps[i])}/` : ""}${count(fields[i])}`,
          count(jumps[i])]
        : [none, "–", "–", "–"]).map(cell));
    });
    const head = ["layer", "output", "parameters", "field", "jump"].map((text, i) => make("th",
      {scope: "col", style: `padding: 0 0.2rem; text-align: ${i ? "right" : "left"}`}, text));
    return make("div", {style: "max-width: 100%; overflow-x: auto"},
      make("table", {style: "font-size: 0.75rem; font-variant-numeric: tabular-nums; margin: 0"},
        make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
      make("p", {class: "explorable-sum", style: "font-size: 0.9rem"}, flat
        ? `${count(sum(parameters))} parameters in all; a dense layer on top would read ${
          [all.at(-1).channels, ...Array(2).fill(all.at(-1).size)].join(" · ")} = ${count(flat)}.`
        : "Nothing comes out of this stack."));
  }

  function draw(stage, state, numbers, set) {
    const move = (event) => onArrow(event, (down, right) =>
      set({row: state.row + down, column: state.column + right}));
    const {kernel: k, stride: s, padding: p, dilation: d, ...here} = walk(state)[state.layer - 1];
    const below = here.before;
    stage.replaceChildren(
      make("div", {class: "explorable-row"},
        titled(`What a unit of layer ${state.layer} sees (click, or arrow keys)`,
          `flex: 0 1 ${SIDE}px`,
          make("div", {class: "explorable-focus", tabindex: 0, "data-key": "picture",
            role: "application", onkeydown: move,
            "aria-label": "Image; the arrow keys move to another unit of the layer"},
          picture(state, numbers, set))),
        titled("Layers (click one)", "flex: 1 1 18rem; min-width: 0", table(state, numbers, set))),
      ...(below ? [
        `Output: ⌊(${below.size} + 2 · ${p} − ${d} · (${k} − 1) − 1) / ${s}⌋ + 1 = ${here.size}`,
        `Field: ${count(below.field)} + (${k} − 1) · ${d} · ${count(below.jump)} = ${
          count(here.field)}; jump: ${s} · ${count(below.jump)} = ${count(here.jump)}`,
      ] : []).map((text) => make("p", {class: "explorable-sum"}, text)),
    );
  }

  function describe(state, {sizes, fields, taps, first, last, rows, columns, covered}) {
    const missing = lack(state), {layer, image, row, column} = state, r = fields[layer - 1];
    if (missing) return missing.join(" ");
    const range = (axis) => `${count(first[axis])} to ${count(last[axis])}`;
    const within = (axis) =>
      Math.max(0, Math.min(last[axis], image - 1) - Math.max(first[axis], 0) + 1);
    const outside = 100 * (1 - within(0) * within(1) / r ** 2), unread = image - sum(covered);
    return [`Unit (${row}, ${column}) of layer ${layer}, ${side(sizes[layer - 1])}, sees rows ${
      range(0)} and columns ${range(1)}: a field of ${side(count(r))}, pixels counted from 0.`,
    outside && `${Math.max(1, Math.round(outside))} % of it lies outside of the image (pale).`,
    taps[layer - 1] < r && "It has holes: along each axis it reads " +
      `${count(taps[layer - 1])} of ${count(r)}.`,
    `The unit reads ${count(sum(rows) * sum(columns))} pixels (blue).`,
    unread && `No unit of this layer reads ${unread} of the ${image} rows and columns (hatched).`,
    ].filter(Boolean).join(" ");
  }

  const of = (n, key, label, type, rest) => ({key: key + n, label: `${label} of layer ${n}`, type,
    hidden: (state) => state.layer !== n || (key === "channels" && state[`kind${n}`] === "pool"),
    ...rest});
  define("geometry", {
    state: settings("b"),
    controls: [
      {key: "stack", label: "Stack", type: "choice",
        options: [...Object.entries(STACKS).map(([key, [label]]) => [key, label]),
          ["own", "your own"]],
        act: (_, name) => (STACKS[name] ? settings(name) : {})},
      {key: "image", label: "Image side", type: "range", min: 4, max: 64},
      {key: "count", label: "Number of layers", type: "range", min: 1, max: MOST},
      {key: "layer", label: "Chosen layer", type: "range", min: 1, max: ({count: most}) => most},
      ...numbered((n) => [
        of(n, "kind", "Kind", "choice", {
          options: [["conv", "convolution"], ["pool", "max pooling"]],
          act: (_, kind) => Object.fromEntries(Object.entries(kind === "pool" ? pool : conv(64))
            .map(([key, value]) => [key + n, value]))}),
        of(n, "kernel", "Kernel", "range", {min: 1, max: 7}),
        of(n, "stride", "Stride", "range", {min: 1, max: 4}),
        // PyTorch pads a pooling by half of its window at most.
        of(n, "padding", "Padding", "range", {min: 0, max: (state) =>
          (state[`kind${n}`] === "pool" ? Math.floor(state[`kernel${n}`] / 2) : 8)}),
        of(n, "dilation", "Dilation", "range", {min: 1, max: 8}),
        of(n, "channels", "Channels", "choice", {options: [1, 8, 16, 32, 64, 128, 256, 512]
          .map((channels) => [channels, String(channels)])}),
      ]),
    ],
    mend(state) {
      const {size} = walk(state)[state.layer - 1];
      const within = (value) => Math.min(Math.max(Math.round(value), 0), Math.max(size - 1, 0));
      [state.row, state.column] = [within(state.row), within(state.column)];
      state.stack = named(state);
    },
    compute,
    draw,
    describe,
  });
})();
