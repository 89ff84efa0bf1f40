"""Which methods are really async: their RPCs, counted at the channel with the pinned versions."""

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_milvus import Milvus

from lib.benchmark.audit import PAIRS
from lib.benchmark.command import main
from lib.errors import InvalidInput
from lib.milvus.connection import open_connection
from lib.milvus.operations import OPERATIONS
from lib.results import audit
from lib.results.audit import BESIDE, Audit, Audited, Instead
from lib.settings import PROJECT_ROOT, Settings

SCORED = ("similarity_search_with_relevance_scores", "retriever with a score threshold")
# The RPCs of one call on a warm collection, the same of both sides.
ADDS = ("DescribeCollection", "Insert")
RPCS = {
    "add_texts": ADDS,
    "add_documents": ADDS,
    "add_embeddings": ADDS,
    "similarity_search": ("Search",),
    "similarity_search_by_vector": ("Search",),
    "similarity_search_with_score": ("Search",),
    "similarity_search_with_score_by_vector": ("Search",),
    "max_marginal_relevance_search": ("Search", "Query"),
    "max_marginal_relevance_search_by_vector": ("Search", "Query"),
    "delete": ("Delete",),
    "upsert": ("Upsert",),
    "search_by_metadata": ("Query",),
    "get_pks": ("Query",),
    **dict.fromkeys(SCORED, ("DescribeIndex", "DescribeIndex", "Search")),
}
# The same of pymilvus's own async client: langchain-milvus asks before each insert.
RAW = {
    "add_embeddings": ("Insert",),
    "similarity_search_by_vector": ("Search",),
    "delete": ("Delete",),
    "search_by_metadata": ("Query",),
    "get_pks": ("Query",),
}


