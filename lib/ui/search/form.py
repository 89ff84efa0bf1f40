"""The question's form, and the builder that writes its filter."""

from collections.abc import Hashable
from typing import Any

import streamlit as st

from lib.errors import InvalidInput, LabError
from lib.milvus import filters
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.filters import OPERATORS, Condition, Field, FieldKind, Typed
from lib.milvus.milvus_collections import Collection
from lib.results.ranking import DEFAULT_FETCH_K, DEFAULT_K, DEFAULT_LAMBDA, MAX_K
from lib.search import ask as search
from lib.search import mmr
from lib.search.ask import Question
from lib.search.chance import TEXTS, Chance, embed_meaningless, measure_chance
from lib.search.examples import example_questions
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.session import KEPT_UNTIL_WRITTEN, rows_version
from lib.ui.widgets import typed_filter
from lib.ui.widgets.text import literal

# For the standard library's docstrings; for another collection questions are made of its rows.
EXAMPLES = (
    "random integer between two bounds",
    "is this a leap year",
    "list all files whose names match a wildcard",
    "store settings in an ini file with sections",
    "break a long paragraph into lines of limited width",
)
FILTER_MEANT = "filter_meant"
EXAMPLE_KEY = "search_first_example"
ROWS_ASKED_FOR = ("tempfile.TemporaryDirectory", "calendar.isleap", "random.choice")


