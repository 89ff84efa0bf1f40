"""The theme is readable, and sync and async differ for every eye."""

import itertools
import tomllib

import numpy as np
import numpy.typing as npt
import pytest

from lib.settings import PROJECT_ROOT

CONFIG = PROJECT_ROOT / ".streamlit" / "config.toml"
THEMES = {
    name: tomllib.loads(CONFIG.read_text(encoding="utf-8"))["theme"][name]
    for name in ("light", "dark")
}
WHITE = "#FFFFFF"
AA_TEXT = 4.5
AA_GRAPHICS = 3.0

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency" (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# IEC 61966-2-1: linear sRGB to CIE XYZ, and the white of D65.
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], dtype=float
)
D65 = TO_XYZ.sum(axis=1)

Triple = npt.NDArray[np.float64]


def linear(color: str) -> Triple:
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((float((TO_XYZ @ linear(c))[1]) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: Triple) -> Triple:
    ratio = TO_XYZ @ rgb.clip(0, 1) / D65
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one: str, other: str, vision: str) -> float:
    """CIE 1976's colour difference as that eye sees it; about 2 is the least one can notice."""
    eye = np.array(VISION[vision])
    return float(np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(other))))


@pytest.mark.parametrize("name", THEMES)
def test_text_and_buttons_meet_aa(name: str) -> None:
    theme = THEMES[name]
    for surface in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
        assert contrast(theme["textColor"], surface) >= AA_TEXT
        assert contrast(theme["linkColor"], surface) >= AA_TEXT
        assert contrast(theme["primaryColor"], surface) >= AA_GRAPHICS
    assert contrast(WHITE, theme["primaryColor"]) >= AA_TEXT


@pytest.mark.parametrize("name", THEMES)
def test_every_chart_colour_stands_out_from_the_page(name: str) -> None:
    theme = THEMES[name]
    for color in theme["chartCategoricalColors"]:
        assert contrast(color, theme["backgroundColor"]) >= AA_GRAPHICS, color


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", THEMES)
def test_sync_and_async_differ_for_every_eye(name: str, vision: str) -> None:
    sync, asynchronous, *_ = THEMES[name]["chartCategoricalColors"]
    assert difference(sync, asynchronous, vision) >= 50


@pytest.mark.parametrize("vision", ["normal", "protanopia", "deuteranopia"])
@pytest.mark.parametrize("name", THEMES)
def test_no_other_chart_colour_passes_for_sync_or_async(name: str, vision: str) -> None:
    colors = THEMES[name]["chartCategoricalColors"]
    for meaning, other in itertools.product(colors[:2], colors[2:]):
        assert difference(meaning, other, vision) >= 20, (meaning, other)


def test_light_and_dark_order_the_same_hues() -> None:
    for light, dark in zip(
        *(THEMES[name]["chartCategoricalColors"] for name in ("light", "dark")), strict=True
    ):
        one, other = lab(linear(light))[1:], lab(linear(dark))[1:]
        if min(np.linalg.norm(one), np.linalg.norm(other)) < 15:  # grey has no hue
            continue
        angle = np.degrees(np.arctan2(one[1], one[0]) - np.arctan2(other[1], other[0]))
        assert abs((angle + 180) % 360 - 180) <= 30, (light, dark)


@pytest.mark.parametrize("name", THEMES)
def test_the_accent_is_ink_and_no_hue_of_a_way(name: str) -> None:
    for part in ("primaryColor", "linkColor"):
        assert np.linalg.norm(lab(linear(THEMES[name][part]))[1:]) < 20, part
