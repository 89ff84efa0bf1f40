"""Any parameters in the address of any page: used or passed over, in bounded time and memory."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from streamlit.testing.v1 import AppTest

from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import PRESETS
from lib.runs.store import RECORDED_DIR
from lib.settings import load
from tests.hostile import NUMBERS, TEXTS, bounded
from tests.pages.conftest import OpenApp

# Each page with the names that it reads from its address.
PARAMETERS = {
    "overview": ("present", "run"),
    "ingestion": (
        *("ingestion", "tuning", "ingest_source", "ingest_splitter", "ingest_chunk"),
        *("ingest_overlap", "ingest_way", "ingest_batch", "ingest_concurrency"),
    ),
    "collections": ("export", "rows_filter"),
    "search": (
        *("view", "q", "like", "k", "fetch_k", "filter", "lambda", "way", "method", "copy"),
        *("hybrid_way", "through", "many", "retriever"),
    ),
    "benchmark": (
        *("b_run", "b_preset", "b_latency", "b_repeats", "b_p99", "b_batches", "b_overloaded"),
        *("b_operations", "b_strategies", "b_counts", "b_limits", "b_rows", "b_k", "b_warmup"),
        *(
            "b_seconds",
            "b_index",
            "b_seed",
            "b_delete_by",
            "b_delete_consistency",
            "b_focus",
            "file",
        ),
    ),
    "runs": ("r_runs", "r_filter", "r_origin", "r_focus", "r_speedup", "r_log", "file"),
    "owner": ("owner_token",),
}
RUNS = [f"recorded-{path.stem}" for path in sorted(RECORDED_DIR.glob("*.json"))]
# What is read as it is meant leads further into a page than noise does.
MEANT = st.sampled_from(
    [*RUNS, ",".join(RUNS), *PRESETS, "custom", "Words", "Every method", "Many at once", "1"]
)
# An address is UTF-8: it holds no half characters.
ADDRESSED = TEXTS.map(lambda text: text.encode("utf-8", "replace").decode())
VALUES = MEANT | ADDRESSED | NUMBERS.map(repr) | st.sampled_from(["x" * 20_000, "1," * 5_000])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a store with a few rows."""
    path = str(tmp_path_factory.mktemp("addresses") / "lab.db")
    host = load({"MILVUS_URI": path})
    opened = open_connection(host)
    rows = [Document(page_content=f"text {i}", metadata={"n": i}) for i in range(20)]
    ingest(opened, open_model(host), rows, IngestionPlan(host.collection))
    opened.close()
    return path


def visit(first: AppTest, page: str, asked: dict[str, list[str]]) -> None:
    """Open the page by such an address in a new session, in bounded time and memory."""
    app = AppTest.from_file(str(first._script_path), default_timeout=60)
    for name, values in asked.items():
        app.query_params[name] = values
    if page != "overview":
        app.switch_page(f"pages/{page}.py")
    with bounded(time.process_time):
        app.run()
    assert not app.exception, app.exception


@pytest.mark.parametrize("page", PARAMETERS)
def test_any_parameters_of_an_address(open_app: OpenApp, store: str, page: str) -> None:
    # What loading the page's modules takes is not the address's.
    first = open_app(f"pages/{page}.py", MILVUS_URI=store)
    assert not first.exception

    @settings(max_examples=10, suppress_health_check=list(HealthCheck))
    @given(
        st.dictionaries(
            st.sampled_from([*PARAMETERS[page], "present", "run"]) | ADDRESSED.filter(bool),
            st.lists(VALUES, min_size=1, max_size=2),
            max_size=6,
        )
    )
    @example({name: ["<script>alert(1)</script>"] for name in PARAMETERS[page]})
    @example({name: [",".join(RUNS[:3])] for name in PARAMETERS[page]})
    @example({name: [""] for name in PARAMETERS[page]})
    @example({name: ["1e999"] for name in PARAMETERS[page]})
    @example({name: ["inf"] for name in PARAMETERS[page]})
    @example({name: ["nan"] for name in PARAMETERS[page]})
    def any_address(asked: dict[str, list[str]]) -> None:
        visit(first, page, asked)

    any_address()
    assert Path(store).exists()
