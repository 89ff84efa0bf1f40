"""Write the recorded runs as static pages, for any host of files.

    python -m scripts.gallery --output site/

One page a run, made of the report's own parts, and an index. They need no server and load nothing
but the one script beside them, so that they also open from a folder. Prints what it wrote.
"""

import argparse
import html
from pathlib import Path

from lib.results import findings
from lib.results.analysis import analyse
from lib.runs import pictures, reports
from lib.runs.store import Entry, RunStore

RUNTIME = "vega.js"
SCRIPTS = f'<script src="{RUNTIME}"></script>'
TITLE = "Milvus Async Lab: recorded runs"
INTRODUCTION = (
    "What the async methods of langchain-milvus buy, measured and kept with the "
    "app. Each page is a run's full report: charts, figures, warnings, method, environment, and "
    "the command that measures it again."
)


def main() -> int:
    """Write the pages and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="a folder; made if missing")
    output = parser.parse_args().output
    written = write(output)
    size = sum(path.stat().st_size for path in written)
    print(f"{len(written)} files, {size / 1e6:.1f} MB: {output / 'index.html'}")
    return 0


def write(output: Path) -> list[Path]:
    """Write an index, a page for each recorded run and the chart runtime; return the files."""
    output.mkdir(parents=True, exist_ok=True)
    # The folder of own runs is one that holds none.
    kept = RunStore(output / "none")
    entries = [entry for entry in kept.entries() if entry.is_recorded]
    files = {RUNTIME: reports.runtime().encode(), "index.html": _index(entries, kept.featured())}
    for entry in entries:
        files[_file(entry)] = _page(entry, kept)
    for name, content in files.items():
        (output / name).write_bytes(content)
    return [output / name for name in files]


def _file(entry: Entry) -> str:
    return f"{entry.path.stem}.html"


def _page(entry: Entry, kept: RunStore) -> bytes:
    found = analyse(entry.load())
    drawings = "\n".join(
        reports.drawing(figure, f"spec-{i}", packed=True)
        for i, figure in enumerate(pictures.figures(found))
    )
    said = reports.sections(found, kept.beside(found), drawings)
    body = f'<p><a href="index.html">All recorded runs</a></p>\n{said}\n{SCRIPTS}'
    return reports.page(findings.headline(found), body, scripts=" 'self'")


def _index(entries: list[Entry], featured: Entry | None) -> bytes:
    parts = [f"<h1>{TITLE}</h1>", f"<p>{INTRODUCTION}</p>"]
    if featured is not None:
        first = next(pictures.figures(analyse(featured.load())))
        parts.append(reports.drawing(first, "spec-0", packed=True))
    parts.append("<h2>The runs</h2><ul>")
    for entry in entries:
        headline = findings.headline(analyse(entry.load()))
        parts.append(
            f'<li><a href="{_file(entry)}">{html.escape(entry.card.name)}</a>: '
            f'{html.escape(headline)}<br><span class="quiet">'
            f"{html.escape(findings.note(entry.load()))}</span></li>"
        )
    return reports.page(TITLE, "\n".join([*parts, "</ul>", SCRIPTS]), scripts=" 'self'")


if __name__ == "__main__":
    raise SystemExit(main())
