"""Who a visitor of a public app is: their collections, their runs and their share of the jobs.

A browser is recognised by a signed cookie, so that a refresh, another tab and a restarted app find
everything again. Without one a visitor lasts as long as the session, and waits for jobs in the one
place that all such sessions of an address share.
"""

import contextlib
import hashlib
import ipaddress
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import streamlit as st

from lib.milvus.territory import Quota, Territory
from lib.settings import Settings
from lib.ui.visitor.component import component
from lib.ui.visitor.identity import Identity, host_key, read

VISITOR_KEY = "lab_visitor"
COOKIE_STEM = "lab_visitor_"
FORWARDED = "X-Forwarded-For"
# Of an IPv6 address, what a provider gives to one customer.
CUSTOMER_BITS = 64
JS = """
export default function ({ data, setStateValue }) {
  const { name, value, seconds } = data[0];
  const kept = () => (document.cookie.split("; ").find((each) => each.startsWith(name + "="))
    || "").slice(name.length + 1);
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=${seconds}; SameSite=Lax${secure}`;
  setStateValue("kept", kept());
}
"""
_finding = threading.Lock()


@dataclass(frozen=True)
class Visitor:
    """One stranger."""

    territory: Territory
    identity: Identity

    @property
    def id(self) -> str:
        """The name of the owner of jobs, 128 random bits."""
        return self.identity.id

    @property
    def run_folder(self) -> str:
        """The name of the folder with the visitor's runs, which says when it may go."""
        return f"visitor-{self.identity.expires:x}-{self.id}"


@st.cache_resource(show_spinner=False)
def known() -> dict[str, Visitor]:
    """Return the visitors of this process who have a cookie, by their ids."""
    return {}


@st.cache_resource(show_spinner=False)
def _new() -> "WeakValueDictionary[str, Visitor]":
    """Return the visitors whose browsers have not shown their cookie yet, while a session lasts."""
    return WeakValueDictionary()


@st.cache_resource(show_spinner=False)
def _key(folder: Path) -> bytes:
    return host_key(folder)


def current(settings: Settings) -> Visitor | None:
    """Return who this session belongs to; None where the app is not public."""
    if not settings.public:
        return None
    visitor: Visitor | None = st.session_state.get(VISITOR_KEY)
    if visitor is None or visitor.territory.is_over:
        visitor = st.session_state[VISITOR_KEY] = _find(settings)
    return visitor


def owner() -> str:
    """Return the owner of this session's jobs; empty where the app is not public."""
    visitor: Visitor | None = st.session_state.get(VISITOR_KEY)
    return visitor.id if visitor else ""


def territory() -> Territory | None:
    """Return what this session may write to; None where the app is not public."""
    visitor: Visitor | None = st.session_state.get(VISITOR_KEY)
    return visitor.territory if visitor else None


def place(visitor: Visitor, settings: Settings) -> str:
    """Return in whose turn a visitor's jobs wait: their own, or without a cookie their address's.

    Sessions without a cookie cost nothing, so that many of them are no more than one.
    """
    if not visitor.territory.ends_with_session:
        return visitor.id
    forwarded = st.context.headers.get_all(FORWARDED) if settings.trusted_proxies else ()
    return address(st.context.ip_address, forwarded, settings.trusted_proxies)


def address(connected: str | None, forwarded: Sequence[str], proxies: int) -> str:
    """Return the address that sessions without a cookie share; of IPv6 its first 64 bits.

    `connected` is who opened the connection. Behind so many `proxies` of the host it is the last of
    them, and the address is what the first of them has `forwarded`: what stands before that in the
    header was written by the visitor.
    """
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    given = hops[-proxies] if 0 < proxies <= len(hops) else connected or ""
    with contextlib.suppress(ValueError):
        parsed = ipaddress.ip_address(given)
        if parsed.version == 6:
            given = str(ipaddress.ip_network((parsed, CUSTOMER_BITS), strict=False))
    return f"address {given}"


def give_cookie(settings: Settings) -> None:
    """Let the browser keep the cookie of a new visitor; call it in every run of a page."""
    visitor = current(settings)
    if visitor is None or not visitor.territory.ends_with_session:
        return
    key = _key(settings.data_dir)
    cookie = visitor.identity.cookie(key)

    @st.fragment
    def _give() -> None:
        answer = component("visitor_cookie", js=JS)(
            key="visitor_cookie",
            # In a list: Streamlit would load pandas to look for tables in a dict.
            data=[
                {
                    "name": _cookie_name(key),
                    "value": cookie,
                    "seconds": max(visitor.identity.expires - int(time.time()), 0),
                }
            ],
            on_kept_change=lambda: None,
            default={"kept": ""},
        )
        # A browser that keeps no cookie cannot come back.
        if answer.kept == cookie:
            with _finding:
                _note_return(visitor)

    _give()


def _cookie_name(key: bytes) -> str:
    # Cookies of one host know no port: another lab there has another key.
    return COOKIE_STEM + hashlib.sha256(key).hexdigest()[:8]


def _find(settings: Settings) -> Visitor:
    key = _key(settings.data_dir)
    named = read(str(st.context.cookies.get(_cookie_name(key)) or ""), key)
    with _finding:
        visitors = known()
        for each in [name for name, seen in visitors.items() if seen.territory.is_over]:
            del visitors[each]
        if named is not None and (seen := visitors.get(named.id) or _new().get(named.id)):
            _note_return(seen)
            return seen
        identity = named or Identity.new(settings.visitor_ttl_s)
        territory = Territory.of(
            identity.secret(key, "collections"),
            identity.expires,
            Quota(settings.max_collections, settings.max_kept_rows),
            is_new=named is None,
        )
        visitor = Visitor(territory, identity)
        if named is not None:
            _note_return(visitor)
        else:
            _new()[identity.id] = visitor
        return visitor


def _note_return(visitor: Visitor) -> None:
    known()[visitor.id] = visitor
    visitor.territory.comes_back()
