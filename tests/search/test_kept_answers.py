"""What the search page keeps of a collection is forgotten when its rows are written anew."""

from pathlib import Path
from string import ascii_lowercase

from langchain_core.documents import Document

from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.ui.search import form
from lib.ui.visitor import session
from lib.ui.widgets import typed_filter
from tests.stores import COLLECTION, copy_of, fill

ROWS = 53


def rows_about(subject: str) -> list[Document]:
    texts = [
        f"{subject} "
        + " ".join(f"{letter}{ascii_lowercase[number % 26]}{letter}" for letter in "abcdefghijkl")
        for number in range(ROWS)
    ]
    return [
        Document(text, metadata={"source": subject, "pk": str(number)})
        for number, text in enumerate(texts)
    ]


def kept(opened: Connection, model: EmbeddingModel) -> tuple[str, tuple[str, ...], object]:
    facts = milvus_collections.describe(opened, COLLECTION)
    assert facts.rows == ROWS
    fields = typed_filter.field_list(opened, model, facts)
    values = next(each.values for each in fields if each.name == "source")
    measured = form.measured_chance(opened, model, facts, "")
    return form._examples(opened, model, facts)[0], tuple(values), measured


def test_examples_chance_and_fields_are_of_the_rows_that_are_there_now(
    tmp_path: Path, model: EmbeddingModel
) -> None:
    filled = fill(tmp_path / "filled.db", rows_about("walrus"))
    with copy_of(filled, tmp_path / "lab.db") as opened:
        example, values, measured = kept(opened, model)
        assert "walrus" in example
        assert values == ("walrus",)
        assert measured is not None
        assert kept(opened, model)[2] is measured  # kept while nothing is written
        pks = [str(row["pk"]) for row in opened.client.query(
            COLLECTION, filter='source == "walrus"', output_fields=["pk"], limit=ROWS
        )]  # fmt: skip
        opened.client.delete(COLLECTION, ids=pks)
        ingest(opened, model, rows_about("glacier"), IngestionPlan(COLLECTION))
        session.rows_changed(opened.territory)
        example, values, later = kept(opened, model)
        assert "glacier" in example
        assert values == ("glacier",)
        assert later is not measured
