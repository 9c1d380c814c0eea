/* An activation and a Gaussian input, the twin of cnnbook.activations: moments and flat shares. */
(() => {
  "use strict";
  const {define, make, say} = Explorables;
  const ROOT = Math.sqrt(2 * Math.PI), REACH = 12;
  const bell = (x) => Math.exp(-x * x / 2) / ROOT;

  /* The normal distribution function: a series of positive terms near zero, else a fraction. */
  function normal(x) {
    const y = Math.abs(x);
    let tail;
    if (y < 3.5) {
      let term = y, sum = y;
      for (let n = 3; term > 1e-17 * sum; n += 2) sum += term *= y * y / n;
      tail = 0.5 - bell(y) * sum;
    } else {
      let rest = y;
      for (let n = 60; n > 0; n--) rest = y + n / rest;
      tail = bell(y) / rest;
    }
    return x < 0 ? tail : 1 - tail;
  }

  const logistic = (z) => (z < 0 ? Math.exp(z) / (1 + Math.exp(z)) : 1 / (1 + Math.exp(-z)));
  const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
  const mishSlope = (z, t = Math.tanh(softplus(z))) => t + z * logistic(z) * (1 - t * t);

  /* As in cnnbook: φ, φ′ (at a kink PyTorch's), the kinks; and up to where φ′ is zero. */
  const entry = (label, f, slope, kinks = [], zero = -Infinity) => ({label, f, slope, kinks, zero});
  const leaky = (label, slope) =>
    entry(label, (z) => (z > 0 ? z : slope * z), (z) => (z > 0 ? 1 : slope), [0]);
  const elu = (label, alpha, scale) => entry(label,
    (z) => scale * (z > 0 ? z : alpha * Math.expm1(z)),
    (z) => scale * (z > 0 ? 1 : alpha * Math.exp(z)), [0]);
  const PHI = {
    identity: entry("Identity", (z) => z, () => 1),
    sigmoid: entry("Sigmoid", logistic, (z) => logistic(z) * logistic(-z)),
    tanh: entry("Tanh", Math.tanh, (z) => 1 / Math.cosh(z) ** 2),
    relu: entry("ReLU", (z) => Math.max(z, 0), (z) => Number(z > 0), [0], 0),
    leaky_relu: leaky("Leaky ReLU", 0.01),
    prelu: leaky("PReLU", 0.25),
    elu: elu("ELU", 1, 1),
    selu: elu("SELU", 1.6732632423543772, 1.0507009873554805),
    gelu: entry("GELU", (z) => z * normal(z), (z) => normal(z) + z * bell(z)),
    silu: entry("SiLU", (z) => z * logistic(z), (z) => logistic(z) * (1 + z * logistic(-z))),
    mish: entry("Mish", (z) => z * Math.tanh(softplus(z)), (z) => mishSlope(z)),
    softplus: entry("Softplus", softplus, logistic),
    hardswish: entry("Hard-swish", (z) => z * Math.min(Math.max(z + 3, 0), 6) / 6,
      (z) => (z <= -3 ? 0 : z < 3 ? z / 3 + 0.5 : 1), [-3, 3], -3),
  };

  /* The pieces of the line on which |φ′| is under a twentieth of its largest value. */
  function saturated(phi) {
    if (phi.pieces) return phi.pieces;
    const steep = (z) => Math.abs(phi.slope(z));
    let top = 0;
    for (let z = -40; z <= 40; z += 0.125) if (steep(z) > steep(top)) top = z;
    for (let step = 0.125; step > 1e-10; step /= 2) {
      for (const z of [top - step, top + step]) if (steep(z) > steep(top)) top = z;
    }
    const flat = (z) => steep(z) < 0.05 * steep(top);
    const edges = flat(-50) ? [-Infinity] : [];
    for (let left = -50; left < 50; left += 0.0625) {
      let [low, high] = [left, left + 0.0625];
      if (flat(low) === flat(high)) continue;
      for (let k = 0; k < 50; k++) {
        const middle = (low + high) / 2;
        if (flat(middle) === flat(low)) low = middle; else high = middle;
      }
      edges.push(high);
    }
    if (edges.length % 2) edges.push(Infinity);
    phi.pieces = [];
    for (let k = 0; k < edges.length; k += 2) phi.pieces.push([edges[k], edges[k + 1]]);
    return phi.pieces;
  }

  /* Nodes and weights of a Gauss–Legendre rule on [−1, 1], by Newton's method. */
  const RULE = Array.from({length: 16}, (_, k) => {
    let x = Math.cos(Math.PI * (k + 0.75) / 16.5), derivative;
    for (let step = 0; step < 20; step++) {
      let [before, now] = [1, x];
      for (let n = 2; n <= 16; n++) {
        [before, now] = [now, ((2 * n - 1) * x * now - (n - 1) * before) / n];
      }
      derivative = 16 * (x * now - before) / (x * x - 1);
      x -= now / derivative;
    }
    return [x, 2 / ((1 - x * x) * derivative ** 2)];
  });

  /* Points and weights of an integral against N(mean, std²), in panels that are short beside both
     the bell and the bends of φ, and that end at its kinks. */
  function panels({mean, std}, kinks) {
    const bends = [1, 2, 4, 6, 10, 20, 40].flatMap((z) => [-z, z]);
    const steps = [12, 9, 7, 5, 4, 3, 2, 1].flatMap((t) => [mean - t * std, mean + t * std]);
    const [low, high] = [mean - REACH * std, mean + REACH * std];
    const ends = [...new Set([0, mean, ...bends, ...kinks, ...steps])]
      .filter((z) => z >= low && z <= high).sort((a, b) => a - b);
    return ends.slice(1).flatMap((end, k) => {
      const half = (end - ends[k]) / 2;
      return RULE.map(([x, weight]) => {
        const z = ends[k] + half * (x + 1);
        return [z, half * weight * bell((z - mean) / std) / std];
      });
    });
  }

  function compute(state) {
    const phi = PHI[state.activation], {f, slope} = phi, {mean, std} = state;
    const points = panels(state, phi.kinks);
    const expect = (g) => points.reduce((sum, [z, weight]) => sum + weight * g(z), 0);
    const below = (z) => normal((z - mean) / std);
    const m = expect(f), typical = [mean - std, mean, mean + std];
    return {
      mean: m, square: expect((z) => f(z) ** 2), variance: expect((z) => (f(z) - m) ** 2),
      slope: expect((z) => slope(z) ** 2), zero: below(phi.zero),
      saturated: saturated(phi).reduce((sum, [low, high]) => sum + below(high) - below(low), 0),
      a: typical.map(f), slopes: typical.map(slope),
    };
  }

  const WIDTH = 340, LEFT = 24, RIGHT = 336, END = 8, CURVE = [18, 150], BELL = [166, 246];
  const across = (z) => LEFT + (RIGHT - LEFT) * (z + END) / (2 * END);
  const up = (y) => CURVE[1] - (CURVE[1] - CURVE[0]) * (y + 2) / 5.5;
  const percent = (share) => (share === 0 ? "0%"
    : share < 5e-5 ? "under 0.01%" : share > 0.99995 && share < 1 ? "over 99.99%"
      : `${say(100 * share, share > 0.1 ? 1 : 2)}%`);
  const small = (x) => (x > 0 && x < 5e-4 ? "under 0.001" : say(x, 3));

  function draw(stage, state, numbers, set) {
    const {mean, std} = state, phi = PHI[state.activation];
    const svg = (tag, attributes, ...children) => make(`svg:${tag}`, attributes, ...children);
    const line = (x1, y1, x2, y2, opacity = 0.35) =>
      svg("line", {x1, y1, x2, y2, stroke: "currentColor", "stroke-opacity": opacity});
    const write = (x, y, text, anchor = "middle") =>
      svg("text", {x, y, style: `text-anchor: ${anchor}`}, text);
    const curved = {stroke: "#0072b2", "stroke-width": 2};
    const sloped = {stroke: "#009e73", "stroke-width": 2, "stroke-dasharray": "5 3"};
    const curve = (f, look) => svg("polyline", {fill: "none", ...look,
      points: Array.from({length: 321}, (_, k) => END * (k - 160) / 160)
        .map((z) => `${(across(z) - LEFT).toFixed(2)},${(up(f(z)) - CURVE[0]).toFixed(2)}`)
        .join(" ")});
    const [roof, floor] = BELL;
    const height = (z) => floor - (floor - roof) * Math.exp(-(((z - mean) / std) ** 2) / 2);
    const area = (low, high, fill, opacity) => {
      const from = Math.max(low, -END, mean - 5 * std), to = Math.min(high, END, mean + 5 * std);
      if (from >= to) return "";
      const points = Array.from({length: 121}, (_, k) => from + (to - from) * k / 120)
        .map((z) => `${across(z).toFixed(2)},${height(z).toFixed(2)}`);
      return svg("polygon", {fill, "fill-opacity": opacity, points:
        `${across(from)},${floor} ${points.join(" ")} ${across(to)},${floor}`});
    };
    const pieces = saturated(phi);
    const strips = pieces.filter(([low, high]) => low < END && high > -END).map(([low, high]) => {
      const x = across(Math.max(low, -END));
      return svg("rect", {x, y: CURVE[0], width: across(Math.min(high, END)) - x,
        height: CURVE[1] - CURVE[0], fill: "#d55e00", "fill-opacity": 0.12});
    });
    const beyond = normal((-END - mean) / std) + normal((mean - END) / std);
    // The stage outlives the drawing, so it follows the pointer.
    const handle = (z, y, label, change) => svg("g", {
      style: "cursor: ew-resize; touch-action: none",
      onpointerdown: (event) => {
        event.preventDefault();
        stage.setPointerCapture(event.pointerId);
        stage.onpointermove = ({clientX}) => {
          const {left, width} = stage.querySelector("svg").getBoundingClientRect();
          const x = (clientX - left) * WIDTH / width;
          set(change((x - LEFT) / (RIGHT - LEFT) * 2 * END - END));
        };
        stage.onpointerup = stage.onpointercancel = () => { stage.onpointermove = null; };
      }},
    svg("title", {}, label),
    svg("circle", {cx: across(z), cy: y, r: 14, fill: "transparent"}),
    svg("circle", {cx: across(z), cy: y, r: 5, fill: "var(--pst-color-background)",
      stroke: "currentColor", "stroke-width": 2}));
    const picture = svg("svg", {class: "explorable-grid", viewBox: `0 0 ${WIDTH} 282`, role: "img",
      style: "width: 420px", "aria-label": `${phi.label}, its derivative, and the density of z`},
    ...strips,
    svg("path", {d: `M${LEFT} 8h22`, ...curved}), write(LEFT + 26, 8, "a = φ(z)", "start"),
    svg("path", {d: "M120 8h22", ...sloped}), write(146, 8, "slope φ′(z)", "start"),
    ...[-1, 0, 1, 2, 3].flatMap((y) => [line(LEFT, up(y), RIGHT, up(y), y ? 0.12 : 0.5),
      write(LEFT - 5, up(y), say(y), "end")]),
    svg("svg", {x: LEFT, y: CURVE[0], width: RIGHT - LEFT, height: CURVE[1] - CURVE[0]},
      curve(phi.f, curved), curve(phi.slope, sloped),
      ...numbers.a.map((a, k) => svg("circle", {cx: across(mean + (k - 1) * std) - LEFT,
        cy: up(a) - CURVE[0], r: k === 1 ? 4.5 : 3, fill: "#0072b2"}))),
    area(-Infinity, Infinity, "currentColor", 0.25),
    ...pieces.map(([low, high]) => area(low, high, "var(--pst-color-background)", 1)),
    ...pieces.map(([low, high]) => area(Math.max(low, phi.zero), high, "#d55e00", 0.5)),
    area(-Infinity, phi.zero, "#d55e00", 1),
    line(LEFT, floor, RIGHT, floor),
    ...[-8, -4, 0, 4, 8].flatMap((z) => [line(across(z), floor, across(z), floor + 4),
      write(Math.min(across(z), RIGHT - 4), floor + 12, say(z))]),
    write((LEFT + RIGHT) / 2, floor + 27, `z and its density${
      beyond > 0.005 ? `; ${percent(beyond)} lie further out` : ""}`),
    mean + std <= END ? handle(mean + std, height(mean + std), "Drag the standard deviation",
      (z) => ({std: z - mean})) : "",
    handle(mean, roof, "Drag the mean", (z) => ({mean: z})));
    const part = (name, value, opacity) => make("div", {class: "explorable-name"},
      opacity ? make("span", {class: "explorable-key",
        style: `background: #d55e00; opacity: ${opacity}`}) : "",
      `${name}: `, make("strong", {}, value));
    stage.replaceChildren(make("div", {class: "explorable-row"},
      make("div", {class: "explorable-part"}, picture),
      make("div", {style: `display: grid; flex: 1 1 12rem;
        grid-template-columns: repeat(auto-fit, minmax(9.4rem, 1fr))`},
      part("E[a]", say(numbers.mean, 3)), part("E[a²]", small(numbers.square)),
      part("Var[a]", small(numbers.variance)), part("E[φ′(z)²]", small(numbers.slope)),
      part("Saturated", percent(numbers.saturated), 0.5),
      part("φ′ = 0", percent(numbers.zero), 1))));
  }

  define("activations", {
    state: {activation: "tanh", mean: 0, std: 1},
    controls: [
      {key: "activation", label: "Activation", type: "choice",
        options: Object.entries(PHI).map(([name, {label}]) => [name, label])},
      {key: "mean", label: "Mean of z", type: "range", min: -6, max: 6, step: 0.1},
      {key: "std", label: "Standard deviation", type: "range", min: 0.1, max: 8, step: 0.1},
    ],
    compute,
    draw,
    describe: ({activation, mean, std}, {slope, saturated: share, zero}) =>
      `${PHI[activation].label} of z with mean ${say(mean)} and standard deviation ${say(std)}: ${
        percent(share)} of z are saturated, ${zero ? `${percent(zero)} have` : "none has"
      } slope zero; the mean square of the slope, E[φ′(z)²], is ${small(slope)}.`,
  });
})();
