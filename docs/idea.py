"""Draw docs/idea.svg, the idea of twelfth in one picture: `.venv/bin/python docs/idea.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 360, 500  # in CSS pixels of a phone
SHOWN = 396  # its width on a page that has room
TITLE = "A run is made from the worker that serves"
DESCRIPTION = (
    "On the left a worker that serves: its image, environment, networks, mounts, user and limits, and its command, "
    "python -m service. It is inspected, and a run, a new process, is made from it on the right. They are compared "
    "line by line: all is equal but the command, python -m admin.reset. Only then the run is started, and it is "
    "recorded: exit code 0, operator, output. Beside it the worker serves on: 42 times, and after the reset 1 times, "
    "2 times, 3 times."
)

# Fill and stroke, in light and in dark.
STYLES = {
    "paper": ("#ffffff #d1d9e0", "#0d1117 #30363d"),
    "worker": ("#eaf4ff #80b9f5", "#0f2138 #2f5f99"),
    "run": ("#f6f0ff #bd9df2", "#211a38 #6a4fa8"),
    "row": ("#ffffff none", "#0d1117 none"),
    "service": ("#0b62c4 none", "#1f6feb none"),
    "reset": ("#7a45d0 none", "#8250df none"),
    "equal": ("#ffffff #2c974b", "#0d1117 #3fb950"),
    "unequal": ("#ffffff #7a45d0", "#0d1117 #b392f0"),
    "made": ("none #7a45d0", "none #b392f0"),
    "serves": ("none #0b62c4", "none #58a6ff"),
    "step": ("#7a45d0 none", "#8250df none"),
    "ink": ("#1f2328 none", "#e6edf3 none"),
    "quiet": ("#59636e none", "#9ea7b3 none"),
    "on": ("#ffffff none", "#ffffff none"),
    "blue": ("#0b62c4 none", "#79b8ff none"),
    "violet": ("#6a35c0 none", "#c8aeff none"),
}
# Size in pixels, weight, family, and which end is at x.
FONTS = {
    "title": (20, "700", "sans", "start"),
    "text": (15, "400", "sans", "start"),
    "right": (15, "400", "sans", "end"),
    "strong": (16, "600", "sans", "start"),
    "code": (14, "400", "mono", "start"),
    "bold": (14, "700", "mono", "start"),
    "number": (14, "700", "mono", "middle"),
}
FAMILIES = {
    "sans": "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif",
    "mono": "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace",
}

# What is drawn, a line each: where (x, y, width, height), how, and its words.
BOXES = """
worker     8  44 160 448
run      192  44 160 254
service   18 238 140  50
reset    202 238 140  50
run      192 408 160  84
"""
ROWS = ("image c40211c8", "environment", "networks", "mounts", "user, limits")  # what both have, side by side
FIRST_ROW, NEXT_ROW = 86, 30  # the top of the first, and from one to the next
LINES = """
made    M88 44 V32 Q88 22 98 22 H130
made    M238 22 H262 Q272 22 272 32 V39 head
made    M213 298 V408
serves  M150 309 V474 head
made    M150 358 H202
step    M145 358 a5 5 0 1 0 10 0 a5 5 0 1 0 -10 0
"""
HEAD = "m-5 -6 l5 6 l5 -6"  # of an arrow that points down
STEPS = """
131  22 inspected
213 326 compared
213 358 started
213 390 recorded
"""
WORDS = """
 18  71 title  blue    worker
158  71 right  quiet   serves
202  71 title  violet  run
342  71 right  quiet   new process
 28 259 code   on      python -m
 28 278 bold   on      service
212 259 code   on      python -m
212 278 bold   on      admin.reset
 28 319 bold   ink     Hello World!
 28 343 code   ink     42 times.
 28 383 code   ink     1 times.
 28 407 code   ink     2 times.
 28 431 code   ink     3 times.
 28 471 text   quiet   serves on
212 427 code   ink     exit code 0
212 446 code   ink     operator you
212 465 code   ink     hits was 42,
212 484 code   ink     is 0 now
"""


def drawing() -> str:
    """Return the picture as SVG."""
    parts = (*_boxes(), *_lines(), *_rows(), *_steps(), *_words())
    return "\n".join((*_head(), *parts, "</svg>", ""))


def _head() -> Iterator[str]:
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{SHOWN}" height="{SHOWN * HEIGHT // WIDTH}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">'
    yield f'<title id="title">{escape(TITLE)}</title>'
    yield f'<desc id="desc">{escape(DESCRIPTION)}</desc>'
    yield "<style>"
    yield from (f".{name} {{ font-family: {family} }}" for name, family in FAMILIES.items())
    yield from _colours(0)
    yield "@media (prefers-color-scheme: dark) {"
    yield from _colours(1)
    yield "}"
    yield "</style>"


def _colours(theme: int) -> Iterator[str]:
    for name, themes in STYLES.items():
        fill, stroke = themes[theme].split()
        yield f".{name} {{ fill: {fill}; stroke: {stroke} }}"


def _boxes() -> Iterator[str]:
    yield _box("paper", 0.5, 0.5, WIDTH - 1, HEIGHT - 1)
    for style, *place in _table(BOXES):
        yield _box(style, *map(float, place))


def _box(style: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>'


def _lines() -> Iterator[str]:
    for style, *path in _table(LINES):
        yield f'<path class="{style}" stroke-width="2" d="{" ".join(path).replace("head", HEAD)}"/>'


def _rows() -> Iterator[str]:
    """Yield what both have, side by side, with the sign between them; the command is the last."""
    for number, row in enumerate(ROWS):
        top = FIRST_ROW + number * NEXT_ROW
        for left in (18, 202):
            yield _box("row", left, top, 140, 24)
            yield _text("text", "ink", left + 10, top + 17, row)
        yield from _sign("equal", top + 12, "M175 -3 H185 M175 3 H185")
    yield from _sign("unequal", 263, "M175 -3 H185 M175 3 H185 M183 -7 L177 7")


def _sign(style: str, y: float, strokes: str) -> Iterator[str]:
    yield f'<path class="{style}" stroke-width="2" d="M158 {y:g} H202"/>'
    yield f'<circle class="{style}" stroke-width="2" cx="180" cy="{y:g}" r="11"/>'
    yield f'<path class="{style}" stroke-width="2" d="{strokes}" transform="translate(0 {y:g})"/>'


def _steps() -> Iterator[str]:
    for number, (x, y, word) in enumerate(_table(STEPS), 1):
        left, middle = float(x), float(y)
        yield f'<circle class="step" cx="{left:g}" cy="{middle:g}" r="11"/>'
        yield _text("number", "on", left, middle + 5, str(number))
        yield _text("strong", "violet", left + 18, middle + 5.5, word)


def _words() -> Iterator[str]:
    for x, y, font, style, *words in _table(WORDS):
        yield _text(font, style, float(x), float(y), " ".join(words))


def _text(font: str, style: str, x: float, y: float, words: str) -> str:
    size, weight, family, anchor = FONTS[font]
    place = f'x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text class="{family} {style}" {place}>{escape(words)}</text>'


def _table(rows: str) -> Iterator[list[str]]:
    return (line.split() for line in rows.strip().splitlines())


if __name__ == "__main__":
    (HERE / "idea.svg").write_text(drawing(), "utf-8")
