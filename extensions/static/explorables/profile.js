/* Signal and gradient through depth, the twin of next_q, chi1 and q_star in cnnbook.theory, and
   measured networks, the table experiments/profiles.csv. */
(() => {
  "use strict";
  const {define, make, say, titled} = Explorables;
  const DEPTH = 50;
  const LAYERS = Array.from({length: 13}, (_, k) => 4 * k + 1);
  // Thousandths of a decade; for q, then for the gradient, of each layer in LAYERS: the median, the
  // 5th percentile below it and the 95th above it.
  const MEASURED = Explorables.data.profile.MEASURED.map(([name, w, b, width, text]) =>
    ({key: `${name} ${w} ${b}`, name, w, b, width, values: text.split(" ").map(Number)}));
  const SETTINGS = MEASURED.filter(({key}, k) => key !== MEASURED[k - 1]?.key);

  /* Return nodes and weights of the Gauss–Legendre rule on [−1, 1]. */
  const RULE = ((n) => Array.from({length: n}, (_, i) => {
    let x = Math.cos(Math.PI * (i + 0.75) / (n + 0.5)), slope = 1;
    for (let round = 0; round < 8; round++) {
      let [p, before] = [1, 0];
      for (let k = 1; k <= n; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = n * (x * p - before) / (x * x - 1);
      x -= p / slope;
    }
    return [x, 2 / ((1 - x * x) * slope * slope)];
  }))(24);
  const density = (z) => Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  function cdf(z) {
    const x = Math.abs(z);
    if (x > 9) return z > 0 ? 1 : 0;
    let term = x, sum = x;
    for (let k = 3; term > 1e-17 * sum; k += 2) sum += term *= x * x / k;
    return 0.5 + Math.sign(z) * sum * density(x);
  }
  const logistic = (z) => 1 / (1 + Math.exp(-z));
  // Homogeneous: both means have a closed form.
  const leaky = (slope) => ({means: (q) => [q * (1 + slope ** 2) / 2, (1 + slope ** 2) / 2]});
  const elu = (alpha, scale) => ({phi: (z) => scale * (z > 0 ? z : alpha * Math.expm1(z)),
    slope: (z) => scale * (z > 0 ? 1 : alpha * Math.exp(z))});
  const PHI = {
    sigmoid: {label: "Sigmoid", phi: logistic, slope: (z) => logistic(z) * logistic(-z)},
    tanh: {label: "Tanh", phi: Math.tanh, slope: (z) => 1 - Math.tanh(z) ** 2},
    relu: {label: "ReLU", ...leaky(0)},
    leaky_relu: {label: "Leaky ReLU", ...leaky(0.01)},
    elu: {label: "ELU", ...elu(1, 1)},
    gelu: {label: "GELU", phi: (z) => z * cdf(z), slope: (z) => cdf(z) + z * density(z)},
    selu: {label: "SELU", ...elu(1.6732632423543772, 1.0507009873554805)},
    identity: {label: "Identity", ...leaky(1)},
  };

  /* Return E[φ(√q ζ)²] and E[φ′(√q ζ)²]. The two halves of the bell share panels, which end at the
     kink of them all, 0, and are short where φ bends. */
  function integrate({phi, slope}, q) {
    const std = Math.sqrt(q), near = Math.max(std, 1e-12), totals = [0, 0];
    const ends = [4, 8, 12, 4 / std, 12 / std, 40 / std].filter((end) => end <= 12)
      .sort((a, b) => a - b);
    let low = 0;
    for (const high of ends) {
      const half = (high - low) / 2;
      for (const [node, weight] of RULE) {
        const t = low + half * (node + 1), mass = half * weight * density(t);
        totals[0] += mass * (phi(std * t) ** 2 + phi(-std * t) ** 2);
        totals[1] += mass * (slope(near * t) ** 2 + slope(-near * t) ** 2);
      }
      low = high;
    }
    return totals;
  }
  const cache = new Map();
  function means(name, q) {
    if (PHI[name].means) return PHI[name].means(q);
    const key = `${name} ${q}`;
    if (cache.size > 20000) cache.clear();
    if (!cache.has(key)) cache.set(key, integrate(PHI[name], q));
    return cache.get(key);
  }

  /* The fixed point that layers approach from q; Infinity if there is none. */
  function fixedPoint(name, q, w, b) {
    if (PHI[name].means) {
      const factor = w * means(name, 1)[0];
      if (factor < 1 - 1e-12) return b / (1 - factor);
      return factor <= 1 + 1e-12 && b === 0 ? q : Infinity;
    }
    const growth = (x) => Math.log(w * means(name, Math.exp(x))[0] + b) - x;
    let here = Math.log(q);
    if (Math.abs(growth(here)) <= 1e-12) return q;
    const sign = Math.sign(growth(here));
    // Points of one grid for all settings, so that the cache knows most of them.
    let k = sign * Math.floor(8 * sign * here);
    for (;;) {
      k += sign * (Math.abs(k) < 96 ? 1 : 8);
      let there = k / 8;
      if (there > Math.log(1e30)) return Infinity;
      if (there < Math.log(1e-60)) return 0;
      if (sign * growth(there) > -1e-12) {
        here = there;
        continue;
      }
      for (let round = 0; round < 52; round++) {
        const middle = (here + there) / 2;
        if (sign * growth(middle) > 0) here = middle;
        else there = middle;
      }
      return Math.exp(here);
    }
  }

  function compute({activation: name, sigma_w2: w, sigma_b2: b, depth}) {
    const q = [w + b], factors = [];  // the images have mean square 1
    while (q.length < depth - 1) {
      const [square, slope] = means(name, q.at(-1));
      factors.push(w * slope);
      q.push(Math.min(w * square + b, 1e300));
    }
    const gradient = [0];
    for (const factor of factors.reverse()) gradient.unshift(gradient[0] + Math.log10(factor));
    const end = fixedPoint(name, q[0], w, b), q_star = Math.min(end, 1e300);
    const chi = w * means(name, q_star)[1];
    const scale = 1 / Math.max(Math.abs(Math.log(chi)), 1e-6);
    return {q, signal: q.map(Math.log10), gradient, q_star, chi, scale,
      settles: Number(end < Infinity), phase: scale > 100 ? 0 : Math.sign(chi - 1)};
  }

  const measuredAt = ({activation, sigma_w2, sigma_b2, depth}) => MEASURED.filter(({name, w, b}) =>
    depth === DEPTH && name === activation && w === sigma_w2 && b === sigma_b2);
  const middles = ({values}, part) => LAYERS.map((_, k) => values[3 * (13 * part + k)] / 1000);

  const raised = (n) => `10${[...String(n)].map((sign) =>
    (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("")}`;
  /* What has this log10, as 0.25 or 3.1·10⁻⁹. */
  function spoken(log) {
    if (Math.abs(log) < 3) return say(Number((10 ** log).toPrecision(3)), 5);
    const whole = Math.floor(log + 1e-9), front = (10 ** (log - whole)).toFixed(1);
    return front === "10.0" ? `1.0·${raised(whole + 1)}` : `${front}·${raised(whole)}`;
  }
  const DASHES = {stroke: "currentColor", "stroke-dasharray": "5 4"};
  const LOOKS = {100: ["#d55e00", -1.3], 300: ["#009e73", 1.3]};
  const mark = (width, x, y) => (width === 100
    ? make("svg:circle", {cx: x, cy: y, r: 3, fill: LOOKS[width][0]})
    : make("svg:rect", {x: x - 3, y: y - 3, width: 6, height: 6, fill: LOOKS[width][0]}));

  /* A plot of decades against layers, with a straight line between two ends, or none; `part` says
     which half of the measured values belongs here. */
  function plot(title, curve, straight, points, part) {
    const [left, right, top, bottom] = [40, 306, 8, 196], count = curve.length;
    const shown = [...curve, ...points.flatMap(({values}) => LAYERS.flatMap((_, k) => {
      const [middle, below, above] = values.slice(3 * (13 * part + k), 3 * (13 * part + k) + 3);
      return [(middle - below) / 1000, (middle + above) / 1000];
    }))];
    let [low, high] = [Math.floor(Math.min(...shown) + 1e-9), Math.ceil(Math.max(...shown) - 1e-9)];
    if (high - low < 2) [low, high] = [Math.min(low, high - 1), Math.max(high, low + 1)];
    if (high - low < 2) low -= 1;
    const x = (layer) => left + 6 + (right - left - 12) * (layer - 1) / Math.max(count - 1, 1);
    const y = (log) => bottom - (bottom - top) * (log - low) / (high - low);
    const picture = make("svg:svg", {viewBox: "0 0 312 232", role: "img", "aria-label": title,
      style: "width: 312px; max-width: 100%; font-size: 12px"});
    const write = (text, at) => make("svg:text", {fill: "currentColor", ...at}, text);
    const step = [1, 2, 5, 10, 20, 50, 100].find((size) => (high - low) / size <= 6);
    for (let log = Math.ceil(low / step) * step; log <= high; log += step) picture.append(
      make("svg:line", {x1: left, x2: right, y1: y(log), y2: y(log),
        stroke: "var(--pst-color-border)"}),
      write(log ? raised(log) : "1", {x: left - 5, y: y(log) + 4, "text-anchor": "end"}));
    const every = [1, 2, 5, 10, 20].find((size) => count / size <= 6);
    for (let layer = 1; layer <= count; layer = layer === 1 && every > 1 ? every : layer + every)
      picture.append(write(layer, {x: x(layer), y: bottom + 16, "text-anchor": "middle"}));
    picture.append(write(part ? "hidden layer; the last is set to 1" : "hidden layer",
      {x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle"}));
    // An inner picture cuts off what leaves the plot.
    if (straight) picture.append(make("svg:svg", {x: 0, y: top, width: 312, height: bottom - top,
      viewBox: `0 ${top} 312 ${bottom - top}`}, make("svg:line", {...DASHES, x1: x(1),
      y1: y(straight[0]), x2: x(count), y2: y(straight[1])})));
    picture.append(make("svg:path", {fill: "none", stroke: "#0072b2", "stroke-width": 2.5,
      d: curve.map((log, k) => `${k ? "L" : "M"}${x(k + 1).toFixed(1)} ${y(log).toFixed(1)}`)
        .join("")}));
    for (const point of points) {
      const [color, aside] = LOOKS[point.width];
      middles(point, part).forEach((log, k) => {
        const [below, above] = point.values.slice(3 * (13 * part + k) + 1, 3 * (13 * part + k) + 3);
        picture.append(make("svg:line", {x1: x(LAYERS[k]) + aside, x2: x(LAYERS[k]) + aside,
          y1: y(log - below / 1000), y2: y(log + above / 1000), stroke: color,
          "stroke-width": 1.5}), mark(point.width, x(LAYERS[k]) + aside, y(log)));
      });
    }
    return titled(title, "", picture);
  }

  function draw(stage, state, {signal, gradient, q_star, chi, settles}) {
    const points = measuredAt(state), steps = gradient.length - 1;
    const sample = (...shapes) => make("svg:svg", {viewBox: "0 0 26 12", width: 26, height: 12},
      ...shapes);
    const line = (look) => make("svg:line", {x1: 0, x2: 26, y1: 6, y2: 6, ...look});
    const legend = [
      [sample(line({stroke: "#0072b2", "stroke-width": 2.5})), " theory, layer by layer"],
      [sample(line(DASHES)), settles ? " if every layer stood at q*" : " by χ for q without bound"],
      ...points.map(({width}) => [sample(mark(width, 13, 6)), ` networks of width ${width}`]),
    ];
    const first = [`theory ${spoken(gradient[0])}`, ...points.map((point) =>
      `width ${point.width} ${spoken(middles(point, 1)[0])}`)];
    const level = settles && q_star > 0 && [Math.log10(q_star), Math.log10(q_star)];
    stage.replaceChildren(
      make("div", {class: "explorable-row"},
        plot("Signal: mean square q of z", signal, level, points, 0),
        plot("Gradient: mean square of ∂L/∂z", gradient,
          [steps * Math.log10(chi), 0], points, 1)),
      make("p", {class: "explorable-name"}, ...legend.flatMap((entry) =>
        [make("span", {style: "white-space: nowrap; margin-right: 1rem"}, ...entry), " "])),
      make("p", {class: "explorable-sum"}, points.length
        ? `Gradient in layer 1: ${first.join(", ")}. (Points: medians of ten networks; bars: from ${
          "the 5th percentile to the 95th.)"}`
        : "No networks were measured at this setting."),
    );
  }

  const PHASES = {"-1": "Order: the gradient vanishes", 1: "Chaos: the gradient explodes",
    0: "Critical: there a layer leaves the gradient its size"};
  function describe({activation, sigma_w2, sigma_b2, depth}, {q_star, chi, scale, settles, phase,
    gradient}) {
    const {label, means: homogeneous} = PHI[activation];
    const every = homogeneous && settles && sigma_b2 === 0 && q_star > 0;
    const end = !settles ? "q grows without bound"
      : every ? "every q is a fixed point"
        : q_star > 0 ? `q comes to q* = ${spoken(Math.log10(q_star))}` : "q fades to q* = 0";
    const fate = phase > 0 && !settles ? "No phase, as there is no q*, but the gradient explodes"
      : PHASES[phase];
    return `${label}, σ_w² = ${say(sigma_w2)}, σ_b² = ${say(sigma_b2)}, depth ${depth}: ${end}, ${
      settles ? "where" : "and there"} χ = ${spoken(Math.log10(chi))}. ${fate}${phase
      ? `, by a factor of e in ${say(Number(scale.toPrecision(2)), 3)} layers` : ""
    }. In the first hidden layer its mean square is ${spoken(gradient[0])} times that in the last.`;
  }

  const far = (state, {w, b}) => Math.abs(Math.log(w / state.sigma_w2))
    + Math.abs(Math.sqrt(b) - Math.sqrt(state.sigma_b2));
  const moved = ({name, w, b}) => ({activation: name, sigma_w2: w, sigma_b2: b, depth: DEPTH});
  define("profile", {
    state: {activation: "sigmoid", sigma_w2: 1, sigma_b2: 0, depth: DEPTH, measured: "none"},
    controls: [
      {key: "activation", label: "Activation", type: "choice",
        options: Object.entries(PHI).map(([name, {label}]) => [name, label])},
      {key: "sigma_w2", label: "Weights, σ_w²", type: "range", min: 0.05, max: 20, step: 0.05},
      {key: "sigma_b2", label: "Biases, σ_b²", type: "range", min: 0, max: 4, step: 0.05},
      {key: "depth", label: "Depth", type: "range", min: 5, max: 100},
      {key: "measured", label: "Measured networks", type: "choice",
        options: [["none", "none here"], ...SETTINGS.map(({key, name, w, b}) =>
          [key, `${PHI[name].label}, ${w}${b ? `, biases ${b}` : ""}`])],
        act: (state, chosen) => {
          const setting = SETTINGS.find(({key}) => key === chosen);
          return setting ? moved(setting) : {};
        }},
      {label: "Nearest measured", type: "button", act(state) {
        const own = SETTINGS.filter(({name}) => name === state.activation);
        own.sort((one, other) => far(state, one) - far(state, other));
        Object.assign(state, moved(own[0]));
      }},
    ],
    mend(state) { state.measured = measuredAt(state)[0]?.key ?? "none"; },
    compute,
    draw,
    describe,
  });
})();
