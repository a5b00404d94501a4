"""Which migrations are to be applied or reverted, in which order; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth_redis.errors import MisuseError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth_redis.schema.history import History
    from twelfth_redis.schema.migration import Migration, Way


@dataclass(frozen=True)
class Move:
    """One migration that is to be applied, or with `revert` reverted."""

    migration: Migration
    revert: bool = False

    @property
    def way(self) -> Way:
        """Return what is to be done; raises RefusedError where there is no way back."""
        way = self.migration.down if self.revert else self.migration.up
        if way is None:
            raise RefusedError(f"{self.migration.revision} ({self.migration.title}) has no way back; restore a backup")
        return way

    def __str__(self) -> str:
        """Return the move in words."""
        return f"{'take back' if self.revert else 'apply'} {self.migration.revision}: {self.migration.title}"


def moves(migrations: Sequence[Migration], history: History, to: str = "") -> tuple[Move, ...]:
    """Return what leads from the data as it is to a revision, the newest where none is named.

    Raises RefusedError for a revision that is none, and for one to which there is no way.
    """
    target = find_revision(migrations, to) if to else max((each.revision for each in migrations), default="0000")
    unfinished = {history.unfinished.revision} if history.unfinished else set()
    there, whole = history.applied.keys() | unfinished, history.applied.keys() - unfinished
    down = [migration for migration in migrations if migration.revision > target and migration.revision in there]
    up = [migration for migration in migrations if migration.revision <= target and migration.revision not in whole]
    wanted = (*(Move(migration, revert=True) for migration in reversed(down)), *map(Move, up))
    _refuse_one_way(wanted)
    return wanted


def _refuse_one_way(wanted: Sequence[Move]) -> None:
    """Raise RefusedError where one of the moves has no way, before anything is done."""
    for move in wanted:
        move.way  # noqa: B018 - it raises


def find_revision(migrations: Sequence[Migration], text: str) -> str:
    """Return a revision as it is written, from `2` or `0002`; 0 is before the first. Raises MisuseError."""
    number = text.rjust(4, "0")
    revisions = ["0000", *(migration.revision for migration in migrations)]
    if number not in revisions:
        raise MisuseError(f"there is no revision {text[:40]!r}; there are {', '.join(revisions)}")
    return number
