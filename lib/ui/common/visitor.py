"""Who a visitor of a public app is: their collections, their runs and their share of the jobs.

A browser is recognised by Streamlit's cookie, so that a refresh finds everything again. Without a
cookie a visitor lasts as long as the session.
"""

import binascii
import hashlib
import secrets
import threading
from dataclasses import dataclass, field

import streamlit as st

from lib.milvus.territory import Quota, Territory
from lib.settings import Settings

VISITOR_KEY = "lab_visitor"
COOKIE = "_streamlit_xsrf"
_finding = threading.Lock()


@dataclass(frozen=True)
class Visitor:
    """One stranger; `id` is 128 random bits and never leaves this process in the clear."""

    territory: Territory
    id: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def run_folder(self) -> str:
        """The name of the folder with the visitor's runs, which says when it may go."""
        return f"visitor-{int(self.territory.expires):x}-{self.id}"


@st.cache_resource(show_spinner=False)
def known() -> dict[str, Visitor]:
    """Return the visitors of this process by their browsers."""
    return {}


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


def _find(settings: Settings) -> Visitor:
    browser = _browser()
    with _finding:
        visitors = known()
        for each in [name for name, seen in visitors.items() if seen.territory.is_over]:
            del visitors[each]
        if browser in visitors:
            return visitors[browser]
        quota = Quota(settings.max_collections, settings.max_kept_rows)
        ends = not browser
        territory = Territory.new(settings.visitor_ttl_s, quota, ends_with_session=ends)
        visitor = Visitor(territory)
        if browser:
            visitors[browser] = visitor
        return visitor


def _browser() -> str:
    """Return a hash that identifies this browser, or an empty text without a cookie.

    The cookie is `2|mask|masked|time`. The mask changes with each answer; the 16 random bytes under
    it stay the same.
    """
    parts = str(st.context.cookies.get(COOKIE) or "").strip("\"'").split("|")
    try:
        mask, masked = (binascii.a2b_hex(part) for part in parts[1:3])
        token = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
    except (ValueError, IndexError):
        return ""
    return hashlib.sha256(token).hexdigest() if len(token) >= 16 else ""
