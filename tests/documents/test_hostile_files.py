"""Files made to cost much: time and memory grow no faster than the file, or it is refused.

Each generator makes a file of a size; it is read at three doubling sizes in a process with limits.
"""

import io
import itertools
import json
import resource
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
SIZES = (1, 2, 4)
MOST_S, MOST_MB = 5.0, 300.0
# Twice the size may take twice the time; below this a clock tells nothing.
RATIO, TELLING_S = 3.2, 0.25


def office(kind: str, **parts: bytes) -> bytes:
    """Return an OOXML file with a main part and others beside it."""
    main, content_type = {
        "docx": ("word/document.xml", "wordprocessingml.document.main+xml"),
        "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet.main+xml"),
    }[kind]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types><Override PartName="/{main}" ContentType="application/{content_type}"/>'
            "</Types>",
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships><Relationship Id="r" Type="x/officeDocument" Target="{main}"/>'
            "</Relationships>",
        )
        for name, content in parts.items():
            archive.writestr({"main": main}.get(name, name), content)
    return made.getvalue()


def docx(inside: bytes) -> bytes:
    return office("docx", main=b"<d><p><r>" + inside + b"</r></p></d>")


def xlsx(size: int) -> bytes:
    """Return a workbook whose cells all name one long text."""
    sheet, texts = "xl/s.xml", "xl/t.xml"
    relations = (
        '<Relationships><Relationship Id="a" Type="x/worksheet" Target="s.xml"/>'
        '<Relationship Id="b" Type="x/sharedStrings" Target="t.xml"/></Relationships>'
    )
    return office(
        "xlsx",
        main=b'<w xmlns:r="x"><sheet name="s" r:id="a"/></w>',
        **{
            "xl/_rels/workbook.xml.rels": relations.encode(),
            sheet: b"<s><row>" + b'<c t="s"><v>0</v></c>' * (size * 10_000) + b"</row></s>",
            texts: b"<t><si><t>" + b"y" * (size * 100_000) + b"</t></si></t>",
        },
    )


def pdf(content: bytes, pages: int = 1) -> bytes:
    """Return a PDF whose pages all draw the same."""
    packed = zlib.compress(content, 9)
    kids = b" ".join(b"%d 0 R" % (5 + each) for each in range(pages))
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 3 0 R"
        b"/Resources<</Font<</F1 4 0 R>>>>>>"
    )
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%b]>>" % (pages, kids),
        b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *[page] * pages,
    ]
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, start)


def parquet(size: int) -> bytes:
    """Return a table whose rows all name one long text."""
    made = io.BytesIO()
    indices = pa.array([0] * 1_000, pa.int32())
    long = pa.DictionaryArray.from_arrays(indices, pa.array(["y" * (size * 2_000_000)]))
    pq.write_table(pa.table({"text": long}), made)
    return made.getvalue()


TEXT = b"BT /F1 12 Tf " + b"(a) Tj " * 20_000 + b"ET"
FILES: dict[str, Callable[[int], bytes]] = {
    "quotes.csv": lambda n: b"text,b\n" + b',"x' * (n * 30_000) + b"\n",
    "open.csv": lambda n: b'text,b\n"' + b"\nab,cd" * (n * 300_000),
    "columns.csv": lambda n: b"a," * (n * 200_000) + b"a\n",
    "keys.jsonl": lambda n: json.dumps({f"a{'!' * i}": i for i in range(n * 300)}).encode(),
    "keys.json": lambda n: b'[{"text":"a"}' + b',{"text":"a"}' * (n * 20_000) + b"]",
    "dictionary.parquet": parquet,
    "tags.html": lambda n: b"<a " * (n * 100_000),
    "comments.html": lambda n: b"<!--" * (n * 100_000),
    "quoted.html": lambda n: b"<a b='" * (n * 100_000),
    "entities.html": lambda n: b"&amp" * (n * 100_000),
    "attributes.html": lambda n: b"<p " + b"".join(b"a%d='>'" % i for i in range(n * 200_000)),
    "nested.html": lambda n: b"<b>" * (n * 50_000),
    "marks.md": lambda n: b"#" * (n * 500_000),
    "headings.md": lambda n: b"# a\n" * (n * 10_000),
    "fences.md": lambda n: b"`" * (n * 200_000) + b"\n~~~" * (n * 20_000),
    "spans.docx": lambda n: docx(b"<gridSpan val='200000'/><t>a</t>" * (n * 10_000)),
    "nested.docx": lambda n: docx(b"<r>" * (n * 400)),
    "attributes.docx": lambda n: docx(b"<t " + b"".join(b"a%d='' " % i for i in range(n * 80_000))),
    "shared.xlsx": xlsx,
    "braces.rtf": lambda n: b"{\\rtf1 " + b"{" * (n * 400) + b"a",
    "words.rtf": lambda n: b"{\\rtf1 " + b"\\u8364?\\'e9" * (n * 30_000) + b"}",
    "header.eml": lambda n: b"Subject: " + b"=?utf-8?q?a?= " * (n * 50_000) + b"\n\nbody",
    "parts.eml": lambda n: (
        b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: text/plain\n\nx\n" * (n * 3_000)
    ),
    "operators.pdf": lambda n: pdf(b"BT /F1 12 Tf " + b"(a) Tj " * (n * 100_000) + b"ET"),
    "pages.pdf": lambda n: pdf(TEXT, n * 100),
}


def read_all(name: str) -> None:
    """Read a file of each size; print seconds of processor, megabytes and what was said."""
    from lib.documents.chunking import Chunking, chunks
    from lib.documents.files import parsed
    from lib.documents.problems import Problems
    from lib.documents.sources import Reading, Upload

    splitter = "markdown" if name.endswith(".md") else "recursive"
    warm = Upload.of_bytes(name, FILES[name](SIZES[0])[:200])
    for upload in (warm, *(Upload.of_bytes(name, FILES[name](size)) for size in SIZES)):
        problems = Problems()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        [file] = parsed([upload], 200 << 20)
        documents = file.documents(file.parts(), Reading(), problems)
        rows = sum(1 for _ in chunks(documents, Chunking(splitter)))
        took = time.process_time() - started
        grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        said = str(problems.kept[0]) if problems.kept else ""
        sys.stdout.write(json.dumps([took, grew, rows, said]) + "\n")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_made_to_cost_much_takes_time_as_its_size_or_is_refused(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, name],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        preexec_fn=_limit,
    )
    assert done.returncode == 0, done.stderr[-500:]
    measured = [json.loads(line) for line in done.stdout.splitlines()][1:]
    assert len(measured) == len(SIZES)
    seconds = [took for took, _, _, _ in measured]
    assert max(seconds) <= MOST_S, measured
    assert max(grew for _, grew, _, _ in measured) <= MOST_MB, measured
    for smaller, larger in itertools.pairwise(seconds):
        assert larger <= max(RATIO * smaller, TELLING_S), measured
    # What gave no row was refused with a sentence.
    assert all(rows or said for _, _, rows, said in measured), measured


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    read_all(sys.argv[1])
