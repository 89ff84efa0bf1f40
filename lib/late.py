"""Libraries that a page seldom needs, loaded when something of them is first used.

altair takes 26 MB and a third of a second, vl-convert 8 MB. Kept specifications draw most charts
without either.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["alt", "vl_convert"]


class _Late:
    """Stands for a module until something of it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import altair as alt
    import vl_convert
else:
    alt = _Late("altair")
    vl_convert = _Late("vl_convert")
