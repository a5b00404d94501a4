"""Whether a release may migrate this data, and which migrations are to be applied or reverted, in which order; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twelfth_redis.errors import MisuseError, RefusedError
from twelfth_redis.schema.history import Applied, History
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
    for move in wanted:
        move.way  # noqa: B018 - it raises where there is none, before anything is done
    return wanted


def find_revision(migrations: Sequence[Migration], text: str) -> str:
    """Return a revision as it is written, from `2` or `0002`; 0 is before the first. Raises MisuseError."""
    number = text.rjust(4, "0")
    revisions = ["0000", *(migration.revision for migration in migrations)]
    if number not in revisions:
        raise MisuseError(f"there is no revision {text[:40]!r}; there are {', '.join(revisions)}")
    return number


def problems(
    migrations: Sequence[Migration], history: History, release: str, *, allow_newer: bool = False, to: str = ""
) -> tuple[str, ...]:
    """Return each reason why this release must not migrate this data, to a revision if one is named.

    With `allow_newer`, newer data that only grew is none.
    """
    known = {migration.revision: migration for migration in migrations}
    applied = (_disagreement(known.get(done.revision), done, allow_newer) for done in history.applied.values())
    return tuple(
        filter(None, (*applied, *_skipped(known, history, to), _unfinished(known, history.unfinished, release)))
    )


def _disagreement(known: Migration | None, done: Applied, allow_newer: bool) -> str:  # noqa: FBT001 - as `problems` has it
    """Return how the release's migration of a revision, if it has one, differs from what was applied, "" if not."""
    revision, release = done.revision, done.release
    if known:
        edited = (
            f"{revision} was edited after it was applied ({done.applied}, release {release or 'unknown'}); "
            "put it back as it was, and make the change a new revision"
        )
        return "" if known.is_of(done.checksum) else edited
    ahead = f"the data is ahead: {revision} ({done.title})"
    if not allow_newer:
        return (
            f"{ahead} was applied by release {release or 'unknown'} and is unknown to this one; take it back with that "
            f"one: invoke migrate --to {_before(revision)} --release {release or 'ID'}"
        )
    needed = (
        f"{ahead} took away what this release needs; bring up release {release or 'that did it'}, or restore a backup"
    )
    return needed if done.contract else ""


def _skipped(known: Iterable[str], history: History, to: str) -> tuple[str, ...]:
    return tuple(
        f"{revision} was not applied, but {history.revision} was; in order: invoke migrate --to {_before(revision)}"
        for revision in known
        if revision not in history.applied and revision < history.revision and (not to or to >= revision)
    )


def _unfinished(known: Iterable[str], left: Applied | None, release: str) -> str:
    if left is None:
        return ""
    by = f"release {left.release or 'unknown'}, run {left.run or 'unknown'}"
    why = f"{left.revision} ({left.title}) was left unfinished by {by}{left.why and f': {left.why}'}"
    if left.revision not in known:
        return f"{why}, and is unknown to this one; finish it there: invoke migrate --release {left.release or 'ID'}"
    if not left.release or not release or left.release == release:
        return ""
    here = f"or with this one: invoke migrate --release {release} --take-over"
    return f"{why}; finish it there: invoke migrate --release {left.release}, {here}"


def _before(revision: str) -> str:
    return f"{int(revision) - 1:04}" if revision.isdecimal() else "0000"
