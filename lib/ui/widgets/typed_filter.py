"""A filter that takes words or an expression: what was typed, and what Milvus takes it for."""

import contextlib
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import streamlit as st

from lib.errors import InvalidInput, LabError
from lib.milvus import filters
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.filters import PLAIN_NAME, Field, Typed
from lib.milvus.milvus_collections import Collection
from lib.milvus.typed import MOST_READ, Meant, OnRead, meant, unknown_fields
from lib.ui.visitor import session
from lib.ui.visitor.session import KEPT_UNTIL_WRITTEN
from lib.ui.widgets.text import literal

HELP = (
    "Words that the text must hold, or a Milvus expression over the rows' fields. "
    "Milvus is asked which of the two it is."
)
SHOWN_FIELDS = 10
WORDS, EXPRESSION = "words", "expression"
T = TypeVar("T")


@st.cache_data(ttl=60, show_spinner=False, max_entries=64, hash_funcs=KEPT_UNTIL_WRITTEN)
def field_list(
    opened: Connection, model: EmbeddingModel, collection: Collection
) -> tuple[Field, ...]:
    """Return the fields that a filter or a lookup can name, remembered for a minute."""
    return filters.fields(opened.store(collection.name, model.embeddings))


def example(opened: Connection, model: EmbeddingModel, collection: Collection) -> str:
    """Return an expression that finds rows of this collection, "" where none can be named."""
    with contextlib.suppress(LabError):  # the page itself says what is the matter
        return filters.example(field_list(opened, model, collection))
    return ""


def filter_input(
    label: str, opened: Connection, model: EmbeddingModel, collection: Collection, *, key: str
) -> Typed:
    """Draw the input and return what was typed, with what the reader said it is."""
    expr = example(opened, model, collection)
    placeholder = f"Words in the text, or {expr}" if expr else "Words in the text"
    text = st.text_input(
        label, key=key, bind="query-params", help=HELP, placeholder=placeholder
    ).strip()
    return Typed(text, _said(key, text))


def _said(key: str, text: str) -> bool | None:
    """Return what the reader said that this very text is; the address says it with the text."""
    name = f"{key}_as"
    said, of = st.session_state.get(name) or (st.query_params.get(name), text)
    if said not in (WORDS, EXPRESSION) or of != text or not text:
        st.session_state.pop(name, None)
        st.query_params.pop(name, None)
        return None
    st.session_state[name] = said, text
    return bool(said == WORDS)


def meaning(opened: Connection, name: str, typed: Typed, *, key: str) -> Meant:
    """Ask Milvus once what a filter means. Raises LabError."""

    def find(on_read: OnRead) -> Meant:
        return meant(opened, name, typed, on_read)

    return found_once(opened, name, typed, find, key=key)


def found_once(
    opened: Connection,
    name: str,
    typed: Typed,
    find: Callable[[OnRead], T],
    *,
    key: str,
    also: Hashable = (),
) -> T:
    """Find something by a filter, and keep it until the filter or the rows change.

    Where the app itself has to look for words, progress and Stop are drawn meanwhile.
    """
    asked = (opened.id, name, typed, session.rows_version(opened), also)
    stopped = f"{key}_stopped"
    if st.session_state.get(stopped) == asked:
        st.info("Stopped before all rows were read, so there is no answer.", icon=":material/stop:")
        if st.button("Look again", key=f"{key}_again"):
            del st.session_state[stopped]
            st.rerun()
        st.stop()
    slot = st.empty()
    bars: list[Any] = []

    def on_read(rows: int) -> None:
        if not bars:
            with slot.container(horizontal=True, vertical_alignment="center"):
                bars.append(st.empty())
                # Pressing it runs the page again, which ends the reading at the next progress.
                st.button(
                    "Stop",
                    icon=":material/stop:",
                    key=f"{key}_stop",
                    on_click=st.session_state.update,
                    args=({stopped: asked},),
                )
        share = min(rows / MOST_READ, 1.0)
        bars[0].progress(share, f"Looking for the words in each text: {rows:,} rows")

    try:
        return session.made_once(f"{key}_found", asked, lambda: find(on_read))
    except InvalidInput:
        if typed.is_words is False:
            _offer(WORDS, typed.text, key=key)
        raise
    finally:
        slot.empty()


def say(found: Meant, *, key: str) -> None:
    """Say what a filter was taken for, and offer the other with one press."""
    if not (found.expr or found.is_words):
        return
    text = str(st.session_state.get(key, "")).strip()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(_in_words(found), width="content")
        _offer(EXPRESSION if found.is_words else WORDS, text, key=key, refusal=found.refusal)


def _offer(kind: str, text: str, *, key: str, refusal: str = "") -> None:
    st.button(
        f"Take it as {'words' if kind == WORDS else 'an expression'}",
        key=f"{key}_other",
        type="tertiary",
        help=f"Milvus says: {literal(refusal)}" if refusal else None,
        on_click=_take_as,
        args=(key, text, kind),
    )


def nothing_found(
    found: Meant, opened: Connection, model: EmbeddingModel, collection: Collection
) -> str:
    """Say that no row matches, and why where the filter is mistyped.

    A mistyped expression was taken for words, and a mistyped field for one that no row has.
    """
    if not found.refusal:
        unknown: tuple[str, ...] = ()
        if not found.is_words:
            with contextlib.suppress(LabError):  # then it stays unsaid
                unknown = unknown_fields(opened, collection.name, found.expr)
        if unknown:
            return f"No row matches. {_not_fields(unknown, opened, model, collection)}"
        return "No row matches. Loosen the filter or ask something else."
    return f"No text holds these words. They are no expression either: {literal(found.refusal)}"


def _not_fields(
    unknown: tuple[str, ...], opened: Connection, model: EmbeddingModel, collection: Collection
) -> str:
    """Say which names are no fields, and which fields there are."""
    said = " and ".join(map(_named, unknown))
    said += " is not a field" if len(unknown) == 1 else " are not fields"
    said += " of this collection"
    with contextlib.suppress(LabError):
        there = [_named(each.name) for each in field_list(opened, model, collection)]
        more = ", …" if len(there) > SHOWN_FIELDS else ""
        if there:
            said += f"; it has {', '.join(there[:SHOWN_FIELDS])}{more}"
    return f"{said}."


def _named(field: str) -> str:
    return f"`{field}`" if PLAIN_NAME.fullmatch(field) else f"“{literal(field)}”"


def _take_as(key: str, text: str, kind: str) -> None:
    st.session_state[f"{key}_as"] = kind, text
    st.query_params[f"{key}_as"] = kind


def _in_words(found: Meant) -> str:
    if not found.is_words:
        return "Filter taken as an expression."
    said = "Filter taken as words that the text must hold."
    if found.read is None:
        return said
    seen = f"all {found.rows:,}" if found.read >= found.rows else f"the first {found.read:,}"
    more = "" if found.read >= found.rows else f" of {found.rows:,}"
    return f"{said} This Milvus cannot look inside a text: the app read {seen}{more} rows."
