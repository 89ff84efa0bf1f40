"""A run → files: JSON, CSV, slides, and one HTML report that opens without a network."""

import base64
import gzip
import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from lib.charts import data as chart_data
from lib.charts.theme import FAMILIES, VEGA_LITE_VERSION, family_colour, vega_config
from lib.results import findings, published, run_file
from lib.results.analysis import Analysis, analyse
from lib.results.findings import ALONE, Beside
from lib.results.trials import Run
from lib.runs import card, pictures
from lib.runs.card import Card
from lib.runs.pictures import DRAWING, ENGINE, Figure, OnPart, figures, said, unwatched
from lib.words import inert, rate_text
from lib.workers import work
from lib.workers.work import Limits

# What the bundled chart runtime leaves behind for the page's own script.
EXPOSE = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Export:
    """One kind of file that a run can become; one that `is_slow` takes seconds."""

    name: str
    label: str
    suffix: str
    mime: str
    make: Callable[..., bytes]  # of a run, the recorded runs beside it and, if wanted, a `Step`
    is_slow: bool = False
    # Further arguments of `make` that are the same for all runs.
    given: Callable[[], dict[str, Any]] = dict


def write(
    export: Export,
    run: Run,
    beside: Beside,
    path: Path,
    *,
    limits: Limits = DRAWING,
    check: Callable[[], None] = lambda: None,
    step: OnPart = unwatched,
) -> None:
    """Write a run's file of this kind, in a worker; what `check` raises ends it.

    Raises OutOfTime, OutOfMemory, Ended and NotStarted.
    """
    limits = replace(limits, what=export.label, done="made")
    with said(limits):
        given = export.given()
        work.run(
            _write, export.name, run, beside, path, given,
            limits=limits, modules=ENGINE, check=check, on_progress=lambda told: step(*told),
        )  # fmt: skip


def _write(
    name: str,
    run: Run,
    beside: Beside,
    path: Path,
    given: dict[str, Any],
    tell: Callable[[tuple[int, int]], None],
) -> None:
    def step(done: int, total: int) -> None:
        tell((done, total))

    path.write_bytes(EXPORTS[name].make(run, beside, step, **given))


def _deck(run: Run, beside: Beside, step: OnPart = unwatched) -> bytes:
    # Imported at first use: python-pptx takes a third of a second and ten megabytes.
    from lib.runs import decks

    return decks.deck(run, beside, step)


def csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV whose texts no spreadsheet takes for formulas."""
    # A column of hundreds of thousands of cells has a handful of texts.
    for name in frame.select_dtypes(exclude=["number", "bool"]).columns:
        written = {text: inert(text) for text in frame[name].unique()}
        frame = frame.assign(**{name: frame[name].map(written)})
    return frame.to_csv(index=False).encode()


STYLE = """
:root { color-scheme: light dark; --line: #d3d9e0; }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, p, li, dd, .loss { overflow-wrap: anywhere; }
h1 { font-size: 2rem; line-height: 1.2; } h2 { font-size: 1.35rem; margin-top: 2.5rem; }
header { border: 1px solid var(--line); border-radius: .9rem; padding: .5rem 1.5rem; }
header table { width: 100%; font-size: 1rem; } header td, header th { border: 0;
  white-space: nowrap; }
header h1 { margin: .5rem 0; } .track { width: 50%; } .track i { display: block; height: 1.3rem; }
.track i { min-width: 3px; border-radius: 4px; }
.loss { font-size: 2rem; font-weight: bold; line-height: 1.2; margin-bottom: .25rem; }
figure[data-spec] { display: block; margin: 1.5rem 0; overflow-x: auto; }
figure[data-spec] svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .85rem; } .scroll { overflow-x: auto; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; }
td:first-child, th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
pre { white-space: pre-wrap; } code { overflow-wrap: anywhere; } .quiet { opacity: .75; }
"""

SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
async function read(id) {
  const element = document.getElementById(id);
  if (element.type === "application/json") return JSON.parse(element.textContent);
  const packed = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).json();
}
(async () => {
  const config = (await read("config"))[dark ? "dark" : "light"];
  for (const place of document.querySelectorAll("figure[data-spec]")) {
    try {
      const spec = await read(place.dataset.spec);
      await vegaEmbed(place, spec, { config, renderer: "svg", actions: false });
    } catch (error) { place.textContent = "This chart could not be drawn: " + error.message; }
  }
})();
"""


