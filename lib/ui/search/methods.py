"""Every search method by hand: choose it, choose sync or async, see what it returns."""

from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection, metric_of
from lib.results.catalogue import Operation
from lib.search import ask as search
from lib.search.ask import METHODS, Hit, MethodAnswer, Request
from lib.search.code import method_code
from lib.ui.search.form import (
    ask_first_example,
    fetch_k_input,
    filter_builder,
    filter_expression,
    filter_input,
    k_input,
    lambda_input,
)
from lib.ui.search.results import answer_downloads, timing_line
from lib.ui.visitor.errors import show_error
from lib.ui.widgets import typed_filter
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.snippet import here, snippet
from lib.ui.widgets.table import show_table
from lib.words import counted

SHOWN_KEYS = 1_000


def show_methods(opened: Connection, model: EmbeddingModel, collection: Collection) -> None:
    """Draw the form of one method, call it, and draw what it returned."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Method",
            list(METHODS),
            key="method",
            bind="query-params",
            width=360,
        )
        way = choice("Call", ("async", "sync"), default="async", key="way")
    operation = METHODS[name]
    method = operation.async_name if way == "async" else operation.name
    st.caption(f"{operation.label}: {operation.summary[0].lower()}{operation.summary[1:]}")
    ask_first_example(opened, model, collection)
    with st.form("method_form"):
        given = _inputs(operation, opened, model, collection)
        called = st.form_submit_button(
            f"Call {method}", type="primary", icon=":material/play_arrow:"
        )
    if "expr" in given:
        given["expr"] = filter_expression(opened, collection, given["expr"])
    filter_builder(opened, model, collection)
    if called:
        pasted, like = given.pop("pasted", "").strip(), given.pop("like", "").strip()
        with show_error():
            if pasted:
                given["vector"] = search.parse_vector(pasted)
            elif like:
                given["vector"] = search.row_vector(opened, collection.name, like)
            elif operation.searches and not operation.embeds:
                given["vector"] = tuple(model.embeddings.embed_query(given["query"]))
            request = Request(operation=name, asynchronous=way == "async", **given)
            st.session_state["method_answer"] = search.call_method(
                opened, model, collection.name, request
            )
    answer: MethodAnswer | None = st.session_state.get("method_answer")
    if answer is None or answer.request.operation != name:
        return
    _show_answer(answer, collection)
    place = here(opened, model, collection)
    snippet(lambda: method_code(opened, model, collection.name, answer, place), key="method_code")


def _inputs(
    operation: Operation, opened: Connection, model: EmbeddingModel, collection: Collection
) -> dict[str, Any]:
    """Draw the inputs that a method takes and return them by name."""
    given: dict[str, Any] = {}
    if operation.searches:
        given["query"] = st.text_input("Question", key="q", bind="query-params")
    if operation.searches and not operation.embeds:
        given["like"] = st.text_input(
            "Or the vector of this row",
            key="like",
            bind="query-params",
            placeholder="a primary key, for more like this row",
        )
        given["pasted"] = st.text_area(
            "Or paste a vector",
            key="vector",
            placeholder=f"[0.12, -0.3, …]: {model.dimension:,} numbers",
            height=80,
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if operation.searches:
            given["k"] = k_input()
        if operation.is_mmr:
            given["fetch_k"] = fetch_k_input()
            given["lambda_mult"] = lambda_input()
        given["expr"] = filter_input(opened, model, collection)
        if operation.name == "search_by_metadata":
            given["limit"] = st.number_input(
                "limit", 1, search.MAX_LIMIT, 10, key="limit", width=130
            )
    if operation.name == "search_by_metadata":
        with show_error():
            names = [field.name for field in typed_filter.field_list(opened, model, collection)]
        given["fields"] = tuple(
            st.multiselect(
                "Fields",
                names,
                default=[name for name in names if name != collection.schema.text],
                key="fields",
                help="The method adds the text by itself; dynamic fields come only when named.",
            )
        )
    return given


def _show_answer(answer: MethodAnswer, collection: Collection) -> None:
    metric = metric_of(collection.metric_type)
    st.markdown(f"**`{answer.request.method}` returned {_counted(answer)}.**")
    st.caption(timing_line(answer.timing))
    if answer.hits:
        rows = [_row(hit) for hit in answer.hits]
        show_table(
            rows,
            column_config={"text": st.column_config.TextColumn(width="large")},
            alt="What the method returned",
        )
        if any(hit.score is not None for hit in answer.hits):
            st.caption(f"Score: {metric.label}; {metric.explanation}.")
    else:
        rows = [{"key": key} for key in answer.keys]
        show_table(
            pd.DataFrame(rows[:SHOWN_KEYS], columns=["key"]),
            height=300,
            alt="The primary keys that match",
        )
    document = {"request": asdict(answer.request), "timing": asdict(answer.timing)}
    answer_downloads(rows, document, key="method")


def _counted(answer: MethodAnswer) -> str:
    noun = "row" if answer.hits or answer.request.operation != "get_pks" else "key"
    return counted(len(answer.keys), noun)


def _row(hit: Hit) -> dict[str, Any]:
    score = {"score": hit.score} if hit.score is not None else {}
    return {"rank": hit.rank, "key": hit.key} | score | {"text": hit.text} | hit.metadata
