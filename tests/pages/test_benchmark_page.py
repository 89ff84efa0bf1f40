"""The benchmark page without a browser: the form, a run, a stop, a link, and what goes wrong."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.benchmark import measurement
from lib.benchmark.endpoint import OpenAIEndpoint
from lib.errors import ConnectionFailed
from lib.jobs import Job, State
from lib.results import audit, run_file
from lib.results.analysis import analyse
from lib.results.audit import Audit, Audited, Instead
from lib.results.plan import PRESETS
from lib.results.trials import Run
from lib.runs import card
from lib.runs.store import RunStore
from lib.ui.widgets.links import RUN_PARAMETER
from tests.pages.conftest import OpenApp, wait_for_jobs
from tests.run_builder import make_run, make_trial
from tests.waiting import wait_until

PAGE = "pages/benchmark.py"


def text_of(app: AppTest) -> str:
    """Return what a reader of the page reads: headline, texts and messages."""
    return raw_text_of(app).replace("\u00a0", " ").replace("\\", "")


def raw_text_of(app: AppTest) -> str:
    """Return the same as Markdown."""
    parts = [
        *app.title,
        *app.header,
        *app.subheader,
        *app.markdown,
        *app.caption,
        *app.info,
        *app.warning,
        *app.error,
    ]
    return " ".join(f"{getattr(part, 'title', None) or ''} {part.value}" for part in parts)


def charts_of(app: AppTest) -> list[Any]:
    """Return the charts on the page."""
    return list(app.get("vega_lite_chart"))


def bars_of(app: AppTest) -> list[dict[str, Any]]:
    """Return the ways on the result card."""
    found = [json.loads(each.proto.json) for each in app.get("bidi_component") if each.proto.json]
    return next(data[0]["lanes"] for data in found if isinstance(data, list) and "lanes" in data[0])


@pytest.fixture(autouse=True)
def no_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the corpus that a first visit loads: a benchmark makes rows of its own."""
    monkeypatch.setattr("lib.ui.frame.corpus.first_load", lambda opened: None)


def run_id_of(app: AppTest) -> str:
    """Return the id of the run that the URL names."""
    found = app.query_params[RUN_PARAMETER]
    return found if isinstance(found, str) else found[0]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Job], Run]], None]:
    """Put another measurement in the worker's place."""

    def replace(measure: Callable[[Job], Run]) -> None:
        def apart(plan: Any, access: Any, job: Job, *more: Any) -> Run:
            return measure(job)

        monkeypatch.setattr(measurement, "apart", apart)

    return replace


def command_of(app: AppTest) -> str:
    """Return the command that the run's method shows."""
    app.session_state["b_view"] = "Method"
    app.run()
    [command] = [each.value for each in app.code if "python -m lib.benchmark" in each.value]
    return str(command)


def start(app: AppTest) -> None:
    """Press Run and wait for the job."""
    app.button(key="b_go").click().run()
    wait_for_jobs()
    app.run()


def test_a_quick_run_on_the_embedded_store_ends_in_headline_bars_and_chart(
    open_app: OpenApp,
) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("quick").run()
    app.number_input(key="b_repeats").set_value(1).run()
    app.number_input(key="b_latency").set_value(5.0).run()
    start(app)
    assert not app.exception
    text = text_of(app)
    assert "Async added 20 documents" in text
    assert "no interval below 3 repeats" in text
    assert "simulated 5 ms embedding wait" in text
    assert bars_of(app)[0]["label"] == "Loop"
    assert len(charts_of(app)) == 1
    assert app.query_params["b_run"]


