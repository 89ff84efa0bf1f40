"""The dialog that points a visitor's session at another Milvus or embedding provider."""

from typing import Any

import streamlit as st

from lib.errors import LabError
from lib.milvus.addresses import check_allowed
from lib.settings import AIOHTTP, HTTPX, HTTPX_MORE, MORE_CONNECTIONS, Settings, check_uri
from lib.ui.visitor import session, tab
from lib.ui.visitor.errors import error_box
from lib.ui.widgets.text import literal

PROVIDERS = {"bundled": "Bundled model", "openai": "OpenAI-compatible"}
CLIENTS = {
    HTTPX: "httpx, OpenAI's default",
    HTTPX_MORE: f"httpx, {MORE_CONNECTIONS:,} connections",
    AIOHTTP: "aiohttp",
}
ADDRESS_LABELS = {"milvus_uri": "The Milvus URI", "openai_base_url": "The OpenAI base URL"}
OPEN_KEY = "connect_is_open"


def connect_button() -> None:
    """Draw the button that opens the dialog, and the dialog while it is open."""
    st.button(
        "Connect to another Milvus",
        key="connect",
        icon=":material/settings:",
        width="stretch",
        on_click=_open,
    )
    _show_if_open()


def stop_if_lost() -> None:
    """Say on the page that a refresh ended the visitor's connection, and end the page there.

    Nothing runs on another Milvus until the visitor has decided.
    """
    lost = tab.lost()
    if lost is None:
        return
    st.title("Connect again")
    st.warning(
        "A refresh ends the connection, because the token is kept nowhere.",
        # As code: Markdown would turn the address into a link.
        title=f"This tab was connected to `{lost['milvus_uri'].replace('`', '')}`",
        icon=":material/cloud_off:",
    )
    with st.container(horizontal=True):
        st.button("Connect again", type="primary", icon=":material/settings:", on_click=_open)
        if st.button("Use the host's own Milvus"):
            _decided()
    _show_if_open()
    st.stop()


def is_open() -> bool:
    """Say whether the dialog is open; a rerun of the page would empty its fields."""
    return bool(st.session_state.get(OPEN_KEY))


def _open() -> None:
    st.session_state[OPEN_KEY] = True


def _close() -> None:
    st.session_state[OPEN_KEY] = False


def _decided() -> None:
    """Close the dialog and draw the page on what the visitor has chosen."""
    tab.decided()
    _close()
    st.rerun()


def _show_if_open() -> None:
    """Draw the dialog in every run until it is closed, because a rerun without it closes it."""
    if session.arrived():
        _close()
    if is_open():
        _connect()


@st.dialog("Connect", width="medium", on_dismiss=_close)
def _connect() -> None:
    current = session.current_settings()
    is_hosts = current.public and not session.is_overridden()
    lost = tab.lost() or {}
    # On top, where a message is seen on a small screen too.
    message = st.container()
    host = session.host_settings()
    if host.public:
        st.caption(
            f"This public app connects to: {literal(', '.join(host.allowed_hosts))}."
            if host.allowed_hosts
            else "This public app connects to no other Milvus. Run the lab yourself to use yours."
        )
    uri = st.text_input(
        "Milvus URI",
        value=lost.get("milvus_uri", "" if current.is_embedded or is_hosts else current.milvus_uri),
        placeholder="" if host.public else "http://localhost:19530 or https://….zillizcloud.com",
        help="Milvus Standalone, a cluster, or Zilliz Cloud.",
    )
    left, right = st.columns(2)
    token = left.text_input("Token", type="password", help="user:password, or an API key.")
    database = right.text_input(
        "Database",
        # The name of the host's database is not shown.
        value=lost.get(
            "milvus_database",
            "" if session.is_hosts(current) else str(current.milvus_database),
        ),
        placeholder="default",
    )
    used = lost.get("embedding_provider", current.embedding_provider)
    provider = st.radio(
        "Embedding",
        list(PROVIDERS),
        format_func=PROVIDERS.get,
        index=list(PROVIDERS).index(used) if used in PROVIDERS else 0,
        horizontal=True,
    )
    key, base_url, model, client = "", "", "", current.openai_http_client
    if provider == "openai":
        key = st.text_input("OpenAI key", type="password")
        left, right = st.columns(2)
        base_url = left.text_input(
            "OpenAI base URL",
            value=lost.get("openai_base_url", "" if is_hosts else current.openai_base_url),
        )
        model = right.text_input(
            "OpenAI model", value=lost.get("openai_model", current.openai_model)
        )
        names = list(CLIENTS)
        used = lost.get("openai_http_client") or client
        client = st.selectbox(
            "HTTP client",
            names,
            format_func=lambda name: CLIENTS[name],
            index=names.index(used) if used in CLIENTS else 0,
            help="What the async calls are sent with. aiohttp takes less of a processor a call.",
        )
    if st.button("Connect", type="primary", key="connect_go"):
        try:
            chosen = current.pointed_at(
                session.host_settings(),
                milvus_uri=_visitor_address(uri) or current.milvus_uri,
                milvus_token=token.strip(),
                milvus_database=database.strip(),
                embedding_provider=provider,
                openai_base_url=_visitor_address(base_url, "openai_base_url")
                or current.openai_base_url,
                openai_api_key=key.strip(),
                openai_model=model.strip() or current.openai_model,
                openai_http_client=client,
            )
            # Noted before it is used, so that a refresh during the check finds the note.
            tab.remember(_note(chosen), key="tab_note")
            session.check(chosen)
        except LabError as error:
            tab.remember(chosen_elsewhere(), key="tab_note_again")
            with message:
                error_box(error)
        else:
            session.use(chosen)
            _decided()
    st.caption("The token stays in this session. It is forgotten when the tab is closed.")
    if session.is_overridden() and st.button("Back to the host's own store"):
        session.use(None)
        _decided()


def chosen_elsewhere() -> dict[str, Any] | None:
    """Return what the tab may keep of a connection of the visitor's own; None for the host's."""
    return _note(session.current_settings()) if session.is_overridden() else None


def _note(chosen: Settings) -> dict[str, Any]:
    kept = {name: getattr(chosen, name) for name in tab.REMEMBERED}
    if session.is_hosts(chosen):
        kept["milvus_database"] = ""
    return kept


def _visitor_address(typed: str, of: str = "milvus_uri") -> str:
    """Return the typed address in full, or an empty text. Raises LabError for a refused one.

    `of` is the setting that it is for.
    """
    address = typed.strip()
    if not address:
        return ""
    if "://" not in address and not address.endswith(".db"):
        # What people copy from a terminal: localhost:19530.
        address = f"http://{address}"
    # Checked first: a later message would tell one refused address from another.
    check_allowed(address, session.host_settings(), of=of)
    if "://" not in check_uri(address, name=ADDRESS_LABELS[of]):
        raise LabError(
            "A file on the host can only be chosen with MILVUS_URI.",
            next_step="Give an http(s) address here.",
        )
    return address
