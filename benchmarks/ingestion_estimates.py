"""Rows forecast before an ingestion beside the rows that it gives, for ten real files.

    python -m benchmarks.ingestion_estimates

The files are of different kinds, from this repository and its packages. Each is forecast twice: in
the time that the page takes, and in a thousandth of it, so that most of a file is estimated. Asked:
both within 20 %. A small file may be read whole in that time too.
"""

import io
import pydoc
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._uploads import upload_of
from lib import settings
from lib.documents.chunking import Chunking
from lib.documents.corpora import CORPORA
from lib.documents.files import parsed
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading, Upload
from lib.ingestion import chosen
from lib.milvus.embeddings import open_model

MOST_OFF = 0.2
SHORT_S = chosen.FORECAST_S / 1_000


def main() -> int:
    """Print a line for each file."""
    usual_s = chosen.FORECAST_S
    good = True
    print(f"{'file':42} {'real':>7} {'forecast':>9} {'off':>6} {'in 2 ms':>9} {'off':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for upload, takes_vectors in _files(Path(folder)):
            rows = []
            for seconds in (usual_s, SHORT_S):
                chosen.FORECAST_S = seconds
                files = parsed([upload], DEFAULT_MAX_BYTES)
                reading = Reading(take_vectors=takes_vectors, dimension=256)
                ingested = chosen.of_files(files, reading, Chunking())
                rows.append(ingested.forecast().rows)
            real = sum(len(batch) for batch in ingested.batches(500, Problems()))
            off = [abs(each / real - 1) for each in rows]
            good &= max(off) <= MOST_OFF
            print(
                f"{upload.name:42} {real:7,} {rows[0]:9,} {off[0]:6.1%} {rows[1]:9,} {off[1]:6.1%}"
                f"{'' if max(off) <= MOST_OFF else '  SHORT'}",
                flush=True,
            )
    return 0 if good else 1


def _files(folder: Path) -> Iterator[tuple[Upload, bool]]:
    root = settings.PROJECT_ROOT
    skills = _package("streamlit") / ".agents" / "skills"
    guides = sorted(skills.rglob("*.md"))
    licence = next(_package("pyarrow").parent.glob("pyarrow-*.dist-info/licenses/LICENSE.txt"))
    for path in (
        root / "README.md",
        licence,
        _package("numpy") / "ma" / "README.rst",
        _package("numpy") / "_core" / "tests" / "data" / "umath-validation-set-log10.csv",
        root / "benchmarks" / "questions.json",
        _package("altair") / "datasets" / "_metadata" / "metadata.parquet",
    ):
        yield upload_of(path), False
    yield Upload.of_bytes("DataFrame.html", pydoc.html.document(pd.DataFrame).encode()), False
    yield Upload.of_bytes("decisions.docx", _docx(root / "docs" / "decisions.md")), False
    yield Upload.of_bytes("guides.zip", _zip(skills, guides)), False
    yield upload_of(_export(folder)), True


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or found.origin is None:
        sys.exit(f"{name} is not installed.")
    return Path(found.origin).parent


def _docx(path: Path) -> bytes:
    import docx

    document = docx.Document()
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        document.add_paragraph(paragraph)
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def _zip(folder: Path, files: list[Path]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    return target.getvalue()


def _export(folder: Path) -> Path:
    """Write the standard library with its vectors, as the lab exports it."""
    documents = CORPORA["standard_library"].documents(None, 0)
    model = open_model(settings.load({}))
    vectors = model.embeddings.embed_documents([each.page_content for each in documents])
    path = folder / "export.parquet"
    table = pa.table(
        {
            "pk": [each.id for each in documents],
            "text": [each.page_content for each in documents],
            "vector": list(np.asarray(vectors, dtype=np.float32)),
        }
    )
    pq.write_table(table, path)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
