// The race of two lanes: one cell a call, filled in the order in which the calls ended.
// It plays once, and again at a press. Where reduced motion is asked for, it stands still at the
// moment in which the faster lane is done.

const RUN_MS = 6000;

function lane(one) {
  const box = document.createElement("div");
  box.className = "lane";
  const name = document.createElement("div");
  name.className = "name";
  const cells = document.createElement("div");
  cells.className = "cells";
  cells.style.setProperty("--hue", one.colour);
  cells.style.setProperty("--across", Math.min(50, one.cells.length));
  for (let i = 0; i < one.cells.length; i += 1) cells.append(document.createElement("i"));
  box.append(name, cells);
  return { ...one, box, name, places: [...cells.children] };
}

function draw(lanes, clock) {
  for (const one of lanes) {
    let done = 0;
    one.cells.forEach(([start, end, toCall], i) => {
      const state = end <= clock ? "done" : start <= clock ? "flying" : "";
      if (state === "done") done = toCall;
      if (one.places[i].className !== state) one.places[i].className = state;
    });
    // While it runs, the clock of the repeat that is drawn; at its end, the time of all repeats.
    const running = `${Math.min(clock, one.wall).toFixed(one.wall < 10 ? 2 : 1)} s`;
    const shown = clock < one.wall ? running : one.shown;
    const text = `${one.label} · ${done} of ${one.total} · ${shown}`;
    if (one.name.textContent !== text) one.name.textContent = text;
  }
}

function race(place, data) {
  place.replaceChildren();
  const picture = document.createElement("div");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", data.finding);
  const lanes = data.lanes.map(lane);
  for (const one of lanes) picture.append(one.box);
  place.append(picture);
  const replay = document.createElement("button");
  replay.type = "button";
  replay.textContent = "Replay";
  const slowest = Math.max(...lanes.map((one) => one.wall));
  const fastest = Math.min(...lanes.map((one) => one.wall));
  let frame = 0;
  let started = null;
  const step = (now) => {
    started ??= now;
    const part = Math.min(1, (now - started) / RUN_MS);
    draw(lanes, part * slowest);
    if (part < 1) frame = requestAnimationFrame(step);
  };
  const play = () => {
    cancelAnimationFrame(frame);
    started = null;
    frame = requestAnimationFrame(step);
  };
  replay.addEventListener("click", play);
  place.append(replay);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) draw(lanes, fastest);
  else play();
  return () => cancelAnimationFrame(frame);
}
