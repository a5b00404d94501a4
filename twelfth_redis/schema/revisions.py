"""Which revisions a release needs, by the names of its migration files; nothing is imported for that."""

from collections.abc import Iterable
from pathlib import Path

from twelfth_redis.timestamp import now

__all__ = ("FILES", "now", "pending", "required")  # `now` for migrations that import it from here, and never change

FILES = "[0-9][0-9][0-9][0-9]_*.py"


def required(folder: Path) -> tuple[str, ...]:
    """Return the revisions of a folder of migrations, the first four digits of their files' names, in order."""
    return tuple(sorted(path.name[:4] for path in folder.glob(FILES)))


def pending(revisions: Iterable[str], applied: Iterable[str]) -> tuple[str, ...]:
    """Return the revisions that were not applied."""
    done = frozenset(applied)
    return tuple(revision for revision in revisions if revision not in done)
