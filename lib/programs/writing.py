"""Rows → the programs that ingest, change and delete them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lib.programs.filling import Code, fill
from lib.programs.snippet import Place, Row, Snippet, carried, opening, options, snippet

# The methods that write rows in batches; from_texts makes a collection of the first batch.
METHODS = ("add_texts", "add_documents", "upsert", "add_embeddings", "from_texts")
OF_DOCUMENTS = ("add_documents", "upsert")


@dataclass(frozen=True)
class ExampleRow:
    """A row of an example."""

    id: str
    page_content: str
    metadata: dict[Any, Any] = field(default_factory=dict)


EXAMPLE_ROWS = (
    ExampleRow("a", "A text of an old file", {"source": "old.txt"}),
    ExampleRow("b", "A text to change", {"source": "new.txt"}),
    ExampleRow("c", "A text to keep", {"source": "new.txt"}),
)


def ingestion(
    place: Place,
    rows: Sequence[Row],
    *,
    batch_size: int,
    concurrency: int,
    method: str = "add_documents",
) -> Snippet:
    """Return the batched ingestion of these rows: a loop, gathered batches, and one call.

    The programs write into a collection of their own, so that nothing is added twice to another.
    """
    place = place.own(about_rows="Put your own rows in the place of these.")
    is_creation = method == "from_texts"
    adding = "add_texts" if is_creation else method
    documents = Code(f"\n\n{fill('documents')}\n\n") if method in OF_DOCUMENTS else None
    all_rows = carried(rows)
    batches = fill("batches", ROWS=all_rows, DOCUMENTS=documents, SIZE=batch_size)

    def program(cell: str, rows: Code, write: Code) -> str:
        return fill(
            cell,
            ROWS=rows,
            DOCUMENTS=documents,
            OPENING=opening(place),
            OPTIONS=options(place),
            # Upsert does not make a missing collection; the other methods do.
            FIRST=fill("first upsert") if method == "upsert" else None,
            COUNT=fill("count"),
            LIMIT=concurrency,
            WRITE=write,
        )

    name = "creation" if is_creation else "ingestion"
    return snippet(
        place,
        sync=program(name, batches, _write(adding, "batch")),
        asynchronous=program(f"{name} async", batches, _write(adding, "batch", "await ", "a")),
        one_batch=""
        if is_creation
        else program("ingestion at once", all_rows, _write(adding, "rows")),
    )


def _write(method: str, part: str, wait: str = "", a: str = "") -> Code:
    """Return the call that writes a part of the rows."""
    return fill(
        f"write {method}",
        WRITE=Code(f"{wait}store.{a}{method}"),
        EMBED=Code(f"{wait}model.{a}embed_documents"),
        PART=Code(part),
    )


def row_changes(place: Place) -> Snippet:
    """Return the calls that change and delete rows: upsert by key, delete by expression."""
    own = place.own(EXAMPLE_ROWS)
    values = {"OPENING": opening(own), "COUNT": fill("count"), "SHOW": fill("changes shown")}
    return snippet(
        own, sync=fill("changes", **values), asynchronous=fill("changes async", **values)
    )
