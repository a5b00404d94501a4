"""Find the revisions that a release needs in the names of its migration files, without importing them."""

from collections.abc import Iterable
from pathlib import Path

from twelfth_redis.timestamp import now

__all__ = ("FILES", "now", "pending", "required")  # migrations import `now` from here, and never change

FILES = "[0-9][0-9][0-9][0-9]_*.py"


def required(folder: Path) -> tuple[str, ...]:
    """Return the revisions in a folder of migrations, in order: the first four digits of the names."""
    return tuple(sorted(path.name[:4] for path in folder.glob(FILES)))


def pending(revisions: Iterable[str], applied: Iterable[str]) -> tuple[str, ...]:
    """Return the revisions that are not in `applied`."""
    done = frozenset(applied)
    return tuple(revision for revision in revisions if revision not in done)
