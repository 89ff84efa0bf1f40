"""Runs are kept, named, deleted and had back; broken files change nothing."""

import dataclasses
import gc
import json
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from lib.errors import InvalidInput
from lib.results import findings, run_file
from lib.results.analysis import analyse
from lib.results.catalogue import OPERATIONS, STRATEGIES
from lib.results.plan import Plan
from lib.results.trials import ENDPOINT_MS, Run, Trial
from lib.runs.store import KEPT_DELETIONS, Origin, RunStore
from tests.run_builder import make_run, make_trial


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    run_file.write(make_run(), recorded / "tutorial_450ms.json")
    return RunStore(tmp_path / "runs", recorded)


def file_of(**changes: object) -> bytes:
    """Return a good run file with some of its fields replaced."""
    document = json.loads(run_file.to_json(make_run()))
    return json.dumps({**document, **changes}).encode()


def with_call(**changes: object) -> bytes:
    document = json.loads(run_file.to_json(make_run()))
    document["trials"][0]["calls"][0] |= changes
    return json.dumps(document).encode()


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("run.json", file_of())
    return buffer.getvalue()


GOOD = run_file.to_json(make_run()).encode()
BROKEN = {
    "truncated": (lambda: GOOD[: len(GOOD) // 2], "not a complete JSON file"),
    "another schema": (lambda: file_of(kind="something/else"), "not a run of Milvus Async Lab"),
    "wrong types": (lambda: file_of(trials="none"), "trials must be a list"),
    "60 MB": (lambda: b" " * 60 * 1024 * 1024, "larger than 25 MB"),
    "a script as a name": (
        lambda: GOOD.replace(b'"add_documents"', b'"<script>alert(1)</script>"'),
        "operation must be a name",
    ),
    "NaN": (
        lambda: GOOD.replace(b'"wall_s":', b'"wall_s":NaN,"x":', 1),
        "at most 1,000,000,000, not nan",
    ),
    "a negative time": (lambda: with_call(start_s=-1.0), "start_s must be at least 0, not -1.0"),
    "a newer version": (lambda: file_of(schema=99), "schema 99"),
    "a ZIP": (zipped, "not a complete JSON file"),
    "an empty file": (lambda: b"", "not a complete JSON file"),
}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder for recorded runs of the test's own, empty."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    return folder


@pytest.fixture
def bare(tmp_path: Path, recorded: Path) -> RunStore:
    """A store with no run of its own and that folder beside it."""
    return RunStore(tmp_path / "runs", recorded)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_message_and_changes_nothing(store: RunStore, kind: str) -> None:
    make, reason = BROKEN[kind]
    before = store.entries()
    with pytest.raises(InvalidInput, match=reason) as caught:
        store.import_(make(), "broken.json")
    assert len(str(caught.value)) < 250
    assert "Traceback" not in str(caught.value)
    assert store.entries() == before


def test_a_run_survives_being_exported_and_imported(store: RunStore) -> None:
    entry = store.import_(GOOD, "from elsewhere.json")
    assert entry.origin is Origin.IMPORTED
    assert entry.card.name == "from elsewhere"
    assert run_file.to_json(entry.load()).encode() == GOOD


def test_a_file_without_trials_is_refused(store: RunStore) -> None:
    with pytest.raises(InvalidInput, match="holds no trial"):
        store.import_(file_of(trials=[]), "empty.json")


def test_recorded_runs_come_first_and_cannot_be_changed(store: RunStore) -> None:
    store.save(make_run(), name="Mine")
    recorded, mine = store.entries()
    assert recorded.origin is Origin.RECORDED
    assert mine.card.name == "Mine"
    for change in (lambda: store.delete(recorded), lambda: store.rename(recorded, "x", "")):
        with pytest.raises(InvalidInput, match="cannot be changed"):
            change()
    assert store.get(recorded.id) == recorded


def test_a_name_and_notes_are_kept_beside_an_unchanged_file(store: RunStore) -> None:
    entry = store.save(make_run(), name="Before")
    content = entry.path.read_bytes()
    store.rename(entry, "  After \n the change ", "with <b>notes</b>")
    again = store.get(entry.id)
    assert again is not None
    assert (again.card.name, again.card.notes) == ("After the change", "with <b>notes</b>")
    assert again.path.read_bytes() == content


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_name_has_between_one_and_eighty_characters(store: RunStore, name: str) -> None:
    entry = store.save(make_run(), name="Good")
    with pytest.raises(InvalidInput, match="between 1 and 80"):
        store.rename(entry, name, "")
    assert store.get(entry.id) == entry


def test_a_deleted_run_can_be_had_back_with_its_name_and_notes(store: RunStore) -> None:
    entry = store.rename(store.save(make_run(), name="Mine"), "Mine", "precious")
    store.delete(entry)
    assert store.get(entry.id) is None
    assert len(store.entries()) == 1
    assert store.restore(entry.id) == entry
    assert store.restore(entry.id) is None


def test_only_the_latest_deletions_are_kept(store: RunStore, tmp_path: Path) -> None:
    entries = [store.save(make_run(), name=f"Run {i}") for i in range(KEPT_DELETIONS + 3)]
    for entry in entries:
        store.delete(entry)
    assert len(list((tmp_path / "runs" / "deleted").glob("*.json"))) == KEPT_DELETIONS
    assert store.restore(entries[0].id) is None
    assert store.restore(entries[-1].id) is not None


@pytest.mark.parametrize("run_id", ["../secret", "..", "a/b", "", "A", "x" * 65, None])
def test_an_id_from_a_url_never_leaves_the_folder(
    store: RunStore, tmp_path: Path, run_id: str | None
) -> None:
    store.save(make_run(), name="Mine")
    run_file.write(make_run(), tmp_path / "secret.json")
    assert store.get(run_id) is None


def test_a_foreign_or_damaged_file_in_the_folder_is_left_out(
    store: RunStore, tmp_path: Path
) -> None:
    entry = store.save(make_run(), name="Mine")
    (tmp_path / "runs" / "half.json").write_text('{"schema": 1', encoding="utf-8")
    (tmp_path / "runs" / f"{entry.id}.card").write_text("{", encoding="utf-8")
    kept = [one for one in store.entries() if not one.is_recorded]
    assert [one.id for one in kept] == [entry.id]
    assert kept[0].card.name == entry.id  # only the name is lost


@pytest.mark.alone
def test_a_run_tells_its_plan_and_a_foreign_one_does_not() -> None:
    plan = Plan.from_settings(make_run().settings)
    assert plan is not None
    assert (plan.operations, plan.counts) == (("add_documents",), (100,))
    assert Plan.from_settings(make_run(settings={"operations": ["no_such"]}).settings) is None
    assert Plan.from_settings(make_run(settings={"counts": ["many"]}).settings) is None
    # A thousand million cells are counted and not made.
    many = {"operations": list(OPERATIONS), "strategies": list(STRATEGIES)}
    many |= {"counts": list(range(1, 10_000)), "concurrency": list(range(1, 1_000))}
    started = time.perf_counter()
    assert Plan.from_settings(make_run(settings=many).settings) is None
    assert time.perf_counter() - started < 1


def test_a_digest_names_what_a_list_needs(store: RunStore) -> None:
    failed = make_run(*make_run().trials, make_trial(repeat=7, verified=False), partial=True)
    digest = store.save(failed, name="Mine").digest
    assert digest.operations == ("Add documents",)
    assert (digest.failed_trials, digest.partial) == (1, True)
    assert digest.backend == "Milvus server 2.3.5"
    assert digest.speedup == pytest.approx(50)


def test_the_featured_run_goes_through_a_client_or_is_the_tutorial_with_the_largest_figure(
    bare: RunStore, recorded: Path
) -> None:
    assert bare.featured() is None
    mine = bare.save(make_run(), name="Mine")
    assert bare.featured() == mine
    slow = [make_trial(repeat=i) for i in range(3)]
    slow += [make_trial("gather", concurrency=None, repeat=i, call_s=5.0) for i in range(3)]
    run_file.write(make_run(*slow), recorded / "a-tutorial.json")
    run_file.write(make_run(), recorded / "b-tutorial.json")
    run_file.write(make_run(), recorded / "c-sweep.json")
    best = bare.featured()
    assert best is not None
    assert best.id == "recorded-b-tutorial"
    for waited_ms in (450.0, 50.0):
        run = make_run(environment={ENDPOINT_MS: waited_ms})
        run_file.write(run, recorded / f"client-{waited_ms:g}.json")
    best = bare.featured()
    assert best is not None
    assert best.id == "recorded-client-450"  # before 50, though not by name


def test_a_preset_has_its_own_recorded_run_or_none(bare: RunStore, recorded: Path) -> None:
    for name, preset in (("a", "tutorial"), ("b", "sweep"), ("c", "")):
        run_file.write(make_run(settings={"preset": preset}), recorded / f"{name}.json")
    run_file.write(make_run(settings={"preset": "rate"}, partial=True), recorded / "d.json")
    bare.save(make_run(settings={"preset": "quick"}), name="Mine")
    found = {name: bare.recorded_of(name) for name in ("tutorial", "sweep", "rate", "quick")}
    assert {name: entry.id if entry else "" for name, entry in found.items()} == {
        "tutorial": "recorded-a",
        "sweep": "recorded-b",
        "rate": "",
        "quick": "",
    }
    through = make_run(settings={"preset": "tutorial"}, environment={ENDPOINT_MS: 450.0})
    run_file.write(through, recorded / "e.json")
    preferred = bare.recorded_of("tutorial")
    assert preferred is not None
    assert preferred.id == "recorded-e"  # what people get, whichever gains more


def test_a_run_with_simulated_latency_finds_its_twin_without(
    bare: RunStore, recorded: Path
) -> None:
    run = make_run()
    plain = dataclasses.replace(run, environment=run.environment | {"simulated_latency_ms": 0})
    slowed = dataclasses.replace(plain, environment=plain.environment | {"simulated_latency_ms": 9})
    elsewhere = dataclasses.replace(plain, environment=plain.environment | {"backend_label": "?"})
    run_file.write(slowed, recorded / "a-tutorial-9ms.json")
    run_file.write(elsewhere, recorded / "b-tutorial.json")
    assert bare.beside(analyse(slowed)).plain is None
    run_file.write(plain, recorded / "c-tutorial.json")
    beside = bare.beside(analyse(slowed))
    assert beside.plain is not None
    assert beside.plain.run == run_file.read(recorded / "c-tutorial.json")
    assert bare.beside(analyse(plain)).plain is None
    assert bare.beside(analyse(_elsewhere(slowed))).plain is None
    other = dataclasses.replace(slowed, settings=slowed.settings | {"delete_by": "id"})
    assert bare.beside(analyse(other)).plain is None
    assert "Without the simulated wait, as recorded: Add documents " in findings.without_the_wait(
        beside
    )


def _deletes(**settings: object) -> Run:
    trials = [make_trial(operation="delete", repeat=i, call_s=0.2) for i in range(3)]
    trials += [
        make_trial("gather", operation="delete", concurrency=None, repeat=i, call_s=0.4)
        for i in range(3)
    ]
    return make_run(*trials, settings={"delete_by": "id", **settings})


def _elsewhere(run: Run) -> Run:
    return dataclasses.replace(run, environment=run.environment | {"distance": "over the network"})


def test_deletes_that_waited_for_the_server_stand_beside_recorded_ones_that_did_not(
    bare: RunStore, recorded: Path
) -> None:
    waiting = _deletes()
    alone = findings.why_deleting_gains(analyse(waiting), bare.beside(analyse(waiting)))
    assert alone is not None
    assert "(200 ms)" in alone.cause
    assert "Bounded" not in alone.text
    bounded = _deletes(delete_consistency="Bounded")
    quick = [make_trial(operation="delete", repeat=i, call_s=0.002) for i in range(3)]
    bounded = dataclasses.replace(bounded, trials=(*quick, *bounded.trials[3:]))
    run_file.write(bounded, recorded / "delete-bounded.json")
    beside = findings.why_deleting_gains(analyse(waiting), bare.beside(analyse(waiting)))
    assert beside is not None
    assert "the plain loop takes 0.20 s (recorded) instead of 20.0 s." in beside.sentence
    others = (_deletes(rows=7), _elsewhere(waiting))
    assert [bare.beside(analyse(other)).bounded for other in others] == [None, None]


@pytest.mark.parametrize(
    "other",
    [
        _deletes(delete_by="pk"),
        _deletes(delete_consistency="Bounded"),
        dataclasses.replace(_deletes(), environment={**_deletes().environment, "backend": "lite"}),
        make_run(),
    ],
    ids=["by key", "bounded", "embedded", "no delete"],
)
def test_deletes_that_did_not_wait_need_no_explanation(tmp_path: Path, other: Run) -> None:
    store = RunStore(tmp_path / "runs")
    assert store.beside(analyse(other)).bounded is None
    assert findings.why_deleting_gains(analyse(other), store.beside(analyse(other))) is None


def test_a_list_of_runs_keeps_no_trial_in_memory(store: RunStore) -> None:
    for _ in range(5):
        store.save(make_run(), name="Another")
    gc.collect()
    before = sum(type(thing) is Trial for thing in gc.get_objects())
    entries = store.entries()
    gc.collect()
    assert sum(type(thing) is Trial for thing in gc.get_objects()) == before
    assert all(entry.about.settings for entry in entries)


def test_at_most_three_runs_are_kept_whole(store: RunStore) -> None:
    gc.collect()
    before = sum(type(thing) is Trial for thing in gc.get_objects())
    for _ in range(6):
        store.save(make_run(), name="Another").load()
    gc.collect()
    kept = sum(type(thing) is Trial for thing in gc.get_objects()) - before
    assert kept <= 3 * len(make_run().trials)
