"""Collections as other programs make them through the pages: one store for all."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.settings import load
from lib.ui.visitor.session import COLLECTION_KEY
from tests.milvus.other_peoples import KINDS, ROWS, Kind, make
from tests.pages.conftest import FOLDED, PROJECT_ROOT, outcome, problems, said, wait_for_jobs

SHOWN = (
    "static, as langchain-milvus makes it",
    "numbers as keys",
    "automatic numbers",
    "as pymilvus's own first example",
    "a dynamic text beside others",
    "a required field",
    "all scalars",
    "names of metadata as they are",
    "keys with quotes",
    "a BM25 field of any name",
    "no text field",
    "no index",
)
CHOSEN = tuple(kind for kind in KINDS if kind.name in SHOWN)


def name_of(kind: Kind) -> str:
    return "theirs_" + re.sub(r"\W+", "_", kind.name)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A store with a collection of each kind; the pages work on it too."""
    folder = tmp_path_factory.mktemp("theirs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DATA_DIR", str(folder / "data"))
        patch.setenv("LAB_MAX_MEMORY_MB", "100000")
        patch.setenv("MILVUS_URI", str(folder / "lab.db"))
        patch.setenv("MILVUS_COLLECTION", name_of(CHOSEN[0]))
        st.cache_resource.clear()
        st.cache_data.clear()
        opened, model = open_connection(load()), open_model(load({}))
        for kind in CHOSEN:
            make(opened, model, kind, name_of(kind))
        yield opened
        wait_for_jobs()
        st.cache_resource.clear()
        st.cache_data.clear()
        opened.close()


@pytest.fixture
def app(opened: Connection, kind: Kind) -> AppTest:
    """A session of the one app, which lists this kind's collection."""
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=60)
    for key in FOLDED:
        app.session_state[key] = True
    app.session_state[COLLECTION_KEY] = name_of(kind)
    return app.switch_page("pages/collections.py").run()


def stored(opened: Connection, name: str) -> dict[Any, dict[str, Any]]:
    key = opened.schema(name).key.name
    milvus_collections.count(opened, name)
    return {row[key]: row for part in rows.walk(opened, name, fields=["*"]) for row in part}


def go(app: AppTest, page: str) -> None:
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception


@pytest.mark.parametrize("kind", CHOSEN, ids=str)
def test_a_collection_of_this_kind_is_read_searched_and_filled_or_refused_in_a_sentence(
    app: AppTest, opened: Connection, kind: Kind
) -> None:
    name = name_of(kind)
    before = stored(opened, name)
    assert len(before) == ROWS
    why = kind.refused.get("Ingestion") or kind.refused.get("Search and ingestion", "")

    assert not app.exception
    shown = next(each.value for each in app.main.dataframe if kind.key_name in each.value)
    assert list(shown[kind.key_name]) == [str(key) for key in sorted(before)]
    if kind.indexed:
        assert not problems(app)
    if kind.text:
        app.text_input(key="rows_filter").set_value("boat red").run()
        shown = next(each.value for each in app.main.dataframe if kind.key_name in each.value)
        assert len(shown) == ROWS // 2
        assert all("boat" in text for text in shown[kind.text])

    go(app, "search")
    if "Search and ingestion" in kind.refused:
        assert why in problems(app)
    else:
        app.text_input(key="q").set_value("the red boat")
        app.form_submit_button[0].click().run()
        assert not app.exception
        assert not problems(app)
        assert "the red boat" in said(app)

    go(app, "ingestion")
    next(each for each in app.selectbox if each.label == "Into").set_value(name).run()
    app.segmented_control(key="ingest_source").set_value("pasted").run()
    app.text_area(key="ingest_pasted").set_value(f"A further note on {kind.name}").run()
    assert not app.exception
    button = app.button(key="ingest_start")
    assert button.disabled == bool(why)
    assert why.replace("`", "\\`") in said(app)
    if not why:
        button.click().run()
        wait_for_jobs()
        app.run()
        assert not problems(app)
        assert outcome(app)["added"] == 1
    after = stored(opened, name)
    assert len(after) == ROWS + (not why)
    assert {key: after[key] for key in before} == before
