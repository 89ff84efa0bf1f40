"""Many questions at once, and the store as a retriever: the same queries asked several ways."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from lib import jobs
from lib.charts import charts
from lib.jobs import Job
from lib.milvus import snippets
from lib.milvus.collections import Collection
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.snippets import Snippet
from lib.search import ask as search
from lib.search import many as search_many
from lib.search.many import ManyAnswer, ManyRequest, Run
from lib.ui.common.chart import show_chart
from lib.ui.common.errors import show_error
from lib.ui.common.progress import follow
from lib.ui.common.snippet import snippet
from lib.ui.search.exports import exports
from lib.words import duration_text, ratio_text

# The benchmark's lane: two measurements at once would disturb each other.
LANE = "benchmark"
DEFAULT_QUERIES = 100
LITE = (
    "Milvus Lite runs inside this app and answers one request at a time, so calling it "
    "concurrently gains little; a Milvus server shows the difference."
)
RETRIEVER_QUERIES = 25


@dataclass(frozen=True)
class Kind:
    """One way of asking many: what runs, and how it is told."""

    key: str
    intro: str
    queries: int
    run: Callable[..., ManyAnswer]


MANY = Kind(
    "many",
    "What happens when many people ask at once: the same queries as a sync loop, as a gather with "
    "a limit, and as one request that carries all vectors.",
    DEFAULT_QUERIES,
    search_many.ask_many,
)
RETRIEVER = Kind(
    "retriever",
    "A RAG service sees the store through `as_retriever`. These are its four ways to ask: "
    "`invoke`, `batch`, `ainvoke` and `abatch`.",
    RETRIEVER_QUERIES,
    search_many.ask_retriever,
)


def show_many(
    kind: Kind, opened: Connection, model: EmbeddingModel, collection: Collection
) -> None:
    """Draw the queries, run them in every way as a job, and draw the comparison."""
    st.caption(kind.intro)
    text_key = f"{kind.key}_text"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "How many",
            1,
            search_many.MAX_QUERIES,
            kind.queries,
            key=f"{kind.key}_count",
            width=150,
        )
        if st.button(
            "Make queries from the rows", icon=":material/shuffle:", key=f"{kind.key}_new"
        ):
            with show_error():
                made = search.sample_queries(opened, model, collection.name, count)
            st.session_state[text_key] = "\n".join(made)
    with st.form(f"{kind.key}_form"):
        text = st.text_area(
            f"Queries, one a line, at most {search_many.MAX_QUERIES}",
            key=text_key,
            height=160,
            placeholder="Paste queries, or make some from the rows of the collection",
        )
        request, submitted = _settings(kind, search_many.read_queries(text))
    if submitted:
        with show_error():
            request.check()
        st.query_params[kind.key] = _submit(kind, opened, model, collection.name, request).id
    job = jobs.shared().get(st.query_params.get(kind.key))
    if job is None or not follow(job, key=kind.key):
        return
    answer = job.result
    if isinstance(answer, ManyAnswer) and answer.runs:
        _show_answer(kind, answer, is_lite=opened.is_lite)
        snippet(_code(kind, answer.request, opened, model, collection), key=f"{kind.key}_code")


def _settings(kind: Kind, queries: tuple[str, ...]) -> tuple[ManyRequest, bool]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        k = st.number_input("k", 1, search.MAX_K, 5, key=f"{kind.key}_k", width=130)
        concurrency = st.number_input(
            "In flight at most",
            1,
            search_many.MAX_CONCURRENCY,
            32,
            key=f"{kind.key}_concurrency",
            help="How many requests the concurrent ways may have under way.",
            width=170,
        )
        search_type, lambda_mult = "similarity", 0.5
        if kind is RETRIEVER:
            search_type = st.segmented_control(
                "search_type",
                ["similarity", "mmr"],
                default="similarity",
                required=True,
                key="retriever_type",
            )
            lambda_mult = st.number_input(
                "λ (mmr)", 0.0, 1.0, 0.5, 0.05, key="retriever_lambda", width=130
            )
        submitted = st.form_submit_button("Ask all", type="primary", icon=":material/play_arrow:")
    request = ManyRequest(
        queries=queries,
        k=k,
        concurrency=concurrency,
        search_type=search_type,
        lambda_mult=lambda_mult,
    )
    return request, submitted


def _submit(
    kind: Kind,
    opened: Connection,
    model: EmbeddingModel,
    collection: str,
    request: ManyRequest,
) -> Job:
    def work(job: Job) -> ManyAnswer:
        return kind.run(opened, model, collection, request, job)

    return jobs.shared().submit(f"Asking {len(request.queries):,} queries", work, lane=LANE)


def _show_answer(kind: Kind, answer: ManyAnswer, *, is_lite: bool) -> None:
    _show_check(answer)
    st.markdown(f"#### {finding(answer)}")
    with st.grid(len(answer.runs), min_column_width=165):
        for run in answer.runs:
            is_baseline = run is answer.runs[0]
            st.metric(
                run.label,
                duration_text(run.wall_ms / 1000),
                "baseline" if is_baseline else ratio_text(answer.speedup(run)),
                delta_color="off",
                delta_arrow="off",
                delta_description="" if is_baseline else "as fast",
                border=True,
            )
    st.caption(
        "One run of each way: a feeling, not a measurement. The benchmark page repeats it."
        + (f" {LITE}" if is_lite else "")
    )
    st.markdown("**Each bar is one query, from its start to its end**")
    show_chart(
        charts.waterfall(_waterfall(answer)),
        alt="When each query started and ended, one lane for each way",
        key=f"{kind.key}_waterfall",
    )
    rows = _rows(answer)
    document = {"k": answer.request.k, "verified": answer.verified, "runs": _runs(answer)}
    exports(rows, document, key=kind.key)


def finding(answer: ManyAnswer) -> str:
    """Say which way was fastest, also when that is the plain loop."""
    count, baseline = f"{len(answer.request.queries):,} queries", answer.runs[0]
    fastest = min(answer.runs, key=lambda run: run.wall_ms)
    if fastest is baseline:
        return f"{count}: nothing was faster than {baseline.label} here"
    return (
        f"{count}: {fastest.label} took {duration_text(fastest.wall_ms / 1000)}, "
        f"{ratio_text(answer.speedup(fastest))} as fast as {baseline.label}"
    )


def _show_check(answer: ManyAnswer) -> None:
    """Say whether all ways returned the same, which is what makes their times comparable."""
    total = len(answer.request.queries)
    failures = {run.label: run.failures for run in answer.runs if run.failures}
    if answer.verified:
        st.success(
            f"Checked: all {len(answer.runs)} ways returned the same rows in the same order for "
            f"all {total:,} queries.",
            icon=":material/verified:",
        )
    elif answer.partial:
        st.warning("What had finished is shown.", title="Stopped")
    elif failures:
        listed = ", ".join(f"{label}: {count}" for label, count in failures.items())
        st.warning(f"Queries without an answer: {listed}.", title="Some queries failed")
    else:
        st.warning(
            f"{len(answer.differing):,} of {total:,} queries got other rows, or rows in another "
            "order, from one way than from another. An approximate index or rows with the same "
            "score can do that; compare the times with care.",
            title="The ways did not return the same",
        )


def _waterfall(answer: ManyAnswer) -> pd.DataFrame:
    """Lay the calls out for the chart: one lane a way, embedding and the rest as two parts."""
    rows: list[dict[str, Any]] = []
    row = 0
    for run in answer.runs:
        for call, span in sorted(enumerate(run.spans), key=lambda item: item[1].start_ms):
            split = min(span.start_ms + span.embed_ms, span.end_ms)
            common = {
                "lane": run.label,
                "family": "async" if run.is_async else "sync",
                "row": row,
                "row_end": row + 1,
                "call": call,
                "shown": len(run.spans),
                "total": len(run.spans),
                "wall_s": run.wall_ms / 1000,
            }
            for part, start, end in (
                ("embedding", span.start_ms, split),
                ("Milvus and client", split, span.end_ms),
            ):
                rows.append(
                    common
                    | {"part": part, "start_s": start / 1000, "end_s": end / 1000, "ok": True}
                )
            row += 1
        row += max(8, len(answer.request.queries) // 6)
    return pd.DataFrame(rows)


def _rows(answer: ManyAnswer) -> list[dict[str, Any]]:
    return [
        {"query": query, "way": run.label, "keys": " ".join(run.keys[index] or ())}
        for run in answer.runs
        for index, query in enumerate(answer.request.queries)
    ]


def _runs(answer: ManyAnswer) -> list[dict[str, Any]]:
    return [_run(run) for run in answer.runs]


def _run(run: Run) -> dict[str, Any]:
    return {
        "way": run.label,
        "wall_ms": run.wall_ms,
        "failures": run.failures,
        "calls": [
            {"start_ms": span.start_ms, "end_ms": span.end_ms, "embed_ms": span.embed_ms}
            for span in run.spans
        ],
    }


def _code(
    kind: Kind,
    request: ManyRequest,
    opened: Connection,
    model: EmbeddingModel,
    collection: Collection,
) -> Snippet:
    place: dict[str, Any] = {
        "uri": snippets.shown_uri(opened),
        "collection": collection.name,
        "model": model.model,
        "concurrency": request.concurrency,
    }
    if kind is RETRIEVER:
        return snippets.retriever(
            request.queries, request.search_type, search_many.retriever_arguments(request), **place
        )
    return snippets.many_searches(request.queries, request.k, **place)
