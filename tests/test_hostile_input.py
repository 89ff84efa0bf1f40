"""A thousand inputs nobody meant: each is used or refused in a sentence, in bounded time and room.

The numbers of examples add up to more than 1,000; `pages/test_hostile_addresses.py` has those of
addresses.
"""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from lib.documents.files import parsed
from lib.documents.problems import Problems
from lib.documents.sources import Reading, Upload
from lib.errors import LabError
from lib.ingestion.batches import from_documents
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import filters, milvus_collections
from lib.milvus.addresses import check_allowed
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.milvus.typed import meant
from lib.results import findings
from lib.runs import reports
from lib.runs.store import RunStore
from lib.search import ask
from lib.settings import VARIABLES, Settings, canonical, check_address, check_uri, load
from tests.documents.test_loaders import GOOD, zipped
from tests.hostile import NUMBERS, TEXTS, bounded
from tests.run_builder import make_run

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
HOST = Settings(milvus_uri="unused.db", public=True, allowed_hosts=("*.example.com", "[::1]:1"))
COLLECTION = "hostile"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@contextlib.contextmanager
def used_or_refused() -> Iterator[None]:
    """Let nothing out of the block but a LabError with a text, in bounded time and memory."""
    with bounded():
        try:
            yield
        except LabError as refused:
            assert refused.what.strip()  # noqa: PT017


def tried(*calls: Callable[[], object]) -> None:
    """Make each call; it may succeed or refuse."""
    for call in calls:
        with used_or_refused():
            call()


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A store with a few rows to ask."""
    host = Settings(milvus_uri=str(tmp_path_factory.mktemp("lite") / "lab.db"))
    opened = open_connection(host)
    rows = [Document(page_content=f"text {i}", metadata={"n": i, "kind": "a"}) for i in range(20)]
    ingest(opened, MODEL, rows, IngestionPlan(COLLECTION))
    yield opened
    opened.close()


MODEL = open_model(Settings(milvus_uri="unused.db"))


@settings(max_examples=200)
@given(TEXTS.map(lambda text: f"http://{text}") | TEXTS)
@example("http://[::1")
@example("http://[x]:1")
@example("http://℀.example.com")
@example("https://a.example.com:99999")
@example("http://[::::]:1")
def test_any_text_as_an_address(text: str) -> None:
    tried(
        lambda: check_uri(text),
        lambda: check_address(text, name="The address"),
        lambda: canonical(text),
        lambda: Settings(milvus_uri=text, milvus_token="a", openai_base_url=text),
        lambda: HOST.pointed_at(HOST, milvus_uri=text, milvus_token="a"),
        lambda: check_allowed(text, HOST),
    )


@settings(max_examples=150)
@given(st.sampled_from(VARIABLES), TEXTS | NUMBERS.map(repr))
def test_any_text_as_a_setting(name: str, text: str) -> None:
    tried(lambda: load({}, {name: text}))


@settings(max_examples=150)
@given(TEXTS)
@example("(" * 60_000)
@example("not " * 16_000)
@example('"\\' * 30_000)
@example('"' * 60_001)
@example("a " * 30_000)
def test_any_text_as_a_filter(text: str) -> None:
    tried(
        lambda: filters.check_nesting(text),
        lambda: filters.Typed(text).check(),
        lambda: filters.combine([text, "n > 1"]),
        lambda: filters.quote(text),
    )


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, st.integers(-1, 30), st.integers(1, 40) | st.integers(), st.floats(0, 1))
@example("x", "n in [" + "1," * 10_000 + "1]", 3, 20, 0.5)
@example("x", "n == 1 " + "or n == 1 " * 3_000, 3, 20, 0.5)
@example("x" * 2_000_000, "", 3, 20, 0.5)
def test_any_question_filter_and_numbers_in_a_search(
    lite: Connection, query: str, typed: str, k: Any, fetch_k: Any, lambda_mult: Any
) -> None:
    def search() -> None:
        question = ask.Question(
            query, k, fetch_k, meant(lite, COLLECTION, filters.Typed(typed)).expr
        )
        ask.compare(ask.fetch(lite, MODEL, COLLECTION, question), lambda_mult)

    request = ask.Request(
        "max_marginal_relevance_search", query=query, k=3, fetch_k=20, lambda_mult=lambda_mult
    )
    tried(
        search,
        lambda: milvus_collections.check_expression(lite, COLLECTION, typed),
        lambda: ask.call_method(lite, MODEL, COLLECTION, request),
        lambda: ask.fetch(lite, MODEL, COLLECTION, ask.Question(like=query or "x")),
    )


@settings(max_examples=100)
@given(TEXTS | JSON.map(json.dumps) | NUMBERS.map(repr))
@example("[" * 100_000)
@example("[" + "1" * 5_000 + "]")
@example("[" + "1" * 400 + "]")
def test_any_text_as_a_vector(text: str) -> None:
    tried(lambda: ask.parse_vector(text))


@settings(max_examples=100)
@given(TEXTS, st.dictionaries(TEXTS, JSON | NUMBERS, max_size=5), st.none() | TEXTS)
def test_any_document_as_a_row(text: str, metadata: dict[str, Any], key: str | None) -> None:
    document = Document(page_content=text, metadata=metadata, id=key)
    problems = Problems()
    tried(lambda: list(from_documents([document], 10, problems)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS)
def test_any_text_as_a_name_or_a_note(tmp_path: Path, name: str, notes: str) -> None:
    store = RunStore(tmp_path)
    entry = store.save(make_run(), name="name", run_id="one")
    tried(
        lambda: milvus_collections.check_name(name),
        lambda: store.rename(entry, name, notes),
        lambda: store.get(name),
        lambda: store.restore(name),
        lambda: store.import_(
            reports.EXPORTS["json"].make(make_run(), findings.ALONE), f"{name}.json"
        ),
    )
    assert {path.parent for path in tmp_path.rglob("*.json")} <= {tmp_path}


def ingested(name: str, content: bytes) -> tuple[int, list[str]]:
    """Read a file as an ingestion does; return its rows and its problems as they are shown."""
    problems = Problems()
    rows = 0
    with bounded():
        for file in parsed([Upload.of_bytes(name, content)], 200 * MEGABYTE):
            file.sample()
            documents = file.documents(file.parts(), Reading(), problems)
            rows += sum(len(batch) for batch in from_documents(documents, 100, problems))
    # No file is passed over in silence.
    assert rows or problems.kept
    return rows, [str(problem) for problem in problems.kept]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a good file with a part cut out, doubled, replaced, or under another ending."""
    name = draw(st.sampled_from(sorted(GOOD)))
    content = bytearray(GOOD[name])
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(content) - 1, 0)))
        end = min(start + draw(st.integers(0, 64)), len(content))
        content[start:end] = draw(
            st.binary(max_size=16) | st.just(b"") | st.just(bytes(content[start:end]) * 2)
        )
    ending = draw(st.just(name) | st.sampled_from(sorted(GOOD)))
    return ending, bytes(content)


