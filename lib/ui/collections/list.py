"""List the collections, and make a new one."""

import streamlit as st

from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Listed
from lib.milvus.territory import is_scratch
from lib.ui.visitor import log, session, visitor
from lib.ui.visitor.errors import show_error
from lib.ui.widgets import told
from lib.ui.widgets.table import show_table
from lib.ui.widgets.text import literal
from lib.words import shown_name


@st.cache_data(
    ttl=15,
    show_spinner="Counting the rows …",
    max_entries=64,
    hash_funcs=session.KEPT_UNTIL_WRITTEN,
)
def _overview(opened: Connection, model: EmbeddingModel) -> list[Listed]:
    return milvus_collections.overview(opened, model.dimension, embedding=model.model)


def show_list(opened: Connection, model: EmbeddingModel) -> None:
    """Draw a row for each collection."""
    listed = [each for each in _overview(opened, model) if not is_scratch(each.name)]
    if not listed:
        st.info("There is no collection yet.", icon=":material/inbox:")
        return
    names = [each.name for each in listed]
    current = session.current_collection()
    # Each choice has a key of its own, so that no earlier mark stays in the table.
    key = f"collections_list_{current}"

    def choose() -> None:
        for row, _ in st.session_state[key].selection.cells:
            session.use_collection(names[row])

    show_table(
        [_listed(each, each.name == current, opened.may_write(each.name)) for each in listed],
        column_config={
            "Collection": st.column_config.TextColumn(width=180),
            "Status": st.column_config.TextColumn(width=130),
            "Rows": st.column_config.NumberColumn(format="localized", width=80),
            "Dimensions": st.column_config.NumberColumn(width=90),
            "Index": st.column_config.TextColumn(width=100),
            "Metric": st.column_config.TextColumn(width=75),
            "Vectors, MB": st.column_config.NumberColumn(
                format="%.1f",
                width=95,
                help="About what the vectors and their index take in memory; texts come on top.",
            ),
        },
        height="content",
        alt="The collections with their rows, dimensions, indexes and memory",
        key=key,
        on_select=choose,
        selection_mode="single-cell",
    )
    for each in listed:
        if each.note:
            st.caption(f"**{literal(shown_name(each.name))}**: {literal(each.note)}")
        elif each.name == current and each.facts:
            model_name = each.facts.schema.embedding or "an unknown model"
            st.caption(
                f"**{literal(shown_name(each.name))}**: embedded with {literal(model_name)}."
            )


def _listed(each: Listed, is_in_use: bool, may_write: bool) -> dict[str, str | int | float | None]:
    is_read_only = bool(each.note) or not may_write
    status = "unreadable" if each.facts is None else "read only" if is_read_only else "ready"
    row: dict[str, str | int | float | None] = {
        "Collection": shown_name(each.name),
        # Second, because a phone shows no more than two columns whole.
        "Rows": each.facts.rows if each.facts else None,
        "Status": f"in use, {status}" if is_in_use else status,
    }
    if each.facts is None:
        return row
    return row | {
        "Dimensions": each.facts.dimension,
        "Index": each.facts.index_type,
        "Metric": each.facts.metric_type,
        "Vectors, MB": each.facts.memory_bytes / 1e6,
    }


def draw_anew(done: str = "") -> None:
    """Draw the page with the collections as they are now, and say what was done."""
    session.rows_changed(visitor.territory())
    if done:
        told.tell(done)
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
            format_func=lambda metric: (
                f"{metric}: {milvus_collections.METRIC_TYPES[metric].meaning}"
            ),
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
            with show_error(ends_page=False):
                name = milvus_collections.check_name(name)
                if opened.territory is not None:
                    name = opened.territory.full_name(name)
                if milvus_collections.exists(opened, name):
                    shown = literal(shown_name(name))
                    st.warning(f"There is a collection named “{shown}” already.")
                    return
                milvus_collections.create(
                    opened,
                    name,
                    model.dimension,
                    embedding=model.model,
                    index_type=chosen.name,
                    metric_type=metric,
                    index_params=parameters,
                )
                log.by_visitor("collection_created")
                session.choose_collection(name)
                draw_anew(f"Created “{literal(shown_name(name))}”.")
