"""An answer → the programs that ask it again."""

from langchain_core.documents import Document

from lib.benchmark.retriever import SEARCH_TYPES
from lib.benchmark.workload import Plan
from lib.milvus import snippets
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD
from lib.milvus.filters import quote
from lib.milvus.operations import OPERATIONS
from lib.milvus.snippets import CARRIED_ROWS, Place, Snippet
from lib.search.ask import (
    OWN_FIELDS,
    Candidates,
    Hit,
    MethodAnswer,
    Request,
    row_hit,
    search_rows,
)

COMPARED = "It holds the rows that were compared."
FOUND = "It holds the rows that the method looked at."
SOME = f"It holds {CARRIED_ROWS} rows of yours at most."


def comparison_code(
    connection: Connection, collection: str, found: Candidates, lambda_mult: float, place: Place
) -> Snippet:
    """Return the programs that search by similarity and by MMR as the page did."""
    question = found.question
    if place.is_lite:
        rows = [_document(hit) for hit in found.hits]
        if question.like:
            rows += _rows(connection, collection, _is(question.like), 1)
        place = place.own(rows, COMPARED)
    subject, before = snippets.subject(question.query, question.like)
    common = subject | {"k": question.k, "expr": question.whole_expr}
    by_vector = "_by_vector" if question.like else ""
    return snippets.similarity_and_mmr(
        (f"similarity_search_with_score{by_vector}", common),
        (
            f"max_marginal_relevance_search{by_vector}",
            common | {"fetch_k": question.fetch_k, "lambda_mult": lambda_mult},
        ),
        place,
        before=before,
    )


def method_code(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    answer: MethodAnswer,
    place: Place,
) -> Snippet:
    """Return the programs that call one method as the page did."""
    request = answer.request
    if place.is_lite:
        place = place.own(_looked_at(connection, model, collection, request), FOUND)
    arguments, before = request.arguments(), ""
    if "embedding" in arguments:
        arguments["embedding"] = snippets.Name("vector")
        before = snippets.vector_lines(request.vector)
    return snippets.call(request.operation, arguments, place, before=before)


def many_code(connection: Connection, plan: Plan, place: Place) -> Snippet:
    """Return the programs that ask the questions of a plan as its strategies do."""
    if place.is_lite:
        place = place.own(_rows(connection, plan.collection, "", CARRIED_ROWS), SOME)
    concurrency = plan.concurrency[0]
    search_type = SEARCH_TYPES.get(plan.operations[0])
    if search_type is None:
        return snippets.many_searches(plan.questions, plan.k, place, concurrency=concurrency)
    more = {"lambda_mult": plan.lambda_mult, "fetch_k": plan.fetch_k}
    arguments = {"k": plan.k} | (more if search_type == "mmr" else {})
    return snippets.retriever(
        plan.questions, search_type, arguments, place, concurrency=concurrency
    )


def _looked_at(
    connection: Connection, model: EmbeddingModel, collection: str, request: Request
) -> list[Document]:
    """Return the rows that a method chose from, at least one; nearest or by the filter."""
    operation = OPERATIONS[request.operation]
    rows: list[Document] = []
    if operation.searches:
        vector = (
            model.embeddings.embed_query(request.query)
            if operation.embeds
            else list(request.vector)
        )
        with reported("Could not read the rows that the search looked at."):
            store = connection.store(collection, model.embeddings)
            limit = request.fetch_k if operation.is_mmr else request.k
            answer_s = connection.answer_s
            found = search_rows(store, [vector], limit, answer_s, request.expr, ["*"])[0]
        rows = [_document(row_hit(rank, row)) for rank, row in enumerate(found, 1)]
    else:
        rows = _rows(connection, collection, request.expr, CARRIED_ROWS)
    # A collection without a row cannot even be asked.
    return rows or _rows(connection, collection, "", 1)


def _rows(connection: Connection, collection: str, expr: str, limit: int) -> list[Document]:
    with reported("Could not read rows for the code."):
        found = connection.client.query(
            collection, filter=expr, output_fields=["*"], limit=limit, timeout=connection.answer_s
        )
    return [
        Document(
            id=str(row[PRIMARY_FIELD]),
            page_content=str(row.get(TEXT_FIELD, "")),
            metadata={name: value for name, value in row.items() if name not in OWN_FIELDS},
        )
        for row in found
    ]


def _document(hit: Hit) -> Document:
    return Document(id=hit.key, page_content=hit.text, metadata=hit.metadata)


def _is(key: str) -> str:
    return f"{PRIMARY_FIELD} == {quote(key)}"
