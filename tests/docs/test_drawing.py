"""The drawing at the top of the README."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURE = ET.parse(DOCS / "how_it_works.svg").getroot()  # noqa: S314 - our own file
SVG = "{http://www.w3.org/2000/svg}"
WIDTH, HEIGHT = (float(number) for number in PICTURE.attrib["viewBox"].split()[2:])
TEXTS = PICTURE.findall(f"{SVG}text")


def extent(text: ET.Element) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a text, as wide as a rather wide font makes it."""
    size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
    width = 0.61 * size * len(text.text or "")
    left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.attrib["text-anchor"]]
    return left, y - 0.8 * size, left + width, y + 0.2 * size


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text)
def test_word_is_legible_on_a_phone(text: ET.Element) -> None:
    """On a screen of 360 px, letters are 14 px or more, and nothing is cut off."""
    left, top, right, bottom = extent(text)

    assert 14 <= float(text.attrib["font-size"]) * 360 / WIDTH
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < HEIGHT


def test_words_do_not_overlap() -> None:
    """No text runs into another."""
    overlapping = [
        (a.text, b.text)
        for a, b in itertools.combinations(TEXTS, 2)
        for (left, top, right, bottom), (x, y, x2, y2) in [(extent(a), extent(b))]
        if left < x2 and x < right and top < y2 and y < bottom
    ]

    assert [] == overlapping


@pytest.mark.parametrize("part", ["title", "desc"])
def test_drawing_can_be_read_aloud(part: str) -> None:
    """A screen reader reads what the picture shows."""
    spoken = PICTURE.find(f"{SVG}{part}")

    assert spoken is not None
    assert spoken.text
    assert spoken.attrib["id"] in PICTURE.attrib["aria-labelledby"].split()
