"""The time, as what is kept of migrations, backups and the lock holds it."""

from datetime import UTC, datetime


def now() -> str:
    """Return this moment: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
