"""What is known of releases: those that are here, and which was deployed when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuiltRelease:
    """A release that needs no building: since when (ISO 8601 in UTC), by whom ("" if unknown), how many bytes."""

    id: str
    built: str
    operator: str
    size: int


@dataclass(frozen=True)
class Deploy:
    """A release that was deployed: when (ISO 8601 in UTC) and by whom."""

    release: str
    at: str
    operator: str
