"""What a page works with: settings, connection, embedding model, the chosen collection."""

import contextlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from lib import event_loop, jobs, settings
from lib.errors import LabError, SettingsError
from lib.jobs import Job, Share, Work
from lib.milvus import milvus_collections
from lib.milvus.addresses import check_allowed
from lib.milvus.connection import Connection, Description, Lease, Pool, open_connection, open_lease
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.milvus.milvus_collections import Collection
from lib.milvus.territory import Territory
from lib.settings import Settings
from lib.ui.visitor import ahead, log, visitor
from lib.ui.visitor.cleaner import Cleaner
from lib.ui.visitor.errors import error_box, show_error
from lib.ui.visitor.memory import check_room

# Only notebooks may nest event loops.
event_loop.shared().forbid_nesting()

COLLECTION_KEY = "lab_collection"
CHOICES_KEY = "lab_collection_choices"
NEXT_KEY = "lab_next_collection"
CHOSEN_KEY = "lab_chosen_settings"
CHOICE_KEY = "lab_choice"
FRAME_KEY = "lab_frame"
PAGES_KEY = "lab_pages"
FAILURE_KEY = "lab_connection_failure"
MODEL_FAILURE_KEY = "lab_model_failure"
SESSION_KEY = "lab_session"
FAILURE_HOLDS_S = 3.0
# What takes some seconds at most, and so goes between the trials of a benchmark: this many rows.
SHORT_WRITE, SHORT_READ = 1_000, 5_000
# The settings that say which Milvus and which embedding model is used.
MILVUS = ("milvus_uri", "milvus_token", "milvus_database")
MODEL = (
    "embedding_provider",
    "openai_api_key",
    "openai_base_url",
    "openai_model",
    "openai_http_client",
)
T = TypeVar("T")


def frame_is_drawn(page: str) -> None:
    """Note that app.py runs in this session, with its navigation around this page."""
    log.start()
    st.session_state[FRAME_KEY] = True
    st.session_state[PAGES_KEY] = (*st.session_state.get(PAGES_KEY, ("",))[-1:], page)


def arrived() -> bool:
    """Say whether the page was opened just now, from another one or in a fresh tab."""
    before, now = st.session_state[PAGES_KEY]
    return bool(before != now)


def _require_frame() -> None:
    """Run again under app.py when a page was run by itself.

    When the first request of a process is a deep link, Streamlit's discovery of `pages/` runs that
    page without app.py. This happens after a hosted app has slept. Later requests run app.py.
    """
    if FRAME_KEY not in st.session_state:
        st.session_state[FRAME_KEY] = False
        # Calling st.navigation is what switches the discovery off for the whole process.
        pages = sorted((settings.PROJECT_ROOT / "pages").glob("*.py"))
        # The first page of a list is its default and loses its name: asked for by it, the browser
        # would be told in a dialog over all else that there is no such page.
        named = [st.Page(page, default=page.stem == "overview") for page in pages]
        st.navigation(named, position="hidden")
        st.rerun()


def host_settings() -> Settings:
    """Return the host's own settings; stop the page if they are wrong."""
    _require_frame()
    loaded = ahead.host_settings()
    if isinstance(loaded, SettingsError):
        error_box(loaded)
        st.stop()
    return loaded


def host_provider() -> str:
    """Return the embedding provider of the host; empty where its settings are wrong."""
    loaded = ahead.host_settings()
    return "" if isinstance(loaded, SettingsError) else loaded.embedding_provider


def current_settings() -> Settings:
    """Return what this visitor works with: the host's settings, or their own choice."""
    host = host_settings()
    chosen: Settings = st.session_state.get(CHOSEN_KEY, host)
    return chosen


