"""The app's colours for pictures that leave it: read from Streamlit's theme file, not repeated."""

import tomllib
from functools import lru_cache
from typing import Any

from lib.settings import PROJECT_ROOT

CONFIG = PROJECT_ROOT / ".streamlit" / "config.toml"
VEGA_LITE_VERSION = "6.4"


@lru_cache(maxsize=2)
def colours(mode: str) -> dict[str, Any]:
    """Return the theme's values for 'light' or 'dark'."""
    theme = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["theme"]
    return {**theme, **theme[mode]}


# The order of the theme's chart colours, the same on all pages: what a colour means.
FAMILIES = ("loop", "async", "neither", "threads", "batch")


def family_colour(family: str, mode: str) -> str:
    """Return the colour of a family of strategies in 'light' or 'dark'."""
    return str(colours(mode)["chartCategoricalColors"][FAMILIES.index(family)])


def text_colour(mode: str) -> str:
    """Return the colour of text in 'light' or 'dark'."""
    return str(colours(mode)["textColor"])


def vega_config(mode: str = "light") -> dict[str, Any]:
    """Return a Vega config with the hues and text colours of 'light' or 'dark'."""
    theme = colours(mode)
    text, border = theme["textColor"], theme["borderColor"]
    return {
        "background": theme["backgroundColor"],
        "font": "sans-serif",
        "range": {"category": theme["chartCategoricalColors"]},
        "axis": {
            "labelColor": text,
            "titleColor": text,
            "gridColor": border,
            "domainColor": border,
            "tickColor": border,
        },
        "legend": {"labelColor": text, "titleColor": text},
        "title": {"color": text, "subtitleColor": text},
        "text": {"color": text},
        "rule": {"color": text},
    }
