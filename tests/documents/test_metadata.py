"""What Milvus stores beside a text: keys that filters can name, values that JSON has."""

import datetime as dt
import http
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.documents.metadata import MAX_METADATA_BYTES, RESERVED, clean, stored_name
from lib.errors import InvalidInput
from lib.milvus.filters import quote


def test_good_metadata_is_left_as_it_is() -> None:
    metadata = {"source": "a.txt", "page": 3, "score": 0.5, "final": True, "tags": ["a", "b"]}
    assert clean(metadata) == (metadata, [])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("$meta", "field_meta"),
        ("pk", "field_pk"),
        ("text", "field_text"),
        ("vector", "field_vector"),
        ("", "field_"),
        ("half \ud800", "half ?"),
        ("p\x1bk", "field_pk"),
        ("a\x00b", "ab"),
        ("a" * 129, "a" * 128),
    ],
)
def test_a_key_that_milvus_cannot_take_is_renamed_and_said(key: str, name: str) -> None:
    cleaned, notes = clean({key: 1})
    assert cleaned == {name: 1}
    assert notes == [f"the metadata key {key!r} is stored as {name!r}"]


@pytest.mark.parametrize("key", ["first name", "a-b.c", "1st", "ключ", 'a "b"', "x[0]", "and"])
def test_a_key_that_milvus_takes_keeps_its_name(key: str) -> None:
    assert clean({key: 1}) == ({key: 1}, [])


@given(st.text(max_size=300))
def test_every_stored_name_can_stand_in_a_filter(key: str) -> None:
    name = stored_name(key)
    quote(name)
    assert name.strip()
    assert name not in RESERVED
    assert stored_name(name) == name


def test_two_keys_that_would_share_a_name_keep_both_values() -> None:
    cleaned, _ = clean({"pk": 1, "field_pk": 2, "field_pk_": 3})
    assert sorted(cleaned.values()) == [1, 2, 3]
    assert (cleaned["field_pk"], cleaned["field_pk_"]) == (2, 3)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (dt.date(2024, 2, 29), "2024-02-29"),
        (Decimal("1.5"), 1.5),
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (2**70, str(2**70)),
        ({"inner": float("nan"), 1: (2,)}, {"inner": None, "1": [2]}),
        ("half a \ud800 character", "half a ? character"),
        ([{"a\x1b": ["b\x00\uffff"]}], [{"a": ["b"]}]),
    ],
)
def test_values_that_json_lacks_are_stored_as_what_comes_nearest(value: Any, stored: Any) -> None:
    cleaned, _ = clean({"key": value})
    assert cleaned == {"key": stored}
    json.dumps(cleaned, allow_nan=False).encode()


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), b"bytes"])
def test_values_that_say_nothing_are_left_out(value: Any) -> None:
    assert clean({"key": value, "other": 1})[0] == {"other": 1}


def test_metadata_longer_than_milvus_takes_is_refused_with_the_bound() -> None:
    clean({"key": "a" * (MAX_METADATA_BYTES - 100)})
    with pytest.raises(InvalidInput, match="Milvus takes 65,536"):
        clean({"key": "é" * (MAX_METADATA_BYTES // 2)})
    with pytest.raises(InvalidInput, match="Milvus takes 65,536"):
        clean({f"key_{i}": {"a": "b" * 1_000} for i in range(70)})


def test_a_number_of_a_kind_of_its_own_is_a_number() -> None:
    """Python walks a range to find whether a subclass of int is in it: 2⁶⁴ steps."""
    assert clean({"status": http.HTTPStatus.OK}) == clean({"status": 200})
    assert quote(http.HTTPStatus.OK) == "200"