@pytest.fixture(scope="module", params=["lite", "server"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Audit each backend once by the command, and see that nothing is left behind."""
    folder = tmp_path_factory.mktemp("audit")
    uri = str(folder / "lab.db")
    if request.param == "server":
        uri = request.getfixturevalue("milvus_server").uri
    settings = Settings(milvus_uri=uri)
    before = collections(settings)
    words = ["audit", "--uri", uri, "--calls", "3", "--repeats", "1"]
    words += ["--embedding-latency-ms", "0", "--output", str(folder / "audit.json")]
    # Other tests' channels would be counted in a process that they share.
    done = subprocess.run(
        [sys.executable, "-m", "lib.benchmark", *words],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = audit.read(folder / "audit.json")
    assert made.sentence in done.stderr
    assert collections(settings) <= before
    return made


def collections(settings: Settings) -> set[str]:
    opened = open_connection(settings)
    names = set(opened.collection_names())
    opened.close()
    return names


@pytest.mark.slow
def test_creation_and_relevance_scores_make_sync_rpcs_on_the_loop_and_nothing_else(
    found: Audit,
) -> None:
    pairs = {pair.name: pair for pair in found.pairs}
    assert set(pairs) == {pair.name for pair in PAIRS} == {*OPERATIONS, *SCORED}
    assert {name for name, pair in pairs.items() if pair.on_loop} == {"from_texts", *SCORED}
    for name, rpcs in RPCS.items():
        assert (pairs[name].sync, pairs[name].asynchronous) == (rpcs, rpcs), name
    for name in SCORED:
        assert pairs[name].on_loop == ("DescribeIndex", "DescribeIndex")
    creation = pairs["from_texts"]
    # How often it asks for the progress of loading depends on the server.
    assert {"CreateCollection", "CreateIndex", "LoadCollection"} < set(creation.on_loop)
    assert "Insert" in creation.asynchronous
    assert "Insert" not in creation.on_loop
    assert creation.held_ms > audit.MOST_HELD_MS
    # Three calls are gathered, a creation alone.
    assert {(pair.calls, len(pair.loop_s)) for pair in found.pairs} == {(3, 1), (1, 1)}
    assert found.environment["async_client_is_experimental"] is True


@pytest.mark.slow
def test_a_cured_creation_and_the_bare_client_make_no_rpc_on_the_loop(found: Audit) -> None:
    other = {pair.name: each for pair in found.pairs for each in pair.instead}
    assert set(other) == {*RAW, "from_texts"}
    assert not any(each.on_loop for each in other.values())
    assert {name: other[name].asynchronous for name in RAW} == RAW
    assert {"CreateCollection", "CreateIndex", "LoadCollection", "Insert"} < set(
        other["from_texts"].asynchronous
    )
    assert all(len(each.gathered_s) == len(each.waited_ms) == 1 for each in other.values())


PAIR = Audited(
    "similarity_search", ("Search",), ("Search",), (), 3.0, 100,
    (10.0, 11.0, 10.5), (0.2, 0.22, 0.21), (30.0, 35.0, 40.0),
)  # fmt: skip


def test_a_pair_says_what_was_measured_and_blocks_by_an_rpc_or_by_its_time() -> None:
    assert PAIR.sentence == (
        "Yes: it makes no sync RPC on the event loop. 100 calls gathered: 50× the speed of a loop, "
        "and a neighbour waits 34.8 ms at most."
    )
    blocking = replace(PAIR, on_loop=("DescribeIndex",))
    holding = replace(PAIR, held_ms=20.1)
    assert (PAIR.blocks, blocking.blocks, holding.blocks) == (False, True, True)
    assert blocking.verdict == "No: 1 sync RPC on the event loop at each call."
    assert holding.verdict == "No: a call holds the event loop for 0.020 s."
    retriever = replace(blocking, name="retriever with a score threshold")
    assert Audit({}, (PAIR, PAIR)).sentence == "All 2 async calls leave the event loop free."
    assert Audit({}, (PAIR, blocking, retriever)).sentence == (
        "1 of 3 async calls leave the event loop free."
    )
    assert Audit({}, (PAIR, PAIR)).blocking == ""
    assert Audit({}, (PAIR, blocking, retriever)).blocking == (
        "Held meanwhile: `asimilarity_search`, `retriever with a score threshold`."
    )


def test_another_way_says_how_many_times_its_time_a_pair_takes() -> None:
    raw = Instead("`AsyncMilvusClient.search`", ("Search",), (), 1.0, (0.05, 0.055, 0.0525), (5.0,))
    beside = replace(PAIR, instead=(raw,))
    assert beside.over(raw).ratio == pytest.approx(4)
    assert PAIR.comparisons == ()
    assert beside.comparisons == (
        "Gathered, `asimilarity_search` takes 4.0× the time of `AsyncMilvusClient.search`, where a "
        "neighbour waits 5 ms at most.",
    )
    assert beside.sentence == PAIR.sentence


def test_a_file_is_read_as_it_was_written_and_another_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    cure = Instead("a cure", ("Insert",), (), 1.0, (0.2, 0.3), (4.0, 5.0))
    pairs = (PAIR, replace(PAIR, instead=(cure,)))
    made = Audit({"milvus_version": "2.3.5", "note": "/home/me/x sk-1234567890"}, pairs)
    path.write_text(audit.to_json(made), encoding="utf-8")
    read = audit.read(path)
    assert read.pairs == made.pairs
    assert "sk-" not in path.read_text("utf-8")
    content = json.loads(path.read_text("utf-8"))
    # An older file holds nothing of other ways.
    older = [{key: each[key] for key in each if key != "instead"} for each in content["pairs"]]
    path.write_text(json.dumps({**content, "pairs": older}), encoding="utf-8")
    assert audit.read(path).pairs == (PAIR, PAIR)
    for wrong in ({**content, "schema": 9}, {**content, "pairs": [{"name": 3}]}, [], {}):
        path.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(InvalidInput, match=r"audit\.json is no audit"):
            audit.read(path)
    with pytest.raises(InvalidInput):
        audit.read(tmp_path / "none.json")


def test_what_cannot_be_audited_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = str(tmp_path / "lab.db")
    assert main(["audit", "--uri", uri, "--calls", "0"]) == 2
    assert main(["audit", "--uri", uri, "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(line.startswith("error: ") for line in said)


def test_the_methods_beside_the_pairs_are_what_is_said_of_them() -> None:
    assert list(BESIDE) == ["asearch", "afrom_documents", "aget_by_ids"]
    # langchain's own, which choose, pass on and refuse.
    for name in (*BESIDE, "get_by_ids"):
        inherited, own = getattr(VectorStore, name), getattr(Milvus, name)
        assert getattr(own, "__func__", own) is getattr(inherited, "__func__", inherited), name
    assert "await cls.afrom_texts" in inspect.getsource(VectorStore.afrom_documents)
    assert "NotImplementedError" in inspect.getsource(VectorStore.get_by_ids)
