"""Documents → chunks: nothing lost, nothing too long, borders where the splitter says."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from lib.documents.chunking import SPLITTERS, Chunking, chunks, overlap_of
from lib.documents.files import parsed
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading, Upload
from lib.errors import InvalidInput
from lib.ingestion.batches import from_documents
from lib.milvus.milvus_collections import MAX_VARCHAR_BYTES


def cut(text: str, splitter: str = "recursive", size: int = 100, overlap: int = 0) -> list[str]:
    document = Document(page_content=text, metadata={"source": "a.txt"})
    return [c.page_content for c in chunks([document], Chunking(splitter, size, overlap))]


def without_spaces(text: str) -> str:
    return "".join(text.split())


PROSE = "\n\n".join(
    f"Paragraph {i} begins here. It has a second sentence! Does it have a third? Yes, it has."
    for i in range(30)
)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_chunks_without_overlap_are_together_the_text(splitter: str) -> None:
    pieces = cut(PROSE, splitter)
    assert len(pieces) > 10
    assert max(map(len, pieces)) <= 100
    assert without_spaces("".join(pieces)) == without_spaces(PROSE)


@pytest.mark.parametrize("splitter", ["recursive", "sentence"])
@settings(max_examples=60)
@given(text=st.text(st.sampled_from("ab .!?\n é漢。"), max_size=2_000))
def test_no_letter_is_lost_and_no_chunk_too_long(splitter: str, text: str) -> None:
    pieces = cut(text, splitter, size=60)
    assert without_spaces("".join(pieces)) == without_spaces(text)
    assert all(len(piece) <= 60 for piece in pieces)


def test_neighbours_share_their_overlap() -> None:
    words = " ".join(f"word{i}" for i in range(200))
    pieces = cut(words, size=100, overlap=40)
    shared = [overlap_of(a, b, 40) for a, b in itertools.pairwise(pieces)]
    assert min(shared) > 10
    assert max(shared) <= 40


def test_sentences_are_not_cut_when_they_fit() -> None:
    assert all(piece.rstrip()[-1] in ".!?" for piece in cut(PROSE, "sentence"))


def test_markdown_chunks_know_the_headings_above_them() -> None:
    text = "# One\n\nText a.\n\n## Two\n\nText b.\n\n# Three\n\nText c."
    document = Document(page_content=text, metadata={"source": "a.md"})
    found = list(chunks([document], Chunking("markdown", 100, 0)))
    assert [chunk.metadata["heading"] for chunk in found] == ["One", "One › Two", "Three"]


KEPT = (
    "10\u00a0km per\u00a0hour.\tTabbed\tcells.", "- one\n    - two", "\tif x:\n\t\treturn 1",
    "👨\u200d👩\u200d👧 می\u200cخواهم",
)  # fmt: skip


@pytest.mark.parametrize("size", [50, 2_000])
@pytest.mark.parametrize("splitter", SPLITTERS)
def test_a_text_is_kept_as_it_was_written(splitter: str, size: int) -> None:
    text = "# Limits\n\n" + "\n\n".join(KEPT)
    found = "\n".join(cut(text, splitter, size=size))
    assert [part for part in KEPT if part not in found] == []


def test_what_looks_like_a_heading_in_code_is_none() -> None:
    text = "# One #\n\n```sh\n# a comment\n~~~\n```\n\n## Two\n\nb\n\n##### five\n"
    document = Document(page_content=text, metadata={"source": "a.md"})
    found = list(chunks([document], Chunking("markdown", 100, 0)))
    assert [chunk.metadata["heading"] for chunk in found] == ["One", "One › Two"]
    assert found[0].page_content == text[: text.index("\n\n## Two")]


def test_positions_count_through_a_source_and_not_across_sources() -> None:
    documents = [
        Document(page_content="a" * 150, metadata={"source": "a"}),
        Document(page_content="b", metadata={"source": "b"}),
        Document(page_content="c", metadata={"source": "a"}),
    ]
    found = chunks(documents, Chunking(size=100, overlap=0))
    assert [(c.metadata["source"], c.metadata["position"]) for c in found] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("a", 2),
    ]


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_ten_million_characters_without_a_space_are_cut_in_seconds(splitter: str) -> None:
    started = time.process_time()
    [file] = parsed([Upload.of_bytes("line.txt", b"x" * 10_000_000)], DEFAULT_MAX_BYTES)
    documents = file.documents(file.parts(), Reading(), Problems())
    found = list(chunks(documents, Chunking(splitter, 800, 0)))
    assert sum(len(chunk.page_content) for chunk in found) == 10_000_000
    assert max(len(chunk.page_content) for chunk in found) <= 800
    # Left to the splitter it takes twenty to forty seconds on two cores.
    assert time.process_time() - started < 8


def test_the_largest_chunk_of_the_longest_characters_fits_milvus() -> None:
    document = Document(page_content="𝄞" * 40_000, metadata={"source": "a"})
    problems = Problems()
    found = chunks([document], Chunking(size=15_000, overlap=0))
    batches = list(from_documents(found, 100, problems))
    assert problems.total == 0
    texts = [text for batch in batches for text in batch.texts]
    assert "".join(texts) == "𝄞" * 40_000
    assert max(len(text.encode()) for text in texts) <= MAX_VARCHAR_BYTES


@pytest.mark.parametrize(
    "chunking", [Chunking("nonsense"), Chunking(size=10), Chunking(size=100, overlap=60)]
)
def test_what_cannot_be_cut_is_refused(chunking: Chunking) -> None:
    with pytest.raises(InvalidInput):
        list(chunks([], chunking))