def html_report(
    run: Run, beside: Beside = ALONE, step: OnPart = unwatched, script: str = ""
) -> bytes:
    """Return one self-contained page: text, charts, the chart runtime; nothing is loaded from
    anywhere.

    `beside` are recorded runs without which the run's figures would mislead. Whatever a file or a
    person may have written is escaped. `script` is the `runtime` where it was made before.
    """
    drawings = "\n".join(
        drawing(figure, f"spec-{i}", packed=False)
        for i, figure in enumerate(figures(analyse(run), step))
    )
    body = f"{sections(analyse(run), beside, drawings)}\n<script>{script or runtime()}</script>"
    return page(findings.headline(analyse(run)), body)


def page(title: str, body: str, *, scripts: str = "") -> bytes:
    """Return a page around a body that loads the chart runtime; it draws what `drawing` placed.

    `scripts` is where scripts may come from beside the page itself, as in a content policy.
    """
    configs = {mode: vega_config(mode) for mode in ("light", "dark")}
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline' 'unsafe-eval'{scripts}; style-src 'unsafe-inline'; img-src data:">
<title>{_text(title)}</title>
<style>{STYLE}{_hues("light")}@media (prefers-color-scheme: dark) {{ {_hues("dark")} }}</style>
</head>
<body>
{body}
<script type="application/json" id="config">{_json(configs)}</script>
<script>{SCRIPT}</script>
</body>
</html>
""".encode()


def _hues(mode: str) -> str:
    """Return the style of bars: what a colour means."""
    return "".join(
        f".track .{family} {{ background: {family_colour(family, mode)}; }}" for family in FAMILIES
    )


def drawing(figure: Figure, name: str, *, packed: bool) -> str:
    """Return a chart's place in a page and its specification, `packed` in a tenth of the room."""
    text, kind = _json(figure.spec), "application/json"
    if packed:
        # Without the time, which gzip writes down otherwise: the same run gives the same page.
        text = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
        kind = "application/gzip"
    return (
        f'<h2>{_text(figure.title)}</h2>\n<figure data-spec="{name}" role="img" '
        f'aria-label="{_text(figure.finding)}"></figure>\n'
        f'<script type="{kind}" id="{name}">{text}</script>'
    )


def sections(found: Analysis, beside: Beside, drawings: str) -> str:
    """Return what the report says, in the order of reading, around its drawings."""
    run, told = found.run, card.of(found, beside)
    return f"""<p class="quiet">{_text(told.note)}</p>
{_card(told, findings.headline(found))}
{_list("What follows", told.advised)}
{_losses(told)}
{_warnings(told)}
{drawings}
{_published(found)}
<h2>All figures</h2>
<div class="scroll">{_table(chart_data.summary(found))}</div>
<h2>Method and environment</h2>
<p>{told.method}</p>
<dl>{_environment(run)}</dl>
<p>The same run from a terminal:</p>
<pre><code>{_text(findings.command(run))}</code></pre>"""


