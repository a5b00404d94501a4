"""Which revisions the data has, and which this release needs: what `/readyz` answers, and `admin.migrate` keeps.

The migrations themselves are the admin processes' business; here they are only counted, by the names of their files.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

HISTORY = "twelfth:migrations"
"""A hash of what was applied: revision -> its record as JSON. It is data: a backup holds it."""

FOLDER = Path(__file__).resolve().parents[2] / "admin" / "migrations"
FILES = "[0-9][0-9][0-9][0-9]_*.py"


def required(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the revisions that this release brings, the first four digits of their files' names, in order."""
    return tuple(sorted(path.name[:4] for path in folder.glob(FILES)))


def now() -> str:
    """Return this moment as records hold it: ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
