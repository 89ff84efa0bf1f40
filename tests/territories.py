"""Territories as visitors get them who came for the first time and can come back."""

import secrets

from lib.milvus.territory import Quota, Territory
from lib.ui.visitor.identity import Identity

KEY = secrets.token_bytes(32)


def new_territory(time_to_live_s: float, quota: Quota) -> Territory:
    """Return that of a new visitor, which is over after so many seconds."""
    identity = Identity.new(time_to_live_s)
    secret = identity.secret(KEY, "collections")
    territory = Territory.of(secret, identity.expires, quota, is_new=True)
    territory.comes_back()
    return territory