def test_every_preset_fills_the_form_and_says_how_long_it_takes(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    for preset in PRESETS:
        app.segmented_control(key="b_preset").set_value(preset).run()
        assert not app.exception
        assert re.search(r"(calls|trials), (about )?[\d,]+ (s|min)", text_of(app))


def test_a_browser_that_says_no_preset_is_chosen_changes_nothing(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("quick").run()
    app.number_input(key="b_repeats").set_value(1).run()
    said = text_of(app)
    app.segmented_control(key="b_preset").set_value(None).run()
    assert app.segmented_control(key="b_preset").value == "quick"
    assert text_of(app) == said
    assert app.query_params["b_preset"] == "quick"
    assert app.query_params["b_repeats"] == "1"


def test_the_custom_form_starts_from_the_preset_before_it(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("sweep").run()
    app.segmented_control(key="b_preset").set_value("custom").run()
    assert app.multiselect(key="b_operations").value == ["similarity_search_by_vector"]
    assert app.text_input(key="b_limits").value == "1, 2, 4, 8, 16, 32, 64, 128"


def test_threads_are_timed_on_another_index_from_the_custom_form(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("sweep").run()
    app.segmented_control(key="b_preset").set_value("custom").run()
    assert app.number_input(key="b_seconds").value == 2.0
    app.multiselect(key="b_strategies").set_value(["gather"]).run()
    assert "gather makes all its calls at once" in text_of(app)
    app.multiselect(key="b_strategies").set_value(["sync_loop", "thread_pool"]).run()
    app.text_input(key="b_limits").set_value("3").run()
    app.number_input(key="b_rows").set_value(97).run()
    app.number_input(key="b_warmup").set_value(0).run()
    app.number_input(key="b_repeats").set_value(1).run()
    app.selectbox(key="b_index").select("HNSW").run()
    start(app)
    assert not app.exception
    command = command_of(app)
    assert "--strategies sync_loop,thread_pool" in command
    assert "--seconds 2" in command
    assert "--index HNSW" in command


def test_how_deletes_find_their_rows_can_be_chosen_where_something_is_deleted(
    open_app: OpenApp,
) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("tutorial").run()
    app.segmented_control(key="b_preset").set_value("custom").run()
    assert app.selectbox(key="b_delete_by").value == "id"
    app.multiselect(key="b_operations").set_value(["delete"]).run()
    app.text_input(key="b_counts").set_value("5").run()
    app.selectbox(key="b_delete_consistency").select("Bounded").run()
    start(app)
    assert not app.exception
    assert "deletes with consistency level Bounded" in text_of(app)
    command = command_of(app)
    assert "--delete-by id --delete-consistency Bounded" in command
    app.multiselect(key="b_operations").set_value(["similarity_search"]).run()
    assert not app.exception
    assert not [each for each in app.selectbox if each.key == "b_delete_by"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("b_counts", "ten", "Calls per trial must be whole numbers"),
        ("b_counts", "0", "count must be between 1"),
        ("b_counts", "1000000000", "Calls per trial must be whole numbers"),
        ("b_limits", "", "Calls in flight must be whole numbers"),
        ("b_limits", "99999", "concurrency must be between 1"),
        ("b_counts", "10, 10", "count has a number twice"),
    ],
)
def test_a_number_that_cannot_be_used_is_one_message_and_no_run(
    open_app: OpenApp, key: str, value: str, message: str
) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("custom").run()
    app.text_input(key=key).set_value(value).run()
    app.button(key="b_go").click().run()
    assert not app.exception
    assert message in text_of(app)
    assert "b_run" not in app.query_params


def test_no_operation_is_one_message(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("custom").run()
    app.multiselect(key="b_operations").set_value([]).run()
    assert "Choose at least one operation" in text_of(app)


def test_a_link_with_the_inputs_reproduces_the_form(open_app: OpenApp) -> None:
    app = open_app()
    app.query_params["b_preset"] = "Custom"
    app.query_params["b_counts"] = "7, 70"
    app.query_params["b_repeats"] = "4"
    app.query_params["b_rows"] = "123"
    app.switch_page(PAGE).run()
    assert app.text_input(key="b_counts").value == "7, 70"
    assert app.number_input(key="b_repeats").value == 4
    assert app.number_input(key="b_rows").value == 123


def test_a_second_run_waits_and_says_so(
    open_app: OpenApp, measured: Callable[[Callable[[Job], Run]], None]
) -> None:
    def wait(job: Job) -> Run:
        wait_until(lambda: job.is_cancelled)
        return make_run(partial=True)

    measured(wait)
    app = open_app(PAGE)
    app.button(key="b_go").click().run()
    first = run_id_of(app)
    app.button(key="b_go").click().run()
    second = run_id_of(app)
    assert first != second
    assert f"Queued Behind “{PRESETS['tutorial'].label}" in text_of(app)
    for job_id in (second, first):
        job = jobs.shared().get(job_id)
        assert job is not None
        jobs.shared().cancel(job)
    wait_for_jobs()


def test_a_batch_that_exceeds_the_message_limit_is_said_before_the_run(open_app: OpenApp) -> None:
    app = open_app(PAGE, LAB_MAX_CALLS="100000")
    app.segmented_control(key="b_preset").set_value("batches").run()
    app.text_input(key="b_batches").set_value("100, 1000, 20000").run()
    assert "Such calls will fail" not in text_of(app)
    app.text_input(key="b_batches").set_value("100, 1000, 60000").run()
    assert "60,000 rows of 256 dimensions take about 70 MB: more than the 64 MB" in text_of(app)
    assert "60000" in app.query_params["b_batches"]


def test_a_provider_is_overloaded_from_the_page_and_its_refusals_are_counted(
    open_app: OpenApp,
) -> None:
    with OpenAIEndpoint(latency_s=0.05, most_in_flight=32) as endpoint:
        app = open_app(
            PAGE,
            EMBEDDING_PROVIDER="openai",
            OPENAI_API_KEY="any",
            OPENAI_BASE_URL=endpoint.base_url,
            LAB_MAX_CALLS="200",
        )
        app.segmented_control(key="b_preset").set_value("overload").run()
        app.segmented_control(key="b_overloaded").set_value("similarity_search").run()
        app.number_input(key="b_repeats").set_value(1).run()
        before = endpoint.refused["in flight"]
        start(app)
        job = jobs.shared().get(run_id_of(app))
        assert job is not None
        refused = [sum(trial.refused.values()) for trial in job.result.trials]
        # Among them those that a client's own retries would have hidden.
        assert sum(refused) == endpoint.refused["in flight"] - before > 0
    assert "calls at once are too many" in text_of(app)


def test_a_run_says_that_another_session_used_the_store_meanwhile(open_app: OpenApp) -> None:
    mine = open_app(PAGE)
    mine.segmented_control(key="b_preset").set_value("quick").run()
    mine.number_input(key="b_repeats").set_value(3).run()
    begun, visited = threading.Event(), threading.Event()

    def wait_for_the_visit() -> bool:
        begun.set()
        assert visited.wait(20)
        return False

    mine.button(key="b_go").click().run()
    job = jobs.shared().get(run_id_of(mine))
    assert job is not None
    job.give_way = wait_for_the_visit  # between two of its trials
    assert begun.wait(20)
    mine.run()  # its own session does not count
    open_app("pages/overview.py")
    visited.set()
    wait_for_jobs()
    mine.run()
    assert job.result.environment["other_sessions"] == 1
    assert job.result.environment["uses_by_others"] >= 1
    assert "1 other session used this Milvus meanwhile" in text_of(mine)
    assert "other_sessions" in run_file.to_json(job.result)


def test_a_stopped_run_shows_what_was_finished_and_is_kept_as_partial(
    open_app: OpenApp, tmp_path: Path
) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value("quick").run()
    app.number_input(key="b_repeats").set_value(50).run()
    app.button(key="b_go").click().run()
    job = jobs.shared().get(run_id_of(app))
    assert job is not None
    wait_until(lambda: job.result is not None and len(job.result.trials) > 3)
    app.run()
    app.button(key="b_stop").click().run()
    wait_for_jobs()
    app.run()
    assert not app.exception
    assert "Stopped early: partial result" in text_of(app)
    assert job.state is State.STOPPED
    entry = RunStore(tmp_path / "data" / "runs").get(job.id)
    assert entry is not None
    assert entry.digest.partial


def test_a_server_that_dies_half_way_is_one_message_and_its_trials_are_kept(
    open_app: OpenApp, measured: Callable[[Callable[[Job], Run]], None], tmp_path: Path
) -> None:
    def die(job: Job) -> Run:
        job.result = make_run(partial=True)
        raise ConnectionFailed("Milvus stopped answering.", kept="The trials before are kept.")

    measured(die)
    app = open_app(PAGE)
    start(app)
    assert not app.exception
    assert "Milvus stopped answering." in text_of(app)
    assert "50 times sooner" in text_of(app)
    assert RunStore(tmp_path / "data" / "runs").get(run_id_of(app)) is not None


def test_a_link_to_a_kept_run_works_after_the_job_is_forgotten(
    open_app: OpenApp, tmp_path: Path
) -> None:
    RunStore(tmp_path / "data" / "runs").save(make_run(), name="Mine", run_id="kept")
    app = open_app(PAGE)
    app.query_params["b_run"] = "kept"
    app.run()
    assert "Async added 100 documents 50 times sooner." in text_of(app)


@pytest.mark.parametrize("run_id", ["unknown", "../../etc/passwd", "<script>"])
def test_a_link_to_no_run_still_draws_the_page(open_app: OpenApp, run_id: str) -> None:
    app = open_app(PAGE)
    app.query_params["b_run"] = run_id
    app.run()
    assert not app.exception
    assert app.button(key="b_go")


def test_the_views_are_those_that_have_data(open_app: OpenApp, tmp_path: Path) -> None:
    RunStore(tmp_path / "data" / "runs").save(make_run(), name="Mine", run_id="kept")
    app = open_app(PAGE)
    app.query_params["b_run"] = "kept"
    app.run()
    names = ["Calls", "Scaling", "Audit", "Method", "Data"]
    assert [tab.label for tab in app.tabs] == names
    for name in names:
        app.session_state["b_view"] = name
        app.run()
        assert not app.exception, name


def test_a_sweep_is_drawn_in_its_card_and_opens_on_its_calls(
    open_app: OpenApp, tmp_path: Path
) -> None:
    limits = [
        make_trial("gather_limited", concurrency=limit, repeat=i, call_s=0.3 / limit + 0.01 * i)
        for limit in (1, 4)
        for i in range(3)
    ]
    RunStore(tmp_path / "data" / "runs").save(make_run(*limits), name="Mine", run_id="kept")
    app = open_app(PAGE)
    app.query_params["b_run"] = "kept"
    app.run()
    assert app.session_state["b_view"] == "Calls"
    assert len(app.get("vega_lite_chart")) == 2


def test_markup_in_a_run_is_shown_as_text(open_app: OpenApp, tmp_path: Path) -> None:
    evil = make_run(environment={"backend_label": "<b>**loud**</b> :red[x]"})
    RunStore(tmp_path / "data" / "runs").save(evil, name="Mine", run_id="kept")
    app = open_app(PAGE)
    app.query_params["b_run"] = "kept"
    app.run()
    assert "\\<b\\>\\*\\*loud\\*\\*" in raw_text_of(app)


def test_the_audit_is_a_view_that_names_what_blocks_and_nothing_else(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.query_params["b_view"] = "Audit"
    app.run()
    assert not app.exception
    recorded = audit.recorded()
    assert next(iter(recorded)).startswith("Milvus server")
    for name, found in recorded.items():
        app.segmented_control(key="audited").set_value(name).run()
        assert found.sentence in text_of(app)
        assert found.blocking in text_of(app)
        shown = app.dataframe[0].value.set_index("async method")
        held = {"afrom_texts", "asimilarity_search_with_relevance_scores",
                "retriever with a score threshold"}  # fmt: skip
        assert set(shown.index[shown["really async"] == "no"]) == held
        others = [other for pair in found.pairs for other in pair.instead]
        assert sum(len(each.value) for each in app.dataframe[1:]) == len(others)
        assert shown.loc["asimilarity_search", "RPCs"] == "Search"
        scored = shown.loc["asimilarity_search_with_relevance_scores"]
        assert scored["RPCs"] == "2 × DescribeIndex, Search"
        assert scored["RPCs on the loop's thread"] == "2 × DescribeIndex"
    app.session_state["b_view"] = "Calls"
    app.run()
    assert not app.exception


def test_the_audit_shows_what_else_does_the_same_and_how_many_times_its_time_a_pair_takes(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw = Instead("`AsyncMilvusClient.search`", ("Search",), (), 1.0, (0.1, 0.1), (5.0, 5.0))
    pair = Audited(
        *("similarity_search_by_vector", ("Search",), ("Search",), (), 3.0, 100),
        *((2.0, 2.0), (0.3, 0.3), (30.0, 30.0), (raw,)),
    )
    environment = next(iter(audit.recorded().values())).environment
    made = audit.to_json(Audit(environment, (pair,)))
    (tmp_path / "audit.json").write_text(made, encoding="utf-8")
    monkeypatch.setattr(audit, "FOLDER", tmp_path)
    app = open_app(PAGE)
    app.query_params["b_view"] = "Audit"
    app.run()
    assert not app.exception
    [shown] = app.dataframe[1].value.to_dict("records")
    assert shown["async method"] == "asimilarity_search_by_vector"
    assert shown["instead"] == "AsyncMilvusClient.search"
    assert shown["times"] == pytest.approx(3)
    assert (shown["RPCs"], shown["RPCs on the loop's thread"]) == ("Search", "")


def test_the_overview_links_the_audit_with_its_sentence(open_app: OpenApp) -> None:
    app = open_app()
    found = next(iter(audit.recorded().values()))
    links = [link.proto for link in app.get("page_link")]
    (linked,) = [link for link in links if found.sentence in link.label]
    assert "b_view=Audit" in linked.query_string


@pytest.mark.parametrize("preset", ["tutorial", "sweep", "rate", "overload"])
def test_a_preset_shows_its_own_recorded_run(open_app: OpenApp, preset: str) -> None:
    app = open_app(PAGE)
    app.segmented_control(key="b_preset").set_value(preset).run()
    entry = RunStore(Path("none")).recorded_of(preset)
    assert entry is not None
    assert app.title[0].value.replace("\\", "") == card.headline(analyse(entry.load()))


def test_an_own_run_is_compared_with_the_recorded_one_of_its_preset(
    open_app: OpenApp, tmp_path: Path
) -> None:
    store = RunStore(tmp_path / "data" / "runs")
    store.save(make_run(), name="Mine", run_id="kept")
    app = open_app(PAGE)
    app.query_params["b_run"] = "kept"
    app.run()
    (link,) = [each.proto for each in app.get("page_link") if "Compare" in each.proto.label]
    twin = store.recorded_of("tutorial")
    assert twin is not None
    assert parse_qs(link.query_string) == {"r_runs": [f"kept,{twin.id}"]}


def test_a_preset_of_which_nothing_is_recorded_shows_no_other_ones_run(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = RunStore.recorded_of
    monkeypatch.setattr(
        RunStore, "recorded_of", lambda self, name: None if name == "batches" else kept(self, name)
    )
    RunStore(tmp_path / "data" / "runs").save(make_run(), name="Mine", run_id="kept")
    app = open_app(PAGE)
    app.query_params["b_run"] = "kept"
    app.run()
    app.segmented_control(key="b_preset").set_value("batches").run()
    assert "Nothing is recorded of this preset" in text_of(app)
    assert "sooner" not in text_of(app)
    assert "b_run" not in app.query_params
