"""Which migrations are to be applied or taken back, in which order; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth_redis.errors import MisuseError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth_redis.schema.history import Past
    from twelfth_redis.schema.migration import Migration, Way


@dataclass(frozen=True)
class Move:
    """One migration that is to be applied, or taken back."""

    migration: Migration
    back: bool = False

    @property
    def way(self) -> Way:
        """Return what is to be done; raises RefusedError where there is no way back."""
        way = self.migration.down if self.back else self.migration.up
        if way is None:
            raise RefusedError(f"{self.migration.revision} ({self.migration.title}) has no way back; restore a backup")
        return way

    def __str__(self) -> str:
        """Return the move in words."""
        return f"{'take back' if self.back else 'apply'} {self.migration.revision}: {self.migration.title}"


def moves(known: Sequence[Migration], past: Past, to: str = "") -> tuple[Move, ...]:
    """Return what leads from the data as it is to a revision, the newest where none is named.

    Raises RefusedError for a revision that is none, and for one to which there is no way.
    """
    target = revision(known, to) if to else max((each.revision for each in known), default="0000")
    begun = {past.unfinished.revision} if past.unfinished else set()
    there, whole = past.applied.keys() | begun, past.applied.keys() - begun
    down = [each for each in known if each.revision > target and each.revision in there]
    up = [each for each in known if each.revision <= target and each.revision not in whole]
    wanted = (*(Move(each, back=True) for each in reversed(down)), *map(Move, up))
    for move in wanted:
        _ = move.way
    return wanted


def revision(known: Sequence[Migration], text: str) -> str:
    """Return a revision as it is written, from `2` or `0002`; 0 is before the first. Raises MisuseError."""
    number = text.rjust(4, "0")
    if number != "0000" and number not in {each.revision for each in known}:
        names = ", ".join(["0000", *(each.revision for each in known)])
        raise MisuseError(f"there is no revision {text[:40]!r}; there are {names}")
    return number
