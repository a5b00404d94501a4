"""Parse and format durations of options and messages: a number of seconds, or `90s`, `5m`, `1h30m`."""

from __future__ import annotations

import re

LONGEST = 10 * 365 * 86_400
"""Seconds that no option is given: ten years."""

_PARTS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_UNITS = (86_400, 3_600, 60, 1)
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration with units, largest first, such as `1h30m`; None for any other text."""
    match = _PARTS.fullmatch(text)
    if not text or not match:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


def parse_seconds(text: str) -> float | None:
    """Return the seconds of a number of seconds or of a duration with units; None for any other text."""
    return float(text) if _NUMBER.fullmatch(text) else parse_duration(text)


def plain(seconds: float) -> str:
    """Return seconds as a decimal number without an exponent, which some programs cannot read."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