@lru_cache(maxsize=1)
def runtime() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which contains no end tag."""
    # Bundling takes over a second.
    bundle: str = work.run(_bundle, limits=replace(DRAWING, what="The chart runtime", done="made"))
    return bundle.replace("</script", "<\\/script")


def _bundle() -> str:
    import vl_convert  # loaded where a report is made

    return str(vl_convert.javascript_bundle(EXPOSE, vl_version=VEGA_LITE_VERSION))


def _text(value: Any) -> str:
    return html.escape(str(value))


def _json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _card(told: Card, sentence: str) -> str:
    """Return the result card: the headline, the ways as bars, and what they rest on."""
    longest = max((bar.value for bar in told.bars), default=1.0) or 1.0
    said = "".join(f"<td>{_text(head)}</td>" for head in told.heads)
    rows = f"<tr><th></th><td></td>{said}<td></td></tr>" if said else ""
    rows += "".join(
        f'<tr><th>{_text(bar.label)}</th><td class="track"><i class="{bar.family}" '
        f'style="width:{100 * bar.value / longest:.2f}%"></i></td><td>{_text(bar.shown)}</td>'
        f"<td><strong>{_text(bar.gain)}</strong></td><td>{_text(bar.interval)}</td></tr>"
        for bar in told.bars
    )
    return (
        f"<header><h1>{_text(told.headline)}</h1><p>{_text(sentence)}</p><table>{rows}</table>"
        f"<p>{_text(told.basis)}</p><p>{_text(f'{told.caveat} {told.plainly}')}</p></header>"
    )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _losses(told: Card) -> str:
    losses = "".join(
        f'<p class="loss">{_text(finding.sentence)}</p>'
        f"<p>{_text(' '.join((finding.cause, '; '.join(finding.figures))))}</p>"
        for finding in told.losses
    )
    if told.deleting:
        sentence, cause = _text(told.deleting.sentence), _text(told.deleting.cause)
        losses += f"<p><strong>{sentence}</strong> {cause}</p>"
    return losses


def _warnings(told: Card) -> str:
    items = "".join(
        f"<li><details><summary>{_text(warning.line)}</summary><ul>"
        + "".join(f"<li>{_text(message)}</li>" for message in warning.cells)
        + "</ul></details></li>"
        if warning.cells
        else f"<li>{_text(warning.line)}</li>"
        for warning in told.warned
    )
    return f"<h2>Warnings</h2><ul>{items}</ul>" if items else ""


def _published(found: Analysis) -> str:
    if not (chart_data.speedups(found)["source"] == "published").any():
        return ""
    told = _list("Why the tutorial's figures differ", published.reasons(found.run.environment))
    return f'{told}<p class="quiet">Published: {_text(published.SOURCE)}.</p>'


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in line) + "</tr>"
        for line in table.itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None or value != value:  # a missing number is not equal to itself
        return ""
    return rate_text(value) if isinstance(value, float) else _text(value)


def _environment(run: Run) -> str:
    return "".join(
        f"<dt><strong>{_text(name.replace('_', ' '))}</strong></dt><dd>{_text(_flat(value))}</dd>"
        for name, value in run.environment.items()
    )


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return " ".join(str(item) for item in value) if isinstance(value, list) else str(value)


EXPORTS: dict[str, Export] = {
    export.name: export
    for export in (
        Export(
            "html",
            "Report (HTML)",
            ".html",
            "text/html",
            html_report,
            is_slow=True,
            given=lambda: {"script": runtime()},
        ),
        Export(
            "json",
            "Run (JSON)",
            ".json",
            "application/json",
            lambda run, *_: run_file.to_json(run).encode(),
        ),
        Export(
            "summary",
            "Summary (CSV)",
            "-summary.csv",
            "text/csv",
            lambda run, *_: csv(chart_data.summary(analyse(run))),
        ),
        Export(
            "calls",
            "Calls (CSV)",
            "-calls.csv",
            "text/csv",
            lambda run, *_: csv(chart_data.all_calls(run)),
            is_slow=True,
        ),
        Export(
            "pictures",
            "Charts (ZIP)",
            "-charts.zip",
            "application/zip",
            lambda run, _, step=unwatched: pictures.archive(run, step),
            is_slow=True,
        ),
        Export(
            "deck",
            "Slides (PPTX)",
            ".pptx",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            _deck,
            is_slow=True,
        ),
    )
}