@settings(max_examples=200)
@given(spoiled())
def test_any_damaged_file(file: tuple[str, bytes]) -> None:
    ingested(*file)


@settings(max_examples=100)
@given(
    st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a.txt", "a.html", "a.md"]),
    TEXTS | JSON.map(json.dumps) | st.lists(TEXTS, max_size=6).map("\n".join),
)
def test_any_text_in_a_file(name: str, text: str) -> None:
    ingested(name, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=60)
@given(st.dictionaries(TEXTS.filter(bool), st.binary(max_size=40) | st.just(GOOD["a.csv"])))
def test_any_names_in_an_archive(files: dict[str, bytes]) -> None:
    # The library cannot write half a character, nor a name that a zero byte cuts to nothing.
    safe = {
        name.encode("utf-8", "replace").decode().lstrip("\0") or "x": body
        for name, body in files.items()
    }
    ingested("a.zip", zipped(safe))


def with_sizes(archive: bytes, size: int) -> bytes:
    """Return a ZIP whose directory says that each of its files has this size."""
    content, place = bytearray(archive), 0
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        content[place + 24 : place + 28] = size.to_bytes(4, "little")
        place += 4
    return bytes(content)


def overlapping() -> bytes:
    """Return a ZIP of a few kilobytes whose 60 names share 200 MB of zeros: 12 GB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("0.txt", "w", force_zip64=False) as file:
            for _ in range(200):
                file.write(b"\0" * MEGABYTE)
        first = archive.filelist[0]
        for number in range(1, 60):
            other = zipfile.ZipInfo(f"{number}.txt")
            for name in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(other, name, getattr(first, name))
            archive.filelist.append(other)
    return made.getvalue()


def parquet_bomb() -> bytes:
    """Return a Parquet file of some kilobytes with one text of 400 MB."""
    made = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(["a" * (400 * MEGABYTE)])}), made, compression="zstd")
    return made.getvalue()


def office_bomb(kind: str) -> bytes:
    """Return a DOCX or PPTX whose main part is 150 MB of XML, a hundred times its packed size."""
    part = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml"}[kind]
    made = io.BytesIO()
    filler = "".join(f"<w:p w:a='{i * 7919 % 10**9}'/>" for i in range(40_000)).encode()
    with (
        zipfile.ZipFile(io.BytesIO(GOOD[f"a.{kind}"])) as good,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bad,
    ):
        for info in good.infolist():
            content = good.read(info)
            if info.filename == part:
                head, _, tail = content.rpartition(b"</")
                content = head + filler * (150 * MEGABYTE // len(filler)) + b"</" + tail
            bad.writestr(info.filename, content)
    return made.getvalue()


def pdf_bomb() -> bytes:
    """Return a PDF of some kilobytes whose page is 300 MB of drawing operators."""
    import pypdf
    from pypdf.generic import DecodedStreamObject, NameObject

    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(100, 100)
    stream = DecodedStreamObject()
    stream.set_data(b"BT (a) Tj ET\n" * (300 * MEGABYTE // 13))
    page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


LARGE: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "a ZIP that says 10 GB": (
        "a.zip",
        "would unpack to",
        lambda: with_sizes(zipped({f"{i}.txt": b"a" for i in range(3)}), 4 * 10**9),
    ),
    "a ZIP whose names share their bytes, 12 GB": ("a.zip", "would unpack to", overlapping),
    "a DOCX of 150 MB of XML": ("a.docx", "MB of text and layout", lambda: office_bomb("docx")),
    "a PPTX of 150 MB of XML": ("a.pptx", "MB of text and layout", lambda: office_bomb("pptx")),
    "a Parquet text of 400 MB": ("a.parquet", "200 times its size", parquet_bomb),
    "a PDF page of 300 MB": ("a.pdf", "no text", pdf_bomb),
    "JSON of empty lists": (
        "a.json",
        "more than 1,000,000 values",
        lambda: b"[" + b"[]," * (15 * MEGABYTE) + b"[]]",
    ),
    "a JSON line of empty lists": (
        "a.jsonl",
        "more than 1,000,000 values",
        lambda: b"[" + b"[]," * 5_000_000 + b"[]]",
    ),
    "JSON with a list in 900 lists": (
        "a.json",
        "nested more than 50 levels deep",
        lambda: b'[{"text": "a", "n": ' + b"[" * 900 + b"]" * 900 + b"}]",
    ),
    "JSON with a number of 5,000 digits": (
        "a.json",
        "too many digits",
        lambda: b'[{"n": ' + b"1" * 5_000 + b"}]",
    ),
    "CSV of one name 20,000 times": (
        "a.csv",
        "20,001 columns",
        lambda: b"a," * 20_000 + b"a\n" + b"b," * 20_000 + b"b\n",
    ),
    "CSV with nested metadata": (
        "a.csv",
        "",
        lambda: b'text,metadata\nb,"{""a"":' + b"[" * 60_000 + b'"\n',
    ),
    "HTML of open tags": ("a.html", "200,000 tags", lambda: b"<div>" * (3 * MEGABYTE)),
}


@pytest.mark.parametrize("what", LARGE)
def test_a_file_made_to_take_room_or_time(what: str) -> None:
    name, expected, make = LARGE[what]
    _, problems = ingested(name, make())
    assert expected in "; ".join(problems)


GOOD_RUN = reports.EXPORTS["json"].make(make_run(), findings.ALONE)


@st.composite
def spoiled_run(draw: st.DrawFn) -> bytes:
    """Return a run's file with a value replaced somewhere, or some bytes."""
    document = json.loads(GOOD_RUN)
    node: Any = document
    for _ in range(draw(st.integers(0, 4))):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        inner = [key for key in keys if isinstance(node[key], dict | list) and node[key]]
        if not inner:
            break
        node = node[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
    node[key] = draw(JSON | NUMBERS)
    data = bytearray(json.dumps(document).encode("utf-8", "surrogatepass"))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(data) - 1))
        data[start : start + draw(st.integers(0, 20))] = draw(st.binary(max_size=8))
    return bytes(data)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled_run())
def test_any_damaged_run_that_is_imported_and_read(tmp_path: Path, data: bytes) -> None:
    store = RunStore(tmp_path)

    def read() -> None:
        entry = store.import_(data, "a run.json")
        run = entry.load()
        reports.EXPORTS["calls"].make(run, findings.ALONE)
        reports.EXPORTS["summary"].make(run, findings.ALONE)

    tried(read)
