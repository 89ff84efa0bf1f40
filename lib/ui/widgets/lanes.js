// The first screen: four ways of one work, by how long an embedding takes. The control moves
// headline, lanes and caveat together, without asking the server. Bars fill as long as the work
// took, faster by a factor that is said; once, and again at a press. Where reduced motion is asked
// for, they stand at their ends.

const PLAYED_MS = 6000;

const made = (tag, text = "", classes = "") => {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = classes;
  return node;
};

function lane(one) {
  const row = made("div", "", "lane");
  row.style.setProperty("--hue", one.colour);
  const track = made("div", "", "track");
  const bar = made("div", "", "bar");
  const waits = made("i");
  waits.style.width = `${100 * one.waits}%`;
  bar.append(waits);
  track.append(bar);
  const time = made("span", one.shown, "time");
  const gain = made("span", one.gain, "gain");
  const interval = made("span", one.interval, "interval dim");
  interval.title = one.interval && "95% interval";
  row.append(made("span", one.label, "name"), track, time, gain, interval);
  return { ...one, row, bar, time, gain, interval };
}

// The widest name, in em; a letter takes about half of one, and its square and a gap stand before.
const nameWidth = (lanes) =>
  `${Math.min(16, Math.max(8, 1.6 + 0.54 * Math.max(...lanes.map((one) => one.label.length))))}em`;

// What the two columns of numbers mean, where that is not a time and a gain.
function headsOf([value, gain]) {
  const row = made("div", "", "lane heads");
  row.append(made("span"), made("span"), made("span", value, "time"),
    made("span", gain, "gain"), made("span", "", "interval"));
  return row;
}

// Draw lanes as they stand at a moment, in seconds.
function drawLanes(lanes, clock) {
  const longest = Math.max(...lanes.map((one) => one.of || one.value));
  for (const one of lanes) {
    one.bar.style.width = `${(100 * Math.min(clock, one.value)) / longest}%`;
    const done = clock >= one.value;
    one.time.textContent = done ? one.shown : `${clock.toFixed(one.value < 10 ? 2 : 1)} s`;
    for (const said of [one.gain, one.interval]) {
      said.style.visibility = done ? "visible" : "hidden";
    }
  }
}

// Fill the bars once, as many times faster than it was; returns what stops it.
function playLanes(lanes, times) {
  const longest = Math.max(...lanes.map((one) => one.value));
  let frame = 0;
  let started = null;
  const step = (now) => {
    started ??= now;
    const clock = ((now - started) / 1000) * times;
    drawLanes(lanes, Math.min(clock, longest));
    if (clock < longest) frame = requestAnimationFrame(step);
  };
  frame = requestAnimationFrame(step);
  return () => cancelAnimationFrame(frame);
}

// The speed at which lanes fill in six seconds; slow ones only.
const speedOf = (lanes) =>
  Math.max(1, (1000 * Math.max(...lanes.map((one) => one.value))) / PLAYED_MS);

const speedText = (times) =>
  times === 1 ? "played as it was" : `played ${times.toFixed(times < 2 ? 1 : 0)}× faster`;

const standsStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Bars at rest, or played once.
function lanesAlone(place, bars, plays = false, heads = null) {
  const lanes = bars.map(lane);
  const rows = lanes.map((one) => one.row);
  if (heads) rows.unshift(headsOf(heads));
  place.style.setProperty("--name", nameWidth(bars));
  if (!bars.some((one) => one.gain)) rows.forEach((row) => row.classList.add("timed"));
  if (!bars.some((one) => one.interval)) rows.forEach((row) => row.classList.add("bare"));
  place.replaceChildren(...rows);
  if (plays && !standsStill()) return playLanes(lanes, speedOf(lanes));
  drawLanes(lanes, Infinity);
  return () => {};
}

const drawnAs = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};

// What a neighbour waited over time, as high as its share of the longest wait of any.
const LINE = { width: 560, height: 40 };
function waiting(one, longest) {
  const high = LINE.height - 3;
  const points = one.waits_s.map((wait, i) =>
    [(LINE.width * i) / (one.waits_s.length - 1), LINE.height - 1 - (high * wait) / longest]);
  const picture = drawnAs("svg", {
    viewBox: `0 0 ${LINE.width} ${LINE.height}`, preserveAspectRatio: "none", "aria-hidden": true,
  });
  const text = points.map((at) => at.join()).join(" ");
  picture.append(
    drawnAs("polygon", { points: `0,${LINE.height} ${text} ${LINE.width},${LINE.height}` }),
    drawnAs("polyline", { points: text }),
  );
  const row = made("div", "", "waits");
  row.style.setProperty("--hue", one.colour);
  row.append(made("span", one.label, "name"), picture, made("span", one.shown, "gain"));
  return row;
}

// What others on the same server wait meanwhile.
function neighbour(data) {
  const told = made("div");
  told.append(made("h2", data.title), made("p", data.said, "small dim"));
  const lines = made("div");
  const longest = Math.max(...data.lanes.flatMap((one) => one.waits_s));
  lines.append(...data.lanes.map((one) => waiting(one, longest)));
  const box = made("section", "", "neighbour");
  box.append(told, lines);
  return box;
}

function lanesScreen(place, data) {
  place.replaceChildren();
  const title = made("h1");
  const source = made("p", "", "dim");
  const choice = made("div", "", "choice");
  choice.setAttribute("role", "radiogroup");
  choice.setAttribute("aria-label", "An embedding takes");
  const speed = made("span");
  const replay = made("button", "Replay", "link");
  const real = made("button", "Real speed", "link");
  const end = made("span", "", "small dim end");
  end.append(speed, " · ", replay, " · ", real);
  const row = made("div", "", "row");
  row.append(made("span", "An embedding takes", "small dim"), choice, end);
  const rows = made("div");
  const legend = made(
    "p",
    "Light: waiting for the embedding. Full: Milvus and the client. All four returned the same results (checked).",
    "small dim",
  );
  const caveat = made("p", "", "small");
  place.append(title, source, row, rows, legend, caveat);
  if (data.neighbour) place.append(neighbour(data.neighbour));

  let lanes = [];
  let stop = () => {};

  const play = (factor) => {
    stop();
    const times = factor || speedOf(lanes);
    speed.textContent = speedText(times);
    if (standsStill() && !factor) {
      speed.textContent = "at its end";
      drawLanes(lanes, Infinity);
      return;
    }
    stop = playLanes(lanes, times);
  };

  const show = (chosen) => {
    const position = data.positions[chosen];
    title.textContent = position.headline;
    source.textContent = position.source;
    caveat.textContent = position.caveat;
    [...choice.children].forEach((button, i) => {
      button.setAttribute("aria-checked", i === chosen);
      button.tabIndex = i === chosen ? 0 : -1;
    });
    lanes = position.lanes.map(lane);
    rows.replaceChildren(...lanes.map((one) => one.row));
    play(0);
  };

  data.positions.forEach((position, i) => {
    const button = made("button", position.label);
    button.type = "button";
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => show(i));
    choice.append(button);
  });
  choice.addEventListener("keydown", (pressed) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[pressed.key];
    if (!step) return;
    pressed.preventDefault();
    const buttons = [...choice.children];
    const next = (buttons.indexOf(pressed.target) + step + buttons.length) % buttons.length;
    show(next);
    buttons[next].focus();
  });
  replay.addEventListener("click", () => play(0.0));
  real.addEventListener("click", () => play(1));
  show(data.positions.length - 1);
  return () => stop();
}
