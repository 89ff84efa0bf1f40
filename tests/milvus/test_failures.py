"""What Milvus raises, told to the reader: its own words, and advice only where it is known."""

import pytest
from pymilvus.exceptions import MilvusException

from lib.errors import ConnectionFailed, StoreBusy
from lib.milvus.failures import explain


@pytest.mark.parametrize(
    "message",
    [
        "fail to search on QueryNode 1: worker(1) query failed: faiss error: index not trained",
        "delegator 3: segcore error: open file failed, errno 28: no space left on device",
        "DataNode 2: corrupt binlog",
    ],
)
def test_a_server_s_own_trouble_is_told_in_its_words_and_advises_nothing_about_this_disk(
    message: str,
) -> None:
    said = explain(MilvusException(65535, message), "The search failed.")
    assert said.what == f"The search failed. Milvus says: {message}"
    assert said.next_step == ""


def test_milvus_lite_s_damaged_index_says_which_folder_to_delete() -> None:
    said = explain(MilvusException(5, "Faiss assertion failed while reading"), "It failed.")
    assert "indexes" in said.next_step


def test_what_milvus_did_not_say_is_shown_as_itself_with_its_class() -> None:
    assert explain(KeyError("text"), "It failed.").what == "It failed. KeyError: 'text'"


@pytest.mark.parametrize(
    ("reason", "what", "said"),
    [
        (
            "StatusCode.DEADLINE_EXCEEDED: Deadline Exceeded",
            "Milvus Lite (embedded) does not answer.",
            "Milvus Lite (embedded) is busy: it did not answer in time.",
        ),
        (
            "Retry timeout: 30s",
            "Could not read the list of collections.",
            "Could not read the list of collections. Milvus is busy: it did not answer in time.",
        ),
    ],
)
def test_a_store_that_is_out_of_time_is_busy(reason: str, what: str, said: str) -> None:
    found = explain(MilvusException(1, reason), what)
    assert isinstance(found, StoreBusy)
    assert found.what == said


def test_a_store_that_nobody_answers_for_is_not_called_busy() -> None:
    reason = "Retry run out of 3 retry times, message=failed to connect: Connection refused"
    found = explain(MilvusException(1, reason), "It does not answer.")
    assert type(found) is ConnectionFailed
    assert found.what == "It does not answer."
