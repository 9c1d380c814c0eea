/* Lives of units in recorded training runs, the table experiments/unit_lives.csv: what
   probes.measure found at each census. */
(() => {
  "use strict";
  const {define, make, say, titled} = Explorables;
  const {RATES, SEEDS, STEPS, UNITS, RUNS} = Explorables.data.lives;
  const GRID = [...new Set(Object.values(RATES).flat())].sort((a, b) => a - b);
  const LAYERS = [0, 1], EACH = Array.from({length: UNITS}, (_, unit) => unit);
  const LAST = STEPS.length - 1, SIDE = Math.sqrt(UNITS), ALL = LAYERS.length * UNITS;
  const DEAD = 0, SPARSE = 1, ALIVE = 2, CODES = {d: DEAD, s: SPARSE, a: ALIVE};
  const count = (values, test) => values.filter(test).length;
  const lowest = ({optimizer}) => GRID.indexOf(RATES[optimizer][0]);

  /* A run with its lives spelt out: lives[layer][unit][census] is DEAD, SPARSE or ALIVE. */
  const opened = {};
  function run({optimizer, rate}, seed) {
    const name = `${optimizer} ${GRID[rate]} ${seed}`;
    if (!opened[name]) {
      const [accuracy, short] = RUNS[name];
      const long = short.replace(/(\d+)(\D)/g, (_, times, letter) => letter.repeat(times));
      const life = (layer, unit) => {
        const start = (layer * UNITS + unit) * STEPS.length;
        return [...long.slice(start, start + STEPS.length)].map((letter) => CODES[letter]);
      };
      opened[name] = {accuracy: accuracy.map((share) => share / 10000),
        lives: LAYERS.map((layer) => EACH.map((unit) => life(layer, unit)))};
    }
    return opened[name];
  }

  const was_dead = (life, time) => life.slice(0, time).includes(DEAD);
  const revived = (life, time) => life[time] !== DEAD && was_dead(life, time);
  const killed = (life, time) => life[time] === DEAD && life[0] !== DEAD;

  /* Sparse and revived units are among the living, killed ones among the dead. */
  function compute(state) {
    const {time, seed} = state, {accuracy, lives} = run(state, seed);
    const per_layer = (test) => lives.map((layer) => count(layer, test));
    const share = SEEDS.flatMap((each) => run(state, each).lives.map((layer) =>
      STEPS.map((_, t) => count(layer, (life) => life[t] === DEAD) / UNITS)));
    return {
      step: STEPS[time],
      rate: GRID[state.rate],
      alive: per_layer((life) => life[time] !== DEAD),
      sparse: per_layer((life) => life[time] === SPARSE),
      revived: per_layer((life) => revived(life, time)),
      dead: per_layer((life) => life[time] === DEAD),
      killed: per_layer((life) => killed(life, time)),
      share,
      accuracy,
      units: lives.map((layer) => layer.map((life) => life[time])),
      back: lives.map((layer) => layer.map((life) => Number(revived(life, time)))),
    };
  }

  /* A square is alive, a triangle alive again, a cross dead; a small one is sparse. */
  function mark(status, back, x, y, size) {
    const r = size * (status === SPARSE ? 0.17 : 0.36), place = `translate(${x} ${y})`;
    if (status === DEAD) return make("svg:path", {transform: place, stroke: "#d55e00",
      "stroke-width": 0.14 * size, d: `M${-0.25 * size} ${-0.25 * size}l${size / 2} ${size / 2}m0 ${
        -size / 2}l${-size / 2} ${size / 2}`});
    const d = back ? `M0 ${-1.25 * r}L${1.3 * r} ${r}H${-1.3 * r}Z`
      : `M${-r} ${-r}H${r}V${r}H${-r}Z`;
    return make("svg:path", {transform: place, fill: back ? "#009e73" : "#0072b2", d});
  }

  const text = (x, y, anchor, content) => make("svg:text", {x, y, "text-anchor": anchor,
    "font-size": 11, fill: "currentColor", style: "font-variant-numeric: tabular-nums"}, content);
  const line = (attributes) => make("svg:path", {fill: "none", stroke: "currentColor",
    ...attributes});
  const SEED = {stroke: "#d55e00", "stroke-width": 2.2}, OTHER = {stroke: "#d55e00",
    "stroke-width": 1, "stroke-opacity": 0.85}, RIGHT = {"stroke-dasharray": "2 2.5",
    "stroke-width": 1.4}, NOW = {"stroke-opacity": 0.6};

  /* The units of one layer, and under them the share of them dead over time. */
  function column(layer, {time, seed}, {units, back, share, accuracy, alive, dead}, lives) {
    const size = 17, grid = SIDE * size, left = 30, top = grid + 16, width = grid - left - 12;
    const height = 78, bottom = top + height;
    const x = (step) => left + width * step / STEPS[LAST], y = (value) => bottom - height * value;
    const path = (values) => `M${values.map((value, t) => `${x(STEPS[t])} ${y(value)}`).join("L")}`;
    const picture = make("svg:svg", {viewBox: `-1 -1 ${grid + 2} ${bottom + 19}`, role: "img",
      style: "display: block; width: 100%", "aria-label": `Layer ${layer + 1} at step ${
        STEPS[time]}: ${alive[layer]} units alive, ${dead[layer]} dead; share dead over time`});
    for (const unit of EACH) {
      const left_of = unit % SIDE * size, above = Math.floor(unit / SIDE) * size;
      const status = units[layer][unit], life = lives[layer][unit];
      const words = [["dead", "sparse", "alive"][status],
        ...(back[layer][unit] ? ["revived"] : []), ...(killed(life, time) ? ["killed"] : [])];
      const cell = make("svg:g", {}, make("svg:title", {}, `Unit ${unit}: ${words.join(", ")}`),
        make("svg:rect", {x: left_of, y: above, width: size, height: size,
          fill: "var(--pst-color-background)", stroke: "var(--pst-color-border)"}),
        mark(status, back[layer][unit], left_of + size / 2, above + size / 2, size));
      picture.append(cell);
    }
    for (const value of [0, 0.5, 1]) {
      picture.append(line({d: `M${left} ${y(value)}h${width}`, "stroke-opacity": 0.25}),
        text(left - 4, y(value) + 4, "end", value === 1 ? "1" : say(value, 1)));
    }
    [0, STEPS[LAST] / 2, STEPS[LAST]].forEach((step, k) =>
      picture.append(text(x(step), bottom + 14, "middle", k === 1 ? "step" : String(step))));
    SEEDS.filter((each) => each !== seed).forEach((each) => picture.append(
      line({...OTHER, d: path(share[SEEDS.indexOf(each) * LAYERS.length + layer])})));
    picture.append(line({...RIGHT, d: path(accuracy)}), line({...NOW,
      d: `M${x(STEPS[time])} ${top - 4}V${bottom}`}));
    const own = share[SEEDS.indexOf(seed) * LAYERS.length + layer];
    picture.append(line({...SEED, d: path(own)}), make("svg:circle", {cx: x(STEPS[time]),
      cy: y(own[time]), r: 3.5, fill: "#d55e00"}));
    return titled(`Layer ${layer + 1}`, "flex: 1 1 138px; max-width: 215px; min-width: 0", picture);
  }

  /* Counts that are a key of the marks as well. */
  function table(state, numbers) {
    const icon = (...parts) => make("svg:svg", {viewBox: "0 0 32 16", width: 32, height: 16,
      style: "vertical-align: middle", "aria-hidden": "true"}, ...parts);
    const cell = (content) => make("td", {style: "text-align: right; padding: 0 0 0 0.8rem"},
      content);
    const row = (label, key, ...parts) => make("tr", {}, make("th", {scope: "row",
      style: "font-weight: normal; text-align: left; white-space: nowrap"}, icon(...parts), label),
    ...numbers[key].map((value) => cell(String(value))));
    const stroke = (look) => icon(line({...look, d: "M2 8H28"}));
    const key = (label, look) => make("div", {}, stroke(look), ` ${label}`);
    const accuracy = say(100 * numbers.accuracy[state.time], 1);
    return titled(`After ${numbers.step} steps`, "flex: 1 1 200px; font-size: 0.9rem",
      make("table", {style: "margin: 0 0 0.5rem; width: auto; border-collapse: collapse"},
        make("tr", {}, make("td"), ...LAYERS.map((layer) => make("th", {scope: "col",
          style: "font-weight: normal; text-align: right; padding: 0 0 0 0.8rem"},
        `layer ${layer + 1}`))),
        row(" alive", "alive", mark(ALIVE, 0, 16, 8, 16)),
        row(" … sparse", "sparse", mark(SPARSE, 0, 8, 8, 16), mark(SPARSE, 1, 24, 8, 16)),
        row(" … revived", "revived", mark(ALIVE, 1, 8, 8, 16), mark(SPARSE, 1, 24, 8, 16)),
        row(" dead", "dead", mark(DEAD, 0, 16, 8, 16)),
        row(" … killed", "killed")),
      key("share dead, this seed", SEED), key("share dead, other seeds", OTHER),
      key(`training accuracy: ${accuracy} %`, RIGHT));
  }

  /* Playing moves the time step by step, until it ends or the time is moved otherwise. */
  const player = {timer: 0, time: 0};
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  function stop() {
    clearInterval(player.timer);
    player.timer = 0;
  }
  function play(set, time) {
    if (player.timer) stop();
    else {
      player.time = time === LAST ? 0 : time;
      player.timer = setInterval(() => {
        if (player.time === LAST) stop();
        else player.time += 1;
        set({time: player.time});
      }, 700);
    }
    set({time: player.timer ? player.time : time});
  }

  function draw(stage, state, numbers, set) {
    if (player.timer && state.time !== player.time) stop();
    const {lives} = run(state, state.seed);
    const button = make("button", {type: "button", "data-key": "play", style: "margin-top: 0.7rem",
      onclick: () => play(set, state.time)}, player.timer ? "Pause" : "Play");
    stage.replaceChildren(...(calm.matches ? [] : [button]), make("div", {class: "explorable-row"},
      ...LAYERS.map((layer) => column(layer, state, numbers, lives)), table(state, numbers)));
  }

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  function describe({optimizer, seed, time}, {step, rate, dead, sparse, revived, killed: lost,
    share, accuracy}) {
    if (player.timer) return "The run is playing. Pause it, and its counts stand here.";
    const others = SEEDS.filter((each) => each !== seed).map((each) => sum(LAYERS.map((layer) =>
      Math.round(UNITS * share[SEEDS.indexOf(each) * LAYERS.length + layer][time]))));
    const are = (number) => (number === 1 ? "1 is" : `${number} are`);
    return `After ${step} steps at rate ${rate} (${optimizer}, seed ${seed}) ${sum(dead)} of ${
      ALL} units are dead: ${dead[0]} in layer 1, ${dead[1]} in layer 2; ${
      sum(lost)} of them killed since the start. Of the living, ${are(sum(sparse))} sparse, and ${
      are(sum(revived))} revived: dead at an earlier census. Training accuracy is ${
      say(100 * accuracy[time], 1)} %. With the other seeds, ${
      others.slice(0, -1).join(", ")} and ${others.at(-1)} are dead.`;
  }

  define("lives", {
    state: {optimizer: "Adam", rate: GRID.indexOf(0.03), time: LAST, seed: 1},
    controls: [
      {key: "optimizer", label: "Optimiser", type: "choice",
        options: Object.keys(RATES).map((name) => [name, name])},
      {key: "rate", label: "Learning rate", type: "range", min: lowest,
        max: (state) => lowest(state) + RATES[state.optimizer].length - 1,
        format: (rate) => String(GRID[rate])},
      {key: "time", label: "Time", type: "range", min: 0, max: LAST,
        format: (time) => `step ${STEPS[time]}`},
      {key: "seed", label: "Seed", type: "choice", options: SEEDS.map((seed) => [seed, `${seed}`])},
    ],
    compute,
    draw,
    describe,
  });
})();
