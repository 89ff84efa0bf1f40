"""An answer → the programs that ask it again."""

from langchain_core.documents import Document

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.milvus.filters import combine, equals, quote
from lib.milvus.operations import OPERATIONS
from lib.programs import searching
from lib.programs.snippet import CARRIED_ROWS, Place, Snippet
from lib.results.catalogue import PRIMARY_FIELD, SEARCH_TYPES
from lib.results.plan import Plan
from lib.search.ask import (
    Candidates,
    MethodAnswer,
    Request,
    found_document,
    row_document,
    search_rows,
)

COMPARED = "Contains the rows that were compared."
FOUND = "Contains the rows that the method looked at."
SOME = f"Contains at most {CARRIED_ROWS} of your rows."


def comparison_code(
    connection: Connection, collection: str, found: Candidates, lambda_mult: float, place: Place
) -> Snippet:
    """Return the programs that search by similarity and by MMR as the page did."""
    question, schema = found.question, connection.schema(collection)
    expr = question.whole_expr(schema)
    like = ""
    if question.like:
        like = equals(schema.key.name, schema.parse_key(question.like))
    if place.is_lite:
        rows = [Document(hit.text, metadata=hit.metadata, id=hit.key) for hit in found.hits]
        if question.like:
            rows += _rows(connection, collection, like, 1)
            # The program's own collection has keys of the lab's kind.
            like = equals(PRIMARY_FIELD, question.like)
            expr = combine([question.expr, f"{PRIMARY_FIELD} != {quote(question.like)}"])
        place = place.own(rows, COMPARED)
    return searching.similarity_and_mmr(
        question.query,
        like,
        {"k": question.k, "expr": expr},
        {"fetch_k": question.fetch_k, "lambda_mult": lambda_mult},
        place,
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
    return searching.call(request.operation, request.arguments(), place)


def many_code(connection: Connection, plan: Plan, place: Place) -> Snippet:
    """Return the programs that ask the questions of a plan as its strategies do."""
    if place.is_lite:
        place = place.own(_rows(connection, plan.collection, "", CARRIED_ROWS), SOME)
    concurrency = plan.concurrency[0]
    search_type = SEARCH_TYPES.get(plan.operations[0])
    if search_type is None:
        return searching.many_searches(plan.questions, plan.k, place, concurrency=concurrency)
    more = {"lambda_mult": plan.lambda_mult, "fetch_k": plan.fetch_k}
    arguments = {"k": plan.k} | (more if search_type == "mmr" else {})
    return searching.retriever(
        plan.questions, search_type, arguments, place, concurrency=concurrency
    )


def _looked_at(
    connection: Connection, model: EmbeddingModel, collection: str, request: Request
) -> list[Document]:
    """Return the rows that a method chose from, at least one; nearest or by the filter."""
    operation = OPERATIONS[request.operation]
    if operation.searches:
        vector = (
            model.embeddings.embed_query(request.query)
            if operation.embeds
            else list(request.vector)
        )
        with reported("Could not read the rows that the search looked at."):
            store = connection.store(collection, model.embeddings)
            schema = connection.schema(collection)
            limit = request.fetch_k if operation.is_mmr else request.k
            found = search_rows(
                store,
                schema,
                [vector],
                limit,
                connection.answer_s,
                request.expr,
                schema.readable,
            )[0]
        rows = [found_document(row, schema) for row in found]
    else:
        rows = _rows(connection, collection, request.expr, CARRIED_ROWS)
    # A collection without a row cannot even be asked.
    return rows or _rows(connection, collection, "", 1)


def _rows(connection: Connection, collection: str, expr: str, limit: int) -> list[Document]:
    schema = connection.schema(collection)
    with reported("Could not read rows for the code."):
        found = connection.client.query(
            collection,
            filter=expr,
            output_fields=schema.readable,
            limit=limit,
            timeout=connection.answer_s,
        )
    return [row_document(row, schema) for row in found]
