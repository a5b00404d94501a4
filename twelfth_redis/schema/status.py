"""The state of each revision, as values and as a table; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth_redis.schema.history import Applied, History
    from twelfth_redis.schema.migration import Migration


@dataclass(frozen=True)
class State:
    """One revision as `migrate --status` shows it.

    `state` is `applied`, `marked` (a baseline), `edited`, `unknown` (to this release), `unfinished` or `pending`.
    """

    revision: str
    title: str
    state: str
    applied: str = ""
    release: str = ""
    run: str = ""
    operator: str = ""
    checksum: str = ""


def states(migrations: Sequence[Migration], history: History) -> tuple[State, ...]:
    """Return every revision that the data or this release has, in order."""
    known = {migration.revision: migration for migration in migrations}
    unfinished = {history.unfinished.revision} if history.unfinished else set()
    revisions = sorted(known.keys() | history.applied.keys() | unfinished)
    return tuple(_state(revision, known.get(revision), history) for revision in revisions)


def _state(revision: str, known: Migration | None, history: History) -> State:
    left = history.unfinished if history.unfinished and history.unfinished.revision == revision else None
    done = left or history.applied.get(revision)
    title = known.title if known else done.title if done else ""
    if done is None:
        return State(revision, title, "pending", checksum=known.checksum if known else "")
    state = "unfinished" if left else _applied_state(known, done)
    return State(revision, title, state, done.applied, done.release, done.run, done.operator, done.checksum)


def _applied_state(known: Migration | None, done: Applied) -> str:
    if known is None:
        return "unknown"
    if not known.is_of(done.checksum):
        return "edited"
    return "marked" if done.baseline else "applied"


def table(rows: Sequence[State]) -> list[str]:
    """Return the states as lines for people, in columns as wide as they need to be; none where there is no state."""
    if not rows:
        return []
    heads = ("REVISION", "STATE", "APPLIED", "RELEASE", "RUN", "OPERATOR", "TITLE")
    cells = [(s.revision, s.state, s.applied, s.release, s.run, s.operator, s.title) for s in rows]
    words = [heads, *(tuple(cell or "-" for cell in row) for row in cells)]
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in words]
