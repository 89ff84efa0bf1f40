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
  gain.title = one.interval;
  row.append(made("span", one.label, "name"), track, time, gain);
  return { ...one, row, bar, time, gain };
}

function lanesScreen(place, data) {
  place.replaceChildren();
  for (const [name, value] of Object.entries(data.colours)) {
    place.style.setProperty(`--${name}`, value);
  }
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
    "Light: waiting for the embedding. Full: Milvus and the client. The same rows from all, checked.",
    "small dim",
  );
  const caveat = made("p", "", "small");
  place.append(title, source, row, rows, legend, caveat);

  let lanes = [];
  let frame = 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const draw = (clock, slowest) => {
    for (const one of lanes) {
      const share = Math.min(clock, one.took_s) / slowest;
      one.bar.style.width = `${100 * share}%`;
      const done = clock >= one.took_s;
      one.time.textContent = done ? one.shown : `${clock.toFixed(one.took_s < 10 ? 2 : 1)} s`;
      one.gain.style.visibility = done ? "visible" : "hidden";
    }
  };

  const play = (factor) => {
    cancelAnimationFrame(frame);
    const slowest = Math.max(...lanes.map((one) => one.took_s));
    const times = factor || Math.max(1, (1000 * slowest) / PLAYED_MS);
    speed.textContent =
      times === 1 ? "played as it was" : `played ${times.toFixed(times < 2 ? 1 : 0)}× faster`;
    if (still && !factor) {
      speed.textContent = "at its end";
      draw(slowest, slowest);
      return;
    }
    let started = null;
    const step = (now) => {
      started ??= now;
      const clock = ((now - started) / 1000) * times;
      draw(Math.min(clock, slowest), slowest);
      if (clock < slowest) frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
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
  return () => cancelAnimationFrame(frame);
}
