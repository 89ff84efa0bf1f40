"""List the collections, and make a new one."""

import pandas as pd
import streamlit as st

from lib.errors import LabError
from lib.milvus import collections as milvus_collections
from lib.milvus.collections import Listed
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.territory import is_scratch, shown_name
from lib.ui.common import session
from lib.ui.common.errors import error_box
from lib.ui.common.text import literal

DONE_KEY = "collections_done"


@st.cache_data(ttl=15, show_spinner="Counting the rows …")
def _overview(
    connection_id: str, model: str, dimension: int, _connection: Connection
) -> list[Listed]:
    return milvus_collections.overview(_connection, dimension, embedding=model)


def show_list(opened: Connection, model: EmbeddingModel) -> None:
    """Draw a row for each collection, and what was done to them just now."""
    # Drawn even when it is empty: else what follows would move, and what is open would close.
    slot = st.container()
    done = st.session_state.pop(DONE_KEY, None)
    if done:
        slot.success(done, icon=":material/check_circle:")
    listed = [
        each
        for each in _overview(opened.id, model.model, model.dimension, opened)
        if not is_scratch(each.name)
    ]
    if not listed:
        st.info("There is no collection yet.", icon=":material/inbox:")
        return
    current = session.current_collection()
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Collection": shown_name(each.name)
                    + (" (in use)" if each.name == current else ""),
                    "Usable": "no"
                    if each.facts is None
                    else "read only"
                    if each.note or not opened.may_write(each.name)
                    else "yes",
                    "Note": each.note or "fits the embedding in use",
                    "Rows": each.facts.rows if each.facts else None,
                    "Dimensions": each.facts.dimension if each.facts else None,
                    "Index": each.facts.index_type if each.facts else "",
                    "Metric": each.facts.metric_type if each.facts else "",
                    "Vectors, about MB": each.memory_bytes / 1e6 if each.facts else None,
                    "Embedded with": (each.facts.embedding or "unknown") if each.facts else "",
                }
                for each in listed
            ]
        ),
        column_config={
            "Rows": st.column_config.NumberColumn(format="localized"),
            "Vectors, about MB": st.column_config.NumberColumn(
                format="%.1f",
                help="Memory for the vectors and their index when loaded; texts come on top.",
            ),
            "Note": st.column_config.TextColumn(width="medium"),
        },
        hide_index=True,
        height="content",
        alt="The collections with their rows, dimensions, indexes and memory",
    )


def changed() -> None:
    """Forget what was counted."""
    _overview.clear()
    session.rows_changed()


def draw_anew(done: str) -> None:
    """Draw the page with the collections as they are now, and say what was done to them.

    A toast would not outlive the rerun.
    """
    changed()
    st.session_state[DONE_KEY] = done
    st.rerun()


def offer_creation(opened: Connection, model: EmbeddingModel) -> None:
    """Draw the controls for a new, empty collection."""
    with st.expander("New collection", icon=":material/add:"):
        name_slot, index_slot, metric_slot = st.columns([3, 2, 4])
        name = name_slot.text_input("Name", key="create_name", max_chars=200)
        types = {each.name: each for each in milvus_collections.index_types(opened)}
        chosen = types[
            index_slot.selectbox(
                "Index",
                list(types),
                help="  \n".join(f"{each.name}: {each.summary}" for each in types.values()),
                key="create_index",
            )
        ]
        metric = metric_slot.selectbox(
            "Metric",
            list(milvus_collections.METRIC_TYPES),
            format_func=lambda metric: f"{metric}: {milvus_collections.METRIC_TYPES[metric]}",
            key="create_metric",
        )
        parameters = {}
        if chosen.parameters:
            for slot, each in zip(
                st.columns(len(chosen.parameters)), chosen.parameters, strict=True
            ):
                parameters[each.name] = int(
                    slot.number_input(
                        each.name,
                        min_value=each.low,
                        max_value=each.high,
                        value=each.default,
                        help=each.meaning,
                        key=f"create_{chosen.name}_{each.name}",
                    )
                )
        st.caption(
            f"{chosen.summary} For vectors of {model.dimension:,} numbers made with "
            f"{literal(model.model)}."
        )
        if st.button(
            "Create", icon=":material/add:", key="create_start", disabled=not name.strip()
        ):
            _create(opened, model, name, chosen.name, metric, parameters)


def _create(
    opened: Connection,
    model: EmbeddingModel,
    name: str,
    index: str,
    metric: str,
    parameters: dict[str, int],
) -> None:
    try:
        name = milvus_collections.check_name(name)
        if opened.territory is not None:
            name = opened.territory.full_name(name)
        if milvus_collections.exists(opened, name):
            st.warning(f"There is a collection named “{literal(shown_name(name))}” already.")
            return
        milvus_collections.create(
            opened,
            name,
            model.dimension,
            embedding=model.model,
            index_type=index,
            metric_type=metric,
            index_params=parameters,
        )
    except LabError as error:
        error_box(error)
        return
    draw_anew(f"Created “{literal(shown_name(name))}”.")
