"""Searches and lookups → the programs that make them again."""

from collections.abc import Sequence
from pprint import pformat
from typing import Any

from lib.programs.filling import Code, Value, code_lines, fill
from lib.programs.snippet import Place, Snippet, arguments_code, opening, snippet
from lib.results.catalogue import OPERATIONS


def call(operation: str, arguments: dict[str, Any], place: Place) -> Snippet:
    """Return one reading call of an operation with its real parameters; it prints what it finds."""
    pair, vector = OPERATIONS[operation], arguments.get("embedding")
    written = pformat(list(vector), width=96, compact=True) if vector else ""

    def program(cell: str, method: str) -> str:
        return fill(
            cell,
            OPENING=opening(place),
            VECTOR=Code(f"vector = {written}") if vector else None,
            CALL=Code(f"store.{method}"),
            ARGUMENTS=arguments_code(arguments),
            SHOW=_show(operation, "found", place),
        )

    return snippet(
        place,
        sync=program("call", pair.name),
        asynchronous=program("call async", pair.async_name),
    )


def _show(operation: str, found: str, place: Place) -> Code:
    """Return the lines that print what a search or a lookup found, as its page shows it."""
    kind = {"get_pks": "keys", "search_by_metadata": "metadata"}.get(
        operation, "scored" if "with_score" in operation else "documents"
    )
    return fill(f"show {kind}", FOUND=Code(found), KEY=place.names[0])


def similarity_and_mmr(
    query: str, like: str, common: dict[str, Any], mmr_only: dict[str, Any], place: Place
) -> Snippet:
    """Return both searches, one after the other as sync code, at the same time as async code.

    They search for the question, or for the vector of the row that the expression `like` finds.
    """
    common = ({"embedding": None} if like else {"query": query}) | common
    by_vector = "_by_vector" if like else ""
    nearest, diverse = (
        OPERATIONS[f"{name}{by_vector}"]
        for name in ("similarity_search_with_score", "max_marginal_relevance_search")
    )
    row = fill("row of a key", EXPR=Code(repr(like)), VECTOR_FIELD=place.names[2])

    def program(cell: str, similar: str, varied: str) -> str:
        return fill(
            cell,
            OPENING=opening(place),
            ROW=row if like else None,
            NEAREST=Code(f"store.{similar}"),
            ARGUMENTS=arguments_code(common),
            DIVERSE=Code(f"store.{varied}"),
            MMR_ARGUMENTS=arguments_code(common | mmr_only),
            SHOW=_show(nearest.name, "similar", place),
            SHOW_DIVERSE=_show(diverse.name, "diverse", place),
        )

    return snippet(
        place,
        sync=program("both", nearest.name, diverse.name),
        asynchronous=program("both async", nearest.async_name, diverse.async_name),
    )


def retriever(
    questions: Sequence[str],
    search_type: str,
    search_kwargs: dict[str, Any],
    place: Place,
    *,
    concurrency: int,
) -> Snippet:
    """Return a store used as a retriever: a loop and `batch`, a gather and `abatch`."""
    made = fill(
        "retriever",
        SEARCH_TYPE=search_type,
        SEARCH_KWARGS=Code(repr(search_kwargs)),
        QUESTIONS=_questions(questions),
        LIMIT=concurrency,
    )
    values: dict[str, Value] = {
        "OPENING": Code(f"{opening(place)}\n{made}"),
        "SHOW": fill("answers of documents", KEY=place.names[0]),
        "LIMIT": concurrency,
    }
    return snippet(
        place,
        sync=fill("retriever sync", **values),
        asynchronous=fill("retriever async", **values),
    )


def many_searches(questions: Sequence[str], k: int, place: Place, *, concurrency: int) -> Snippet:
    """Return many searches as a loop, as a limited gather, and as one batched request."""
    key, text, vector = place.names
    values: dict[str, Value] = {
        "OPENING": Code(f"{opening(place)}\n{_questions(questions)}"),
        "SHOW": fill("answers of scored", KEY=key),
        "K": k,
        "LIMIT": concurrency,
        "KEY": key,
        "TEXT_FIELD": text,
        "VECTOR_FIELD": vector,
    }
    return snippet(
        place,
        sync=fill("many sync", **values),
        asynchronous=fill("many async", **values),
        one_batch=fill("many at once", **values),
    )


def _questions(questions: Sequence[str]) -> Code:
    return fill("questions", QUESTIONS=code_lines(questions))
