"""What executes operations and strategies follows the catalogue, which needs none of it."""

import inspect
import json

import pytest

from lib.benchmark import strategies
from lib.milvus import operations
from lib.milvus.embeddings import PROVIDERS as BUILT
from lib.results.catalogue import OPERATIONS, PROVIDERS, STRATEGIES
from tests.fresh_process import printed_by

HEAVY = ("pymilvus", "langchain_core", "langchain_milvus", "streamlit", "pandas", "numpy", "altair")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_batches_where_it_has_their_arguments(name: str) -> None:
    executed = operations.OPERATIONS[name]
    assert vars(OPERATIONS[name]).items() <= vars(executed).items()
    assert executed.takes_batches == (name in operations._BATCH_ARGUMENTS)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_async_where_coroutines_execute_it(name: str) -> None:
    executed = strategies.STRATEGIES[name]
    assert vars(STRATEGIES[name]).items() <= vars(executed).items()
    on_loop = inspect.iscoroutinefunction(executed.execute)
    # Some begin on the loop and call the sync method there, or hand it to threads.
    assert executed.is_async == (on_loop and executed.family == "async")


def test_no_entry_is_executed_that_the_catalogue_does_not_have() -> None:
    assert operations._ARGUMENTS.keys() == OPERATIONS.keys()
    assert strategies.STRATEGIES.keys() == STRATEGIES.keys()
    # Each is executed by a function of its own.
    executed = [repr(each.execute) for each in strategies.STRATEGIES.values()]
    assert len(set(executed)) == len(executed)
    assert BUILT.keys() == PROVIDERS.keys()


@pytest.mark.parametrize("uri", ["", "http://milvus:19530", "/data/lab.db"])
def test_reading_and_judging_a_run_loads_neither_milvus_nor_pandas(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_URI", uri)
    printed = printed_by(
        "import json, sys\n"
        "from lib.results import comparison, findings, gate, published, run_file\n"
        "from lib.results.analysis import analyse\n"
        "run = run_file.read('assets/runs/tutorial-server-450ms.json')\n"
        "found = analyse(run)\n"
        "said = [findings.headline(found), published.reasons(run.environment)]\n"
        f"print(json.dumps([len(found.cells), sorted(set({HEAVY!r}) & set(sys.modules))]))\n"
    )
    cells, heavy = json.loads(printed)
    assert cells == 12
    assert not heavy