def use(chosen: Settings | None) -> None:
    """Point this visitor's session at another Milvus or embedding provider, or at the host's."""
    log.action("connection_chosen", own=chosen is not None)
    _let_go()
    _own_model.clear()
    for key in (CHOSEN_KEY, CHOICE_KEY, FAILURE_KEY, MODEL_FAILURE_KEY):
        st.session_state.pop(key, None)
    use_collection(None)
    if chosen is not None:
        st.session_state[CHOSEN_KEY] = chosen


def check(chosen: Settings) -> None:
    """Try a visitor's connection and embedding before using them. Raises LabError."""
    # Checked before anything is sent.
    for name in ("milvus_uri", "openai_base_url"):
        check_allowed(getattr(chosen, name), host_settings(), of=name)
    open_model(chosen)
    if not is_hosts(chosen):
        open_connection(chosen).close()


def is_overridden() -> bool:
    """Say whether this visitor chose a connection of their own."""
    return CHOSEN_KEY in st.session_state


def is_hosts(chosen: Settings, names: tuple[str, ...] = MILVUS) -> bool:
    """Say whether these settings have the host's own values; by default of the Milvus."""
    host = host_settings()
    return all(getattr(chosen, name) == getattr(host, name) for name in names)


@st.cache_resource(show_spinner=False)
def _pool() -> Pool:
    return Pool()


@st.cache_resource(show_spinner=False, on_release=Cleaner.stop)
def _cleaner(_host: Settings) -> Cleaner:
    return Cleaner(_pool(), _host)


def _release(lease: Lease) -> None:
    """Release a lease in a thread: at the end of a session this runs on the server's event loop.

    Releasing the last lease closes the connection, which takes time. The collections of a session
    without a cookie are dropped too: nobody can come back to them, and each keeps a file and a
    thread of Milvus Lite.
    """
    territory = lease.connection.territory
    has_ended = get_script_run_ctx(suppress_warning=True) is None
    drops = bool(has_ended and territory and territory.ends_with_session)

    def leave() -> None:
        try:
            lease.release(drop_own=drops)
        except LabError:
            log.action("drop_failed")  # their time to live takes them
        if drops:
            rows_changed(territory)

    threading.Thread(target=leave, name="release", daemon=True).start()


# A session releases its lease when it ends or chooses anew. `choice` is a name, not a secret.
@st.cache_resource(show_spinner=False, scope="session", on_release=_release)
def _lease(choice: str, owner: str, _chosen: Settings, _territory: Territory | None) -> Lease:
    if is_hosts(_chosen):
        return _pool().lease(_chosen, _territory)
    check_allowed(_chosen.milvus_uri, host_settings())
    return open_lease(_chosen, _territory)


@st.cache_resource(show_spinner=False)
def _host_model(provider: str, name: str, _settings: Settings) -> EmbeddingModel:
    return open_model(_settings)


@st.cache_resource(show_spinner=False, scope="session", max_entries=1)
def _own_model(choice: str, _settings: Settings) -> EmbeddingModel:
    return open_model(_settings, is_visitors=True)


def _name(key: str) -> str:
    """Return this session's random name under a key, such as that of its choice of settings."""
    name: str = st.session_state.setdefault(key, secrets.token_hex(16))
    return name


def _let_go() -> None:
    """Release this session's lease."""
    _lease.clear(_name(CHOICE_KEY), share().owner, None, None)


def connection() -> Connection:
    """Return the open connection of this visitor's settings. Raises ConnectionFailed."""
    chosen = current_settings()
    with _waited_for_once(FAILURE_KEY):
        try:
            who = visitor.current(chosen)
            owner, territory = (who.id, who.territory) if who else ("", None)
            opened = _lease(_name(CHOICE_KEY), owner, chosen, territory).connection
            if territory is not None:
                territory.recall(partial(milvus_collections.count_own, opened))
            if not opened.is_lite or opened.closed:
                try:
                    opened.ping()
                except LabError:
                    _pool().retire(opened)
                    raise
        except LabError:
            # The next try opens a fresh connection.
            _let_go()
            raise
    _cleaner(host_settings())
    opened.note_use(_name(SESSION_KEY))
    return opened


