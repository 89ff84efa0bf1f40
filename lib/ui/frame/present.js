// Presentation mode: all slides are here from the start, so nothing more is asked of the server.

const KEYS = {
  ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1,
  ArrowLeft: -1, ArrowUp: -1, PageUp: -1,
};
// Controls are hidden after this long without a movement.
const QUIET_MS = 2000;
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
  const memory = "milvus-async-lab-slide-" + data.run;
  let at = Math.min(Number(sessionStorage.getItem(memory)) || 0, data.slides.length - 1);
  let notes = null; // the window of the notes, or true where they stand on the slide
  let stop = () => {};
  let resting = 0;

  function picture(slide) {
    const place = element("div", "", { id: "picture" });
    if (slide.lanes) {
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", slide.lanes.map((one) => `${one.label} ${one.shown}`).join(", "));
      const rows = element("div");
      // Bars that are no times, which their heads say, are not played as times.
      stop = lanesAlone(rows, slide.lanes, !slide.heads, slide.heads);
      place.append(rows);
      if (!standsStill() && !slide.heads) place.append(element("p", speedText(speedOf(slide.lanes)), { class: "dim" }));
    } else if (slide.image) {
      place.append(element("img", "", { src: slide.image, alt: slide.lines[0] || slide.statement }));
    }
    return place;
  }

  function awake() {
    stage.classList.remove("quiet");
    clearTimeout(resting);
    resting = setTimeout(() => stage.classList.add("quiet"), QUIET_MS);
  }

  // The second window is for the speaker; without one, notes stand below the slide.
  function toggleNotes() {
    if (notes) {
      if (notes !== true) notes.close();
      notes = null;
    } else {
      notes = window.open("", "milvus-async-lab-notes", "width=700,height=500") || true;
    }
    show();
  }

  function tellNotes(slide) {
    if (notes === true) {
      stage.append(element("div", slide.notes, { id: "notes" }));
    } else if (notes && !notes.closed) {
      notes.document.title = "Notes";
      notes.document.body.style.font = "24px sans-serif";
      notes.document.body.textContent = `${at + 1} of ${data.slides.length}. ${slide.notes}`;
    }
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
    const slide = data.slides[at];
    const drawn = slide.lanes || slide.image;
    const lines = element("ul", "", drawn ? {} : { class: "large" });
    for (const line of slide.lines) lines.append(element("li", line));
    const back = button("← Back", () => go(-1));
    back.disabled = at === 0;
    const next = button("Next →", () => go(1), { class: "next" });
    next.disabled = at === data.slides.length - 1;
    const bar = element("nav", "", { "aria-label": "Steps" });
    bar.append(
      back,
      next,
      button("Notes", toggleNotes, { "aria-pressed": String(Boolean(notes)) }),
      element("span", `${at + 1} of ${data.slides.length}`, { id: "count" }),
      button("Close", close),
    );
    const below = drawn ? [picture(slide), lines] : [lines];
    stage.replaceChildren(element("h1", slide.statement), ...below);
    tellNotes(slide);
    stage.append(element("div", data.source, { id: "source" }), bar);
    awake();
  }

  function go(by) {
    at = Math.max(0, Math.min(data.slides.length - 1, at + by));
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
    else if (event.key === "Home") go(-data.slides.length);
    else if (event.key === "End") go(data.slides.length);
    else if (event.key === "n") toggleNotes();
    else if (event.key === "f") {
      if (document.fullscreenElement) document.exitFullscreen();
      else document.documentElement.requestFullscreen();
    }
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  window.addEventListener("keydown", pressed, true);
  window.addEventListener("pointermove", awake);
  show();
  clean = () => {
    stop();
    clearTimeout(resting);
    window.removeEventListener("keydown", pressed, true);
    window.removeEventListener("pointermove", awake);
  };
  return clean;
}
