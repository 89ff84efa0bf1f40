"""The batches of an ingestion as they go in: each a bar from its start to its end."""

from lib.charts.theme import family_colour
from lib.jobs import Job
from lib.ui.visitor.component import component
from lib.ui.widgets.race import colour_mode

JS = """
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector("#batches");
  const [{ spans, colour }] = data;
  const first = Math.min(...spans.map(([start]) => start));
  const last = Math.max(...spans.map(([, end]) => end));
  place.style.setProperty("--hue", colour);
  place.ariaLabel = `The last ${spans.length} batches, each from its start to its end`;
  place.replaceChildren(...spans.map(([start, end]) => {
    const bar = document.createElement("i");
    bar.style.left = `${(100 * (start - first)) / (last - first)}%`;
    bar.style.width = `${(100 * (end - start)) / (last - first)}%`;
    return bar;
  }));
}
"""
CSS = """
i { display: block; position: relative; height: 4px; min-width: 2px; margin-bottom: 1px;
  border-radius: 2px; background: var(--hue); }
"""


def show_waterfall(job: Job) -> None:
    """Draw the last batches of a running ingestion, once there are some."""
    spans = job.progress.detail.get("spans")
    if not spans:
        return
    family = "async" if job.progress.detail.get("mode") == "gather" else "loop"
    component("batches", html='<div id="batches" role="img"></div>', css=CSS, js=JS)(
        key="ingestion_batches",
        # In a list: Streamlit would load pandas to look for tables among the values of a dict.
        data=[{"spans": spans, "colour": family_colour(family, colour_mode())}],
    )