def model() -> EmbeddingModel:
    """Return the embedding model of this visitor's settings. Raises EmbeddingFailed."""
    chosen = current_settings()
    with _waited_for_once(MODEL_FAILURE_KEY):
        if is_hosts(chosen, MODEL):
            return _host_model(chosen.embedding_provider, chosen.openai_model, chosen)
        return _own_model(_name(CHOICE_KEY), chosen)


@contextlib.contextmanager
def _waited_for_once(key: str) -> Iterator[None]:
    """Raise a recent failure again, so that sidebar and page wait for it only once."""
    failed_at, failure = st.session_state.get(key, (0.0, None))
    if failure is not None and time.monotonic() - failed_at < FAILURE_HOLDS_S:
        raise failure
    try:
        yield
    except LabError as error:
        st.session_state[key] = time.monotonic(), error
        raise


def made_once(key: str, asked: Hashable, make: Callable[[], T]) -> T:
    """Make something once and keep it in the session until something else is asked for."""
    before: tuple[Hashable, T] | None = st.session_state.get(key)
    if before is None or before[0] != asked:
        before = st.session_state[key] = (asked, make())
    return before[1]


def submit(
    label: str,
    work: Work,
    *,
    subject: str,
    opened: Connection | None = None,
    is_short: bool = False,
) -> Job:
    """Queue work; a connection that it uses stays open until the job has ended.

    What `is_short` goes first, and between the steps of what is not, unless both are about the same
    subject. Raises InvalidInput when this visitor has too many jobs, NoRoom when memory or disk run
    out.
    """
    check_room(host_settings())
    held = opened.lease() if opened else None
    return jobs.shared().submit(
        label,
        work,
        subject=subject,
        held=held,
        share=share(),
        is_short=is_short,
        not_beside=subject,
    )


@contextlib.contextmanager
def in_turn(label: str, *, subject: str) -> Iterator[None]:
    """Do short work of this script in its turn, which it waits for some seconds at most."""
    with contextlib.ExitStack() as held:
        with st.spinner("Waiting for its turn …"):
            held.enter_context(jobs.shared().in_turn(label, subject=subject, share=share()))
        yield


def share() -> Share:
    """Return whose this session's jobs are, and how much of the jobs it may take."""
    host = host_settings()
    who = visitor.current(host)
    if who is None:
        return Share(session=_name(SESSION_KEY))
    place = visitor.place(who, host)
    return Share(who.id, _name(SESSION_KEY), place, host.max_jobs, host.max_run_s)


def job(job_id: str | None) -> Job | None:
    """Return this visitor's job with this id, None when there is none or it is another's."""
    return jobs.shared().get(job_id, share().owner)


def host_lease() -> Lease:
    """Return a hold on the host's own connection, which may write: never for a visitor's call."""
    return _pool().lease(host_settings())


def open_hosts() -> Lease:
    """Open the host's connection and its model before anybody asks, and return a hold on it.

    Needs no session. Raises LabError.
    """
    host = ahead.host_settings()
    if isinstance(host, SettingsError):
        raise host
    lease = _pool().lease(host)
    with contextlib.suppress(LabError):  # a page says it
        _host_model(host.embedding_provider, host.openai_model, host)
    return lease


def has_failed(moment: float, error: LabError) -> None:
    """Note that connecting to the host's Milvus failed at a moment of the monotonic clock."""
    st.session_state.setdefault(FAILURE_KEY, (moment, error))


def host_users() -> int:
    """Return how many sessions and jobs hold the host's connection."""
    return _pool().users


def choose_collection(name: str) -> None:
    """Work on this collection from now on, or from when it exists."""
    st.session_state[NEXT_KEY] = name


def pick_collection(name: str) -> None:
    """Work on the collection that the visitor has picked in the widget for it."""
    st.session_state[COLLECTION_KEY] = name


