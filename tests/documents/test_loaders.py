"""Files → documents: every kind read, every bad one reported while the rest goes in."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from langchain_core.documents import Document

from benchmarks._uploads import upload_of
from lib.documents import archives, loaders, text_encoding
from lib.documents.chunking import Chunking
from lib.documents.columns import guess_columns
from lib.documents.files import SAMPLE_ROWS, ParsedFile, parsed
from lib.documents.loaders import LOADERS
from lib.documents.problems import Problems
from lib.documents.sources import (
    DEFAULT_MAX_BYTES,
    MEGABYTE,
    Columns,
    Reading,
    Upload,
    VectorDocument,
)
from lib.ingestion.batches import Batch
from lib.ingestion.chosen import of_files


def read(*files: tuple[str, bytes], **reading: Any) -> tuple[list[Document], list[str]]:
    return read_uploads([Upload.of_bytes(*file) for file in files], **reading)


def read_uploads(uploads: list[Upload], **reading: Any) -> tuple[list[Document], list[str]]:
    problems = Problems()
    documents = [
        document
        for file in parsed(uploads, DEFAULT_MAX_BYTES)
        for document in file.documents(file.parts(), Reading(**reading), problems)
    ]
    return documents, [str(problem) for problem in problems.kept]


def batches_of(uploads: list[Upload], **reading: Any) -> tuple[list[Batch], list[str]]:
    problems = Problems()
    files = parsed(uploads, DEFAULT_MAX_BYTES)
    batches = list(of_files(files, Reading(**reading), Chunking()).batches(10, problems))
    return batches, [str(problem) for problem in problems.kept]


def read_one(name: str, content: bytes, **reading: Any) -> tuple[list[Document], list[str]]:
    return read((name, content), **reading)


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def pdf(pages: list[str], password: str = "") -> bytes:
    """Write a PDF by hand: one line of text a page."""
    import pypdf

    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]  # fmt: skip  # noqa: E501
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] "
            f"/Contents {len(objects)} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    table += "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    plain = body + (table + trailer).encode()
    if not password:
        return plain
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(plain))
    writer.encrypt(password, algorithm="RC4-128")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def docx_bytes() -> bytes:
    import docx

    document = docx.Document()
    document.add_heading("A heading")
    document.add_paragraph("A paragraph of text.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def pptx_bytes() -> bytes:
    import pptx

    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "A slide's title"
    target = io.BytesIO()
    presentation.save(target)
    return target.getvalue()


def parquet(**columns: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


RECORDS = [{"text": f"row {i}", "year": 2000 + i} for i in range(3)]
GOOD = {
    "a.txt": b"Plain text.",
    "a.md": b"# Title\n\nSome *Markdown*.",
    "a.html": b"<html><head><title>T</title><script>no()</script></head><body><p>Seen.</p></body>",
    "a.pdf": pdf(["First page", "Second page"]),
    "a.docx": docx_bytes(),
    "a.pptx": pptx_bytes(),
    "a.csv": b"text,year\nrow 0,2000\nrow 1,2001\n",
    "a.tsv": b"text\tyear\nrow 0\t2000\n",
    "a.jsonl": "\n".join(map(json.dumps, RECORDS)).encode(),
    "a.json": json.dumps(RECORDS).encode(),
    "a.parquet": parquet(text=["row 0", "row 1"], year=[2000, 2001]),
}
GOOD["a.zip"] = zipped({f"folder/{name}": content for name, content in GOOD.items()})


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_file_is_read_without_a_problem(name: str) -> None:
    documents, problems = read_one(name, GOOD[name])
    assert problems == []
    assert documents
    assert all(document.page_content.strip() for document in documents)
    assert all(document.metadata["source"].startswith(name) for document in documents)


def test_a_zip_gives_what_its_files_give_under_their_paths() -> None:
    documents, _ = read_one("a.zip", GOOD["a.zip"])
    sources = {document.metadata["source"] for document in documents}
    assert sources == {f"a.zip/folder/{name}" for name in GOOD if name != "a.zip"}


def test_a_page_of_a_pdf_knows_its_number() -> None:
    documents, _ = read_one("a.pdf", GOOD["a.pdf"])
    assert [(d.page_content, d.metadata["page"]) for d in documents] == [
        ("First page", 1),
        ("Second page", 2),
    ]


def test_what_a_browser_does_not_show_is_left_out_of_html() -> None:
    [document], _ = read_one("a.html", GOOD["a.html"])
    assert document.page_content == "Seen."
    assert document.metadata["title"] == "T"


def test_tables_in_a_docx_are_read_where_they_stand() -> None:
    [document], _ = read_one("a.docx", GOOD["a.docx"])
    assert document.page_content == "A heading\n\nA paragraph of text.\n\nleft | right"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "naïve café – 東京"),
        ("utf-8-sig", "with a mark"),
        ("utf-16", "naïve café"),
        ("utf-16-le", "A longer line of plain text in two bytes a letter."),
        ("cp1252", "Les élèves français étudient à l'école, où le maître les aide très tôt."),
        ("cp1251", "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 3),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 3),
    ],
)
def test_the_encoding_of_a_text_is_found(encoding: str, text: str) -> None:
    documents, problems = read_one("a.txt", text.encode(encoding))
    assert problems == []
    assert documents[0].page_content == text


def test_an_encoding_that_shows_late_in_a_file_is_found() -> None:
    # Fewer odd letters than a sample of the beginning would show.
    text = "plain text " * 200_000 + "Les élèves français étudient à l'école, où ils rêvent."
    documents, problems = read_one("a.txt", text.encode("cp1252"))
    assert problems == []
    assert "".join(document.page_content for document in documents) == text


def test_a_character_cut_by_a_block_comes_out_whole() -> None:
    text = "a" * (text_encoding.BLOCK_BYTES - 1) + "é tail"
    documents, problems = read_one("a.txt", text.encode())
    assert problems == []
    assert "".join(document.page_content for document in documents) == text


def test_long_texts_come_in_sections_that_together_are_the_text() -> None:
    text = "".join(f"Sentence number {i}.\n" for i in range(20_000))
    documents, _ = read_one("a.txt", text.encode())
    assert len(documents) > 5
    assert max(len(d.page_content) for d in documents) <= loaders.SECTION_CHARACTERS
    assert "".join(document.page_content for document in documents) == text


# Bad input: each gives one line that names the file, and the good file beside it goes in.


def zip_bomb() -> bytes:
    return zipped({"bomb.txt": b"\0" * (300 * MEGABYTE)})


def zip_with_lying_size() -> bytes:
    """Make a ZIP whose directory says that 300 MB are 1,000 bytes."""
    honest = zipped({"liar.txt": b"A" * (300 * MEGABYTE)})
    size = (300 * MEGABYTE).to_bytes(4, "little")
    return honest.replace(size, (1_000).to_bytes(4, "little"))


def encrypted_zip() -> bytes:
    content = bytearray(zipped({"secret.txt": b"text"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


BAD = {
    "a file of an unknown kind": ("a.exe", b"MZ", "files ending in .exe cannot be read"),
    "a file without an ending": ("README", b"text", "files ending in nothing cannot be read"),
    "an empty file": ("a.txt", b"", "it is empty"),
    "a file of spaces": ("a.txt", b" \n\n ", "it holds no text"),
    "binary in a .txt": ("a.txt", bytes(range(256)) * 50, "it holds binary data, not text"),
    "a picture called .txt": ("a.txt", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "binary data"),
    "control characters called .md": ("a.md", bytes(range(1, 7)) * 99, "binary data"),
    "a damaged PDF": ("a.pdf", b"%PDF-1.4 nonsense", "it is damaged or no PDF"),
    "a cut PDF": ("a.pdf", GOOD["a.pdf"][:150], "it is damaged or no PDF"),
    "an encrypted PDF": ("a.pdf", pdf(["x"], password="pw"), "it is encrypted"),
    "a DOCX that is none": ("a.docx", b"text", "it is damaged or no ZIP file"),
    "a DOCX that is another ZIP": ("a.docx", zipped({"a": b"b"}), "it is damaged or no DOCX"),
    "a PPTX that is another ZIP": ("a.pptx", zipped({"a": b"b"}), "it is damaged or no PPTX"),
    "a DOCX that is a bomb": ("a.docx", zip_bomb(), "as in a ZIP bomb"),
    "a ZIP bomb": ("a.zip", zip_bomb(), "'bomb.txt' in it would unpack to more than 200 times"),
    "a ZIP that lies": ("a.zip", zip_with_lying_size(), "liar.txt: it"),
    "a damaged ZIP": ("a.zip", b"PK\x03\x04 nonsense", "it is damaged or no ZIP file"),
    "an encrypted ZIP": ("a.zip", encrypted_zip(), "a.zip, secret.txt: it is encrypted"),
    "a ZIP in a ZIP": ("a.zip", zipped({"in.zip": zipped({"a.txt": b"b"})}), "is not opened"),
    "a ZIP of too many files": (
        "a.zip",
        zipped({f"{i}.txt": b"" for i in range(archives.MAX_ENTRIES + 1)}),
        "it holds 5,001 files, at most 5,000 are taken",
    ),
    "JSON that is none": ("a.json", b'{"a": ', "it is not JSON (Expecting value in line 1)"),
    "JSON nested without end": ("a.json", b"[" * 100_000, "too deeply nested"),
    "Parquet that is none": ("a.parquet", b"text", "it is damaged or no Parquet file"),
    "a CSV of nothing but a header": ("a.csv", b"text,year\n", "it holds no rows"),
    "an endless line of JSON": ("a.jsonl", b'"' + b"a" * 17_000_000, "longer than 16,000,000"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_reported_by_name_and_the_rest_goes_in(what: str) -> None:
    name, content, expected = BAD[what]
    documents, problems = read((name, content), ("good.txt", b"Good text."))
    assert [document.page_content for document in documents] == ["Good text."]
    assert len(problems) == 1
    assert problems[0].startswith(name)
    assert expected in problems[0]


@pytest.mark.parametrize("ending", LOADERS)
def test_random_bytes_never_raise_whatever_they_are_called(ending: str) -> None:
    import random

    for seed in range(5):
        noise = random.Random(seed).randbytes(2_000)
        real = GOOD.get(f"a{ending}", b"")
        spoiled = bytearray(real)
        for place in random.Random(seed).sample(range(len(spoiled)), len(spoiled) // 20):
            spoiled[place] ^= 255
        for content in (noise, bytes(spoiled), real[: len(real) // 2]):
            documents, problems = read_one(f"a{ending}", content)
            # What could not be read is said: no file is passed over in silence.
            assert documents or problems


@pytest.mark.parametrize("packed_by", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_file_in_a_zip_is_named_and_the_rest_goes_in(packed_by: int) -> None:
    content = zipped({"bad.txt": b"one two three " * 50, "good.txt": b"good"}, packed_by)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        bad = archive.getinfo("bad.txt")
    start = bad.header_offset + 30 + len(bad.filename)
    said = []
    for spoiled in range(start, start + bad.compress_size):
        damaged = bytearray(content)
        damaged[spoiled] ^= 0xFF
        documents, problems = read_one("a.zip", bytes(damaged))
        assert documents[-1].page_content == "good"
        # Some bits fill up the last byte: without them nothing is lost.
        assert len(documents) + len(problems) == 2
        said += problems
    assert set(said) == {"a.zip, bad.txt: it is damaged in the archive"}


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
def test_a_name_that_leads_out_of_a_zip_is_refused_and_the_rest_goes_in(name: str) -> None:
    documents, problems = read_one("a.zip", zipped({name: b"evil", "ok..txt": b"good"}))
    assert [document.page_content for document in documents] == ["good"]
    assert len(problems) == 1
    assert "its name leads out of the archive" in problems[0]


def test_a_file_over_the_bound_is_refused_unread_and_the_message_names_the_bound() -> None:
    def explode() -> io.BytesIO:
        raise AssertionError("a file that is too large was opened")

    documents, problems = read_uploads([Upload("a.csv", 500 * MEGABYTE, explode)])
    assert documents == []
    assert problems == ["a.csv: it has 500 MB, at most 200 MB of CSV are taken"]


def test_a_format_that_needs_the_whole_file_has_a_bound_of_its_own() -> None:
    documents, problems = read_one("a.html", b"<p>text</p>" + b" " * (21 * MEGABYTE))
    assert documents == []
    assert problems == ["a.html: it has 21 MB, at most 20 MB of HTML are taken"]


def test_rows_of_a_csv_that_do_not_fit_the_header_are_named_by_line() -> None:
    content = b'text,year\nfirst,1\nshort\nlong,2,3\n"two\nlines",4\nlast,5\n'
    documents, problems = read_one("a.csv", content)
    assert [document.page_content for document in documents] == ["first", "two\nlines", "last"]
    assert problems == [
        "a.csv, line 3: it has 1 values, the header 2",
        "a.csv, line 4: it has 3 values, the header 2",
    ]


def test_lines_that_are_not_json_are_named() -> None:
    documents, problems = read_one("a.jsonl", b'{"text": "one"}\n{oops\n\n{"text": "two"}\n')
    assert [document.page_content for document in documents] == ["one", "two"]
    assert problems == [
        "a.jsonl, line 2: it is not JSON (Expecting property name enclosed in double quotes)"
    ]


def test_records_without_a_text_are_named() -> None:
    content = b'{"text": "one"}\n{"text": null}\n{"text": ["list"]}\n{"other": 1}\n{"text": 7}\n'
    documents, problems = read_one("a.jsonl", content)
    assert [document.page_content for document in documents] == ["one", "7"]
    assert [problem.split(":")[0] for problem in problems] == [
        "a.jsonl, line 2",
        "a.jsonl, line 3",
        "a.jsonl, line 4",
    ]


def test_pages_that_cannot_be_read_do_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pypdf import PageObject

    real = PageObject.extract_text

    def extract(self: PageObject, **options: Any) -> str:
        text = real(self, **options)
        if "Second" in text:
            raise KeyError("/Font")
        return text

    monkeypatch.setattr(PageObject, "extract_text", extract)
    documents, problems = read_one("a.pdf", pdf(["First", "Second", "Third"]))
    assert [document.page_content for document in documents] == ["First", "Third"]
    assert problems == ["a.pdf, page 2: it is damaged or no page"]


def test_chunks_of_html_keep_sentences_whole_and_leave_hidden_parts_out() -> None:
    page = (
        "<p>Press <b>Start</b>, then see <a href='#'>chapter 2</a>. H<sub>2</sub>O.</p><p>Next.</p>"
        "<div hidden>one</div><p style='color: red; display:none'>two <b>three</b></p>"
        "<template>four</template><table><tr><td>a<td><b>b</b><tr><td><td>c</table><p>&copy; end"
    )
    [document], problems = read_one("a.html", page.encode())
    assert problems == []
    shown = "Press Start, then see chapter 2. H2O.\n\nNext.\n\na | b\nc\n\n© end"
    assert document.page_content == shown


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_a_pdf_that_is_encrypted_for_its_permissions_only_is_read(algorithm: str) -> None:
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(["Pumps and valves"])))
    writer.encrypt("", owner_password="owner", algorithm=algorithm)
    target = io.BytesIO()
    writer.write(target)
    [document], problems = read_one("a.pdf", target.getvalue())
    assert (document.page_content, problems) == ("Pumps and valves", [])


def test_a_deck_gives_its_tables_groups_and_notes() -> None:
    import pptx
    from pptx.util import Inches

    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Pump overview"
    place = [Inches(1)] * 4
    table = slide.shapes.add_table(1, 2, *place).table
    table.cell(0, 0).text, table.cell(0, 1).text = "flange", "42 kg"
    box = slide.shapes.add_textbox(*place)
    box.text_frame.text = "shut-off valve"
    slide.shapes.add_group_shape([slide.shapes.add_group_shape([box])])
    slide.notes_slide.notes_text_frame.text = "mention the recall"
    target = io.BytesIO()
    deck.save(target)
    [shown, notes], _ = read_one("a.pptx", target.getvalue())
    assert shown.page_content == "Pump overview\n\nflange | 42 kg\n\nshut-off valve"
    assert notes.page_content == "mention the recall"
    assert (notes.metadata["slide"], notes.metadata["part"]) == (1, "notes")


def test_scanned_pages_are_counted_in_one_line() -> None:
    documents, problems = read_one("a.pdf", pdf(["", "Text", ""]))
    assert len(documents) == 1
    assert problems == ["a.pdf: 2 of 3 pages hold no text, as scans do: 1, 3"]


# Tables.


def test_the_text_column_is_guessed_and_the_others_become_metadata() -> None:
    documents, _ = read_one("a.csv", b"id,Content,score\n007,hello,0.5\n008,there,1\n")
    assert documents[0].page_content == "hello"
    assert documents[0].metadata == {"id": "007", "score": 0.5, "source": "a.csv"}


def test_chosen_columns_are_the_ones_taken() -> None:
    chosen = {"a.csv": Columns(text="b", metadata=("c",))}
    documents, problems = read_one("a.csv", b"text,b,c\nx,y,z\n", columns=chosen)
    assert problems == []
    assert documents[0].page_content == "y"
    assert documents[0].metadata == {"c": "z", "source": "a.csv"}


def test_a_chosen_column_that_a_file_lacks_is_said_with_those_it_has() -> None:
    chosen = {"a.csv": Columns(text="missing")}
    documents, problems = read_one("a.csv", b"text,b\nx,y\n", columns=chosen)
    assert documents == []
    assert problems == ["a.csv: it has no column 'missing'; its columns are text, b"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_csv_is_found(delimiter: str) -> None:
    content = f"text{delimiter}year\nrow zero{delimiter}2000\nrow one{delimiter}2001\n".encode()
    documents, problems = read_one("a.csv", content)
    assert problems == []
    assert documents[1].metadata["year"] == 2001


def test_a_value_that_breaks_a_numeric_column_stays_text() -> None:
    rows = [(f"row {i}", i if i != 250 else "n/a") for i in range(300)]
    target = io.StringIO()
    csv.writer(target).writerows([("text", "year"), *rows])
    documents, _ = read_one("a.csv", target.getvalue().encode())
    assert documents[249].metadata["year"] == 249
    assert documents[250].metadata["year"] == "n/a"


def test_line_separators_inside_json_texts_do_not_end_a_line() -> None:
    content = json.dumps({"text": "one\u2028two\x0bthree"}, ensure_ascii=False).encode()
    [document], problems = read_one("a.jsonl", content)
    assert problems == []
    assert document.page_content == "one\u2028two\nthree"


def test_characters_that_no_page_can_hold_are_removed_where_text_comes_in() -> None:
    row = {"text": "a\x1b[31mred\x00\uffff\x7f\x0cb", "kind": "x\x1by"}
    [document], problems = read_one("a.jsonl", json.dumps(row).encode())
    assert problems == []
    assert document.page_content == "a[31mred\nb"
    assert document.metadata["kind"] == "xy"


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.date32(), 2**31 - 1), (pa.timestamp("ms"), 2**62), (pa.duration("s"), 2**62)],
)
@pytest.mark.parametrize("is_inside", [False, True])
def test_a_time_beyond_what_python_counts_is_kept_as_a_text(
    kind: pa.DataType, value: int, is_inside: bool
) -> None:
    width = pa.int32() if kind == pa.date32() else pa.int64()
    column = pa.array([value], width).cast(kind)
    if is_inside:
        column = pa.array([[value]], pa.list_(width)).cast(pa.list_(kind))
    [document], problems = read_one("a.parquet", parquet(text=["a"], when=column))
    assert problems == []
    assert str(value) in str(document.metadata["when"])


def test_metadata_in_an_object_of_its_own_is_taken_out_of_it() -> None:
    content = b'{"page_content": "hello", "metadata": {"kind": "greeting"}}'
    [document], _ = read_one("a.jsonl", content)
    assert document.metadata == {"kind": "greeting", "source": "a.jsonl"}


def test_a_column_named_source_gives_way_to_the_files_name() -> None:
    [document], problems = read_one("a.csv", b"text,source\nhello,elsewhere\n")
    assert document.metadata == {"source_column": "elsewhere", "source": "a.csv"}
    assert problems == ["a.csv: its column 'source' is stored as 'source_column'"]


def test_columns_of_one_name_and_of_none_are_told_apart() -> None:
    [document], _ = read_one("a.csv", b"text,,x,x\nhello,1,2,3\n")
    assert document.metadata == {"column_2": 1, "x": 2, "x_2": 3, "source": "a.csv"}


def test_a_sample_shows_a_tables_first_rows() -> None:
    def sample(name: str, content: bytes) -> list[dict[str, Any]]:
        return ParsedFile(Upload.of_bytes(name, content), DEFAULT_MAX_BYTES).sample()

    rows = sample("a.csv", b"text,year\n" + b"row,1\n" * 50)
    assert rows == [{"text": "row", "year": 1}] * SAMPLE_ROWS
    assert sample("a.txt", b"text") == []
    assert sample("a.parquet", b"damaged") == []


def test_the_labs_own_export_is_recognised() -> None:
    assert guess_columns(["pk", "text", "vector", "metadata"]) == Columns(
        text="text", metadata=("metadata",), vector="vector", key="pk"
    )


def test_vectors_of_a_table_are_taken_when_asked_and_their_length_is_checked() -> None:
    content = b'{"text": "a", "vector": [1, 2]}\n{"text": "b", "vector": [1]}\n{"text": "c"}\n'
    documents, problems = read_one("a.jsonl", content, take_vectors=True, dimension=2)
    assert [d.page_content for d in documents] == ["a"]
    assert isinstance(documents[0], VectorDocument)
    assert list(documents[0].vector) == [1, 2]
    assert problems == [
        "a.jsonl, line 2: it has a vector of 1 numbers where one of 2 belongs",
        "a.jsonl, line 3: it has no vector where one of 2 belongs",
    ]


def test_vectors_of_parquet_stay_one_array_a_batch() -> None:
    content = parquet(
        text=["a", "b", ""], vector=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], year=[1, 2, 3]
    )
    [batch], problems = batches_of(
        [Upload.of_bytes("a.parquet", content)], take_vectors=True, dimension=2
    )
    assert batch.texts == ["a", "b"]
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1, 2], [3, 4]]
    assert batch.metadatas[1] == {"year": 2, "source": "a.parquet", "position": 1}
    assert problems == ["a.parquet, row 3: it has no text in 'text'"]


def test_vectors_of_another_length_are_refused() -> None:
    content = parquet(text=["a"], vector=[[1.0, 2.0]])
    upload = Upload.of_bytes("a.parquet", content)
    batches, problems = batches_of([upload], take_vectors=True, dimension=3)
    assert batches == []
    assert problems == ["a.parquet, row 1: it has a vector of 2 numbers where one of 3 belongs"]


def test_files_of_one_name_become_two_sources() -> None:
    uploads = [Upload.of_bytes("a.txt", b"one"), Upload.of_bytes("a.txt", b"two")]
    [batch], _ = batches_of(uploads)
    assert [m["source"] for m in batch.metadatas] == ["a.txt", "a (2).txt"]


def test_a_file_on_disk_is_read_like_an_upload(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("from disk")
    [document], _ = read_uploads([upload_of(path)])
    assert document.page_content == "from disk"