def question_form(
    opened: Connection, model: EmbeddingModel, collection: Collection
) -> tuple[Question, bool]:
    """Draw the question with examples and options; return what to ask, and whether it was pressed.

    A page that is opened without a question asks the first example.
    """
    examples = ask_first_example(opened, model, collection)
    with st.form("query", border=False), st.container(horizontal=True, gap="xsmall", wrap=False):
        st.text_input(
            "Question",
            key="q",
            bind="query-params",
            placeholder="Ask in your own words",
            max_chars=search.MAX_QUERY_CHARACTERS,
            label_visibility="collapsed",
        )
        asked = st.form_submit_button(
            "Search", type="primary", icon=":material/search:", on_click=_prefer_new_question
        )
    line = st.container(horizontal=True, gap="xsmall", wrap=False)
    line.pills(
        "Examples",
        examples,
        key="example",
        on_change=_ask_example,
        label_visibility="collapsed",
        width="stretch",
        wrap=False,
    )
    with line.popover("Options", icon=":material/tune:", key="options"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            k, fetch_k = k_input(), fetch_k_input()
            like = st.text_input(
                "More like this row",
                key="like",
                bind="query-params",
                placeholder="a primary key",
                help="Searches by the vector of this row instead of by the question.",
                width=200,
            )
        typed = filter_input(opened, model, collection)
        filter_builder(opened, model, collection)
    expr = filter_expression(opened, collection, typed)
    return Question(st.session_state["q"], k, fetch_k, expr, like.strip()), asked


@st.cache_data(show_spinner=False, max_entries=64, hash_funcs=KEPT_UNTIL_WRITTEN)
def _examples(opened: Connection, model: EmbeddingModel, collection: Collection) -> tuple[str, ...]:
    if search.has_rows(opened, collection.name, ROWS_ASKED_FOR):
        return EXAMPLES
    return example_questions(opened, model, collection.name, len(EXAMPLES))


def ask_first_example(
    opened: Connection, model: EmbeddingModel, collection: Collection
) -> tuple[str, ...]:
    """Ask the first example if the page is opened without a question, and return all examples."""
    with show_error():
        examples = _examples(opened, model, collection)
    if "q" not in st.session_state and not {"q", "like"} & set(st.query_params):
        st.session_state["q"] = st.session_state[EXAMPLE_KEY] = examples[0] if examples else ""
    elif EXAMPLE_KEY in st.session_state and st.session_state[EXAMPLE_KEY] == st.session_state.get(
        "q"
    ):
        # Told anew: a slow browser draws the input first after a later run, and empty without this.
        st.session_state["q"] = st.session_state[EXAMPLE_KEY]
    return examples


def filter_input(opened: Connection, model: EmbeddingModel, collection: Collection) -> Typed:
    """Draw the filter and return what was typed."""
    return typed_filter.filter_input("Filter", opened, model, collection, key="filter")


def filter_expression(opened: Connection, collection: Collection, typed: Typed) -> str:
    """Say what Milvus takes the filter for, and return its expression. Not inside a form."""
    with show_error():
        found = typed_filter.meaning(opened, collection.name, typed, key="filter")
    typed_filter.say(found, key="filter")
    st.session_state[FILTER_MEANT] = found
    return found.expr


def nothing_found(opened: Connection, model: EmbeddingModel, collection: Collection) -> str:
    """Say that no row matches the filter, and why where it is mistyped."""
    return typed_filter.nothing_found(st.session_state[FILTER_MEANT], opened, model, collection)


def k_input() -> int:
    """Draw k: how many rows a search returns."""
    return st.number_input(
        "k: results", 1, MAX_K, DEFAULT_K, key="k", bind="query-params", width=130
    )


def fetch_k_input() -> int:
    """Draw `fetch_k`: among how many nearest rows MMR chooses."""
    return st.number_input(
        "fetch_k: MMR candidates",
        1,
        MAX_K,
        DEFAULT_FETCH_K,
        key="fetch_k",
        bind="query-params",
        width=190,
        help="MMR chooses its k results among this many nearest rows.",
    )


def lambda_input() -> float:
    """Draw λ: how much MMR trades closeness for variety. It is one value on all views."""
    return st.slider(
        "λ: variety (0) to closeness (1)",
        0.0,
        1.0,
        DEFAULT_LAMBDA,
        0.05,
        key="lambda",
        bind="query-params",
        help="`lambda_mult` of MMR (maximal marginal relevance), which leaves out rows that repeat "
        "others. Moving it sends nothing to Milvus.",
    )


def filter_builder(opened: Connection, model: EmbeddingModel, collection: Collection) -> None:
    """Draw the builder: each condition it makes is added to the filter of the form above."""
    if not st.toggle("Build the filter", key="builder"):
        return
    with st.container():
        with show_error():
            fields = typed_filter.field_list(opened, model, collection)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            field = st.selectbox(
                "Field", fields, format_func=lambda field: field.name, key="builder_field"
            )
            offered = [operator.name for operator in filters.operators_for(field)]
            operator = st.selectbox(
                "Comparison",
                offered,
                format_func=lambda name: OPERATORS[name].label,
                key=f"builder_operator_{field.kind.value}_{field.dynamic}",
            )
            value = _value(field, operator)
            st.button(
                "Add",
                icon=":material/add:",
                on_click=_add,
                args=(Condition(field, operator, value),),
            )
            st.button("Clear the filter", on_click=_fill, args=("filter", ""), type="tertiary")
        problem = st.session_state.pop("builder_problem", "")
        if problem:
            st.warning(problem)
        st.caption(
            "Fields and values come from a sample of the rows. Conditions are joined with “and”."
        )


def chance_if_known(
    opened: Connection, model: EmbeddingModel, collection: Collection, expr: str
) -> tuple[Chance | None, bool]:
    """Return what chance finds in the filtered rows, and whether this session knows it yet."""
    key, chance = st.session_state.get("search_chance", (None, None))
    is_known = key == _chance_of(opened, model, collection, expr)
    return (chance if is_known else None), is_known


def may_learn_chance(model: EmbeddingModel) -> bool:
    """Say whether texts may be embedded for it: a service is paid for each, so it must be asked."""
    return not model.is_remote or st.button(
        "Mark what is no better than chance",
        key="learn_chance",
        icon=":material/casino:",
        type="tertiary",
        help=f"This sends {TEXTS:,} texts of words of this collection to the embedding service.",
    )


def learn_chance(
    opened: Connection, model: EmbeddingModel, collection: Collection, expr: str
) -> None:
    """Measure what chance finds, once for all visitors, and keep it for this session."""
    try:
        chance = measured_chance(opened, model, collection, expr)
    except LabError:
        chance = None  # the answer stands without marks
    st.session_state["search_chance"] = _chance_of(opened, model, collection, expr), chance


def _chance_of(
    opened: Connection, model: EmbeddingModel, collection: Collection, expr: str
) -> Hashable:
    """Return what a chance was measured on; as many rows may be other rows after a write."""
    return opened.id, rows_version(opened), collection, model.model, expr


@st.cache_resource(show_spinner=False, max_entries=16, hash_funcs=KEPT_UNTIL_WRITTEN)
def measured_chance(
    opened: Connection, model: EmbeddingModel, collection: Collection, expr: str
) -> Chance | None:
    """Measure what chance finds in the filtered rows, once for all visitors. Raises LabError."""
    asked = _meaningless(opened, model, collection)
    return None if asked is None else measure_chance(opened, model, collection.name, asked, expr)


# A new filter searches for the same texts.
@st.cache_resource(show_spinner=False, max_entries=16, hash_funcs=KEPT_UNTIL_WRITTEN)
def _meaningless(
    opened: Connection, model: EmbeddingModel, collection: Collection
) -> mmr.Floats | None:
    return embed_meaningless(opened, model, collection.name)


def show_subject(question: Question) -> None:
    """Say what is searched for when it is a row and not the question, and offer the way back."""
    if not question.like:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Rows like :primary-badge[{literal(question.like)}]", width="content")
        st.button(
            "Back to the question",
            on_click=_fill,
            args=("like", ""),
            icon=":material/undo:",
            type="tertiary",
            disabled=not question.query.strip(),
        )


def more_like(key: str) -> None:
    """Make the next run search for rows like this one (for a button's callback)."""
    st.session_state["like"] = key
    st.rerun()


def _value(field: Field, operator: str) -> Any:
    """Draw the input that fits field and operator, and return its value."""
    key = f"builder_value_{field.name}_{operator}"
    takes = OPERATORS[operator].values
    if takes == "none":
        return None
    if takes == "many":
        return st.multiselect(
            "Values", sorted(field.values, key=str), key=key, accept_new_options=_is_text(field)
        )
    if field.kind is FieldKind.FLAG:
        return st.segmented_control("Value", [True, False], default=True, required=True, key=key)
    if field.kind is FieldKind.NUMBER:
        whole = all(isinstance(value, int) for value in field.values)
        start = sorted(field.values)[len(field.values) // 2] if field.values else 0
        return st.number_input("Value", value=start if whole else float(start), key=key)
    if field.values and operator in ("is", "is not", "has"):
        return st.selectbox(
            "Value", sorted(field.values, key=str), key=key, accept_new_options=_is_text(field)
        )
    return st.text_input("Value", key=key)


def _is_text(field: Field) -> bool:
    return bool(field.values) and all(isinstance(value, str) for value in field.values)


def _add(condition: Condition) -> None:
    try:
        added = condition.expression
    except InvalidInput as error:
        st.session_state["builder_problem"] = str(error)
        return
    # Words are joined as the expression that they stand for.
    st.session_state["filter"] = filters.combine([st.session_state[FILTER_MEANT].expr, added])


def _fill(key: str, text: str) -> None:
    st.session_state[key] = text


def _ask_example() -> None:
    if st.session_state.example:
        st.session_state.q = st.session_state.example
        st.session_state.like = ""


def _prefer_new_question() -> None:
    """Forget the row to search like, when the question was changed after that row was chosen."""
    if st.session_state.q != st.session_state.get("last_q", ""):
        st.session_state.like = ""
