"""The format of time in records of migrations, in backups and in the lock."""

from datetime import UTC, datetime


def now() -> str:
    """Return this moment: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
