"""Which revisions a release needs, by the names of its migration files; nothing is imported for that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILES = "[0-9][0-9][0-9][0-9]_*.py"


def required(folder: Path) -> tuple[str, ...]:
    """Return the revisions of a folder of migrations, the first four digits of their files' names, in order."""
    return tuple(sorted(path.name[:4] for path in folder.glob(FILES)))


def now() -> str:
    """Return this moment as records hold it: ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
