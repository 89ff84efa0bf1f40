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
FAMILIES = ("loop", "async", "neither", "threads", "batch", "blocking")


def family_colour(family: str, mode: str) -> str:
    """Return the colour of a family of strategies in 'light' or 'dark'."""
    return str(colours(mode)["chartCategoricalColors"][FAMILIES.index(family)])


def text_config(mode: str) -> dict[str, dict[str, Any]]:
    """Return the part of a Vega config that colours texts in 'light' or 'dark'."""
    text = colours(mode)["textColor"]
    return {
        "axis": {"labelColor": text, "titleColor": text},
        "legend": {"labelColor": text, "titleColor": text},
        "title": {"color": text, "subtitleColor": text},
        "text": {"color": text},
        "rule": {"color": text},
    }


def coloured(spec: dict[str, Any], mode: str) -> dict[str, Any]:
    """Give a specification's texts the page's colour in 'light' or 'dark'.

    Streamlit's theme leaves text marks black and axes too faint. Vega would describe each mark by
    the names of its fields; the chart's own sentence is enough.
    """
    for part, values in (text_config(mode) | {"mark": {"aria": False}}).items():
        spec["config"].setdefault(part, {}).update(values)
    return spec


def vega_config(mode: str = "light") -> dict[str, Any]:
    """Return a Vega config with the hues and text colours of 'light' or 'dark'."""
    theme, texts = colours(mode), text_config(mode)
    border = theme["borderColor"]
    return {
        "background": theme["backgroundColor"],
        "font": "sans-serif",
        "range": {"category": theme["chartCategoricalColors"]},
        **texts,
        "axis": texts["axis"] | {"gridColor": border, "domainColor": border, "tickColor": border},
    }
