/* Convolution, the twin of cnnbook.ops.conv2d for one image and one kernel. */
(() => {
  "use strict";
  const {define, make, say, grid, titled, onArrow} = Explorables;
  const SIDE = 8;
  const fill = (rule) => Array.from({length: SIDE * SIDE},
    (_, k) => rule(Math.floor(k / SIDE), k % SIDE));
  const IMAGES = {
    edge: ["an edge", fill((i, j) => Number(j >= 4))],
    diagonal: ["a diagonal", fill((i, j) => Number(Math.abs(i - j) <= 1))],
    square: ["a square", fill((i, j) => Number(i > 1 && i < 6 && j > 1 && j < 6))],
    board: ["a chessboard", fill((i, j) => (i + j) % 2)],
    dot: ["a dot", fill((i, j) => Number(i === 3 && j === 4))],
  };
  const KERNELS = {
    edge: ["vertical edges", [-1, 0, 1, -1, 0, 1, -1, 0, 1]],
    mean: ["mean", Array(9).fill(1 / 9)],
    sharpen: ["sharpen", [0, -1, 0, -1, 5, -1, 0, -1, 0]],
    laplace: ["Laplace", [0, 1, 0, 1, -4, 1, 0, 1, 0]],
    identity: ["identity", [0, 0, 0, 0, 1, 0, 0, 0, 0]],
    shift: ["shift to the left", [0, 0, 0, 0, 0, 1, 0, 0, 0]],
  };
  const same = (a, b) => a.every((value, k) => value === b[k]);
  const named = (table, values) =>
    Object.keys(table).find((name) => same(table[name][1], values)) ?? "own";
  const choices = (table) => [...Object.entries(table).map(([key, [label]]) => [key, label]),
    ["own", "your own"]];
  const outputs = ({padding, stride, dilation}) =>
    Math.floor((SIDE + 2 * padding - dilation * 2 - 1) / stride) + 1;

  /* The pixel of the padded image, zero outside of the image. */
  function pixel({image, padding}, i, j) {
    const row = i - padding, column = j - padding;
    const inside = row >= 0 && row < SIDE && column >= 0 && column < SIDE;
    return inside ? image[row * SIDE + column] : 0;
  }

  /* The nine products of the window of output (i, j). */
  function products(state, i, j) {
    const {kernel, stride, dilation} = state;
    return kernel.map((weight, k) => [weight,
      pixel(state, i * stride + Math.floor(k / 3) * dilation, j * stride + (k % 3) * dilation)]);
  }

  function compute(state) {
    const side = outputs(state);
    const output = Array.from({length: side}, (_, i) => Array.from({length: side}, (_, j) =>
      products(state, i, j).reduce((sum, [weight, x]) => sum + weight * x, 0)));
    return {side, output};
  }

  function draw(stage, state, {side, output}, set) {
    const {padding, stride, dilation, row, column, kernel, image} = state;
    const padded = SIDE + 2 * padding;
    const input = Array.from({length: padded}, (_, i) =>
      Array.from({length: padded}, (_, j) => pixel(state, i, j)));
    const position = (i, j) => {
      const [di, dj] = [i - row * stride, j - column * stride];
      const inside = di >= 0 && dj >= 0 && di <= 2 * dilation && dj <= 2 * dilation;
      return inside && di % dilation === 0 && dj % dilation === 0
        ? 3 * (di / dilation) + dj / dilation : -1;
    };
    const border = (i, j) => i < padding || j < padding || i >= padded - padding
      || j >= padded - padding;
    const flip = (i, j) => {
      if (border(i, j)) return;
      const next = [...image], k = (i - padding) * SIDE + j - padding;
      next[k] = next[k] > 0.5 ? 0 : 1;
      set({image: next});
    };
    const largest = Math.max(1e-9, ...output.flat().map(Math.abs));
    const move = (event) => onArrow(event, (down, right) =>
      set({row: row + down, column: column + right}));
    const weights = kernel.map((weight, k) => make("input", {type: "number", step: "any",
      value: Number(weight.toFixed(4)), "data-key": `weight-${k}`,
      "aria-label": `Weight in row ${Math.floor(k / 3) + 1}, column ${k % 3 + 1}`,
      onchange: (event) => {
        const value = Number(event.target.value), next = [...kernel];
        if (event.target.value !== "" && Number.isFinite(value)) next[k] = value;
        set({kernel: next});
      }}));
    const sum = products(state, row, column).filter(([weight]) => weight !== 0)
      .map(([weight, x]) => `${weight < 0 ? `(${say(weight, 3)})` : say(weight, 3)} · ${say(x)}`);
    const result = make("div", {class: "explorable-focus", tabindex: 0, "data-key": "output",
      role: "application", onkeydown: move,
      "aria-label": "Output; the arrow keys move the window"},
    grid(output, {label: "Output of the convolution", shade: (value) => value / largest,
      text: (value) => say(value, Math.abs(value) < 10 ? 1 : 0),
      mark: (i, j) => (i === row && j === column ? "chosen" : ""),
      pick: (i, j) => set({row: i, column: j})}));
    stage.replaceChildren(
      make("div", {class: "explorable-row"},
        titled(`Input, ${SIDE} × ${SIDE}${padding ? ", padded with zeros" : ""} (click a pixel)`,
          "", grid(input, {label: "Input image", size: 22, shade: (value) => 0.8 * value,
            pick: flip, mark: (i, j) => `${border(i, j) ? "border " : ""}${
              position(i, j) >= 0 ? "window" : ""}`})),
        titled("Kernel", "", make("div", {class: "explorable-kernel"}, ...weights)),
        titled(`Output, ${side} × ${side} (click, or arrow keys)`, "", result)),
      make("p", {class: "explorable-sum"}, `${sum.join(" + ") || "0"} = ${
        say(output[row][column], 3)}`),
      make("p", {class: "explorable-sum"}, `Output size: ⌊(${SIDE} + 2 · ${padding} − ${
        dilation} · (3 − 1) − 1) / ${stride}⌋ + 1 = ${side}`),
    );
  }

  define("convolution", {
    state: {image: IMAGES.edge[1], kernel: KERNELS.edge[1], padding: 0, stride: 1, dilation: 1,
      row: 0, column: 2, picture: "edge", filter: "edge"},
    controls: [
      {key: "picture", label: "Image", type: "choice", options: choices(IMAGES),
        act: (state, name) => ({image: IMAGES[name]?.[1] ?? state.image})},
      {key: "filter", label: "Kernel", type: "choice", options: choices(KERNELS),
        act: (state, name) => ({kernel: KERNELS[name]?.[1] ?? state.kernel})},
      {key: "padding", label: "Padding", type: "range", min: 0, max: 3},
      {key: "stride", label: "Stride", type: "range", min: 1, max: 3},
      {key: "dilation", label: "Dilation", type: "range", min: 1, max: 3},
    ],
    mend(state) {
      const last = outputs(state) - 1;
      const within = (value) => Math.min(Math.max(Math.round(value), 0), last);
      [state.row, state.column] = [within(state.row), within(state.column)];
      state.picture = named(IMAGES, state.image);
      state.filter = named(KERNELS, state.kernel);
    },
    compute,
    draw,
    describe: ({row, column, stride, padding, dilation}, {side, output}) =>
      `With stride ${stride}, padding ${padding} and dilation ${dilation} the output is ${side} × ${
        side}. In row ${row + 1}, column ${column + 1} it is ${say(output[row][column], 3)}.`,
  });
})();
