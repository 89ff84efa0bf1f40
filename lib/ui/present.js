// Presentation mode: all steps are here from the start, so nothing more is asked of the server.

const KEYS = {
  ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1,
  ArrowLeft: -1, ArrowUp: -1, PageUp: -1,
};
let clean = () => {};

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export default function ({ data, parentElement, setTriggerValue }) {
  clean();
  const stage = parentElement.querySelector("#stage");
  const memory = "milvus-async-lab-step-" + data.run;
  let at = Math.min(Number(sessionStorage.getItem(memory)) || 0, data.steps.length - 1);
  let notes = false;
  let stop = () => {};

  function picture(step) {
    const place = element("div", "", { id: "picture" });
    if (step.race) {
      const lanes = element("div");
      place.append(lanes);
      stop = race(lanes, step.race);
    } else if (step.image) {
      place.append(element("img", "", { src: step.image, alt: step.statement }));
    }
    return place;
  }

  function button(label, act, attributes = {}) {
    const made = element("button", label, { type: "button", ...attributes });
    made.onclick = act;
    return made;
  }

  function show() {
    stop();
    stop = () => {};
    sessionStorage.setItem(memory, String(at));
    const step = data.steps[at];
    const drawn = step.race || step.image;
    const lines = element("ul", "", drawn ? {} : { class: "large" });
    for (const line of step.lines) lines.append(element("li", line));
    const back = button("← Back", () => go(-1));
    back.disabled = at === 0;
    const next = button("Next →", () => go(1), { class: "next" });
    next.disabled = at === data.steps.length - 1;
    const bar = element("nav", "", { "aria-label": "Steps" });
    bar.append(
      back,
      next,
      button("Notes", () => { notes = !notes; show(); }, { "aria-pressed": String(notes) }),
      element("span", `${at + 1} of ${data.steps.length}`, { id: "count" }),
      button("Close", close),
    );
    const below = drawn ? [picture(step), lines] : [lines, picture(step)];
    stage.replaceChildren(element("h1", step.statement), ...below);
    if (notes && step.notes) stage.append(element("div", step.notes, { id: "notes" }));
    stage.append(element("small", data.source), bar);
  }

  function go(by) {
    at = Math.max(0, Math.min(data.steps.length - 1, at + by));
    show();
  }

  function close() {
    sessionStorage.removeItem(memory);
    setTriggerValue("closed", true);
  }

  function pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && event.composedPath()[0].tagName === "BUTTON") return;
    if (event.key in KEYS) go(KEYS[event.key]);
    else if (event.key === "n") { notes = !notes; show(); }
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  window.addEventListener("keydown", pressed, true);
  show();
  clean = () => {
    stop();
    window.removeEventListener("keydown", pressed, true);
  };
  return clean;
}
