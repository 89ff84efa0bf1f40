"""What Milvus raises, told to the reader: its own words, and advice only where it is known."""

import pytest
from pymilvus.exceptions import MilvusException

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