def use_collection(name: str | None) -> None:
    """Work on this collection, None is the host's own, whatever the widget says."""
    if name is None:
        st.session_state.pop(COLLECTION_KEY, None)
    else:
        st.session_state[COLLECTION_KEY] = name
    st.session_state[CHOICES_KEY] = st.session_state.get(CHOICES_KEY, 0) + 1


def collection_widget() -> str:
    """Return the key of the widget in which a collection is chosen; each choice has one of its own.

    The browser keeps what was last picked in a widget and sends it again with the next page, also
    when the page has chosen another collection meanwhile.
    """
    return f"{COLLECTION_KEY}_{st.session_state.get(CHOICES_KEY, 0)}"


def connection_or_stop() -> Connection:
    """Return the open connection, or show why there is none and end the page."""
    with show_error(), st.spinner("Connecting to Milvus …"):
        return connection()


def model_or_stop() -> EmbeddingModel:
    """Return the embedding model, or show why there is none and end the page."""
    with show_error(), st.spinner("Loading the embedding model …"):
        return model()


def current_collection() -> str:
    """Return the name of the collection that the pages work on."""
    return str(st.session_state.get(COLLECTION_KEY) or current_settings().collection)


# How often something was written: by visitors into their own collections, and by the host.
_writes: Counter[str] = Counter()
_counting_writes = threading.Lock()


def rows_version(opened: Connection) -> int:
    """Return a number that changes whenever rows were changed that this connection may read."""
    own = opened.territory.prefix if opened.territory else ""
    return _writes[own] + (_writes[""] if own else 0)


# How Streamlit's caches tell these arguments apart.
KEPT_BY: dict[str | type, Callable[[Any], Any]] = {
    Connection: lambda opened: opened.id,
    EmbeddingModel: lambda model: (model.model, model.dimension),
    Collection: lambda collection: (collection.name, collection.rows),
}
# As above until something is written: an answer from before a write is never shown after it.
KEPT_UNTIL_WRITTEN = KEPT_BY | {Connection: lambda opened: (opened.id, rows_version(opened))}


@st.cache_data(ttl=15, show_spinner=False, max_entries=256, hash_funcs=KEPT_UNTIL_WRITTEN)
def collection_facts(opened: Connection, name: str) -> Collection | None:
    """Return a collection's facts, at most 15 s old, or None when it does not exist."""
    if not milvus_collections.exists(opened, name):
        return None
    return milvus_collections.describe(opened, name)


@st.cache_data(ttl=5, show_spinner=False, max_entries=256, hash_funcs=KEPT_UNTIL_WRITTEN)
def description(opened: Connection) -> Description:
    """Return who answers and which collections there are, at most 5 s old."""
    return opened.describe()


def rows_changed(territory: Territory | None = None) -> None:
    """Forget kept row counts and collections after a write: all, or those of one territory."""
    with _counting_writes:
        _writes[territory.prefix if territory else ""] += 1


def collection_or_stop(opened: Connection) -> Collection:
    """Return the chosen collection, or say how to fill one and end the page."""
    with show_error():
        facts = collection_facts(opened, current_collection())
    if facts is None or (facts.rows == 0 and not facts.problem):
        loading = jobs.shared().unfinished(f"ingest:{current_collection()}")
        if loading is not None:
            st.info(
                "This page goes on by itself as soon as the rows are there.",
                title=loading.label,
                icon=":material/hourglass:",
            )
            st.stop()
        st.info(
            "Load the standard library's docstrings or your own documents first.",
            title="There is nothing to search yet",
            icon=":material/inbox:",
        )
        st.page_link("pages/ingestion.py", label="Go to Ingestion", icon=":material/upload_file:")
        st.stop()
    with show_error():
        if facts.problem:
            raise facts.problem
        chosen = model()
        milvus_collections.check_fits(facts, chosen.dimension, embedding=chosen.model)
    return facts
