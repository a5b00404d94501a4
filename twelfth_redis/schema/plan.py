"""Decide whether a release may migrate this data, and which migrations to apply or revert, in which order; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twelfth_redis.errors import MisuseError, RefusedError
from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration, Way
from twelfth_redis.schema.relation import Kind, Relation, relation


@dataclass(frozen=True)
class Move:
    """A migration to apply, or with `revert` to revert; `left` is its record if it was left unfinished."""

    migration: Migration
    revert: bool = False
    left: Applied | None = None

    @property
    def way(self) -> Way:
        """Return the direction to take; raises RefusedError if the migration cannot be reverted."""
        way = self.migration.down if self.revert else self.migration.up
        if way is None:
            raise RefusedError(
                f"cannot revert {self.migration.revision} ({self.migration.title}): it defines no down. "
                "Try: restore a backup"
            )
        return way

    def __str__(self) -> str:
        """Return the move as a phrase, such as "apply 0001: Adopt the counter"."""
        return f"{'revert' if self.revert else 'apply'} {self.migration.revision}: {self.migration.title}"


def moves(migrations: Sequence[Migration], history: History, to: str = "", release: str = "") -> tuple[Move, ...]:
    """Return the moves that lead from the present data to a revision, by default the newest.

    Raises RefusedError for an unknown revision, for one that cannot be reverted, and if a migration that the release
    does not contain is unfinished: the data has room for one record of an unfinished migration.
    """
    revisions = [migration.revision for migration in migrations]
    target = find_revision(migrations, to) if to else max(revisions, default="0000")
    left = history.unfinished
    unfinished = {left.revision} if left else set()
    started, finished = history.applied.keys() | unfinished, history.applied.keys() - unfinished
    down = [migration for migration in migrations if migration.revision > target and migration.revision in started]
    up = [migration for migration in migrations if migration.revision <= target and migration.revision not in finished]
    steps = tuple(
        Move(migration, revert, left if left and left.revision == migration.revision else None)
        for revert, chosen in ((True, reversed(down)), (False, up))
        for migration in chosen
    )
    for move in steps:
        move.way  # noqa: B018 - it raises before anything is changed
    if steps and left and is_foreign(migrations, left):
        raise RefusedError(f"cannot {steps[0]}: {left_unfinished(left)}. Try: {abandon_command(left, release)}")
    return steps


def is_foreign(migrations: Iterable[Migration], left: Applied) -> bool:
    """Return whether the unfinished migration is missing from the release."""
    return all(migration.revision != left.revision for migration in migrations)


def abandoned(migrations: Sequence[Migration], history: History, text: str) -> Applied:
    """Return the unfinished migration with the revision `text`.

    Raises RefusedError if the revision is not unfinished, MisuseError if the text is not a revision.
    """
    revision = text.rjust(4, "0")
    if not (revision.isascii() and revision.isdecimal() and len(revision) == len("0000")):
        raise MisuseError(f"invalid revision {text[:40]!r}: a revision is a number, such as 0003")
    left = history.unfinished
    if left and left.revision == revision:
        return left
    if done := history.applied.get(revision):
        raise RefusedError(
            f"cannot abandon {revision} ({done.title}): it was applied {done.applied} and is not unfinished. "
            "Try: invoke migrate --status"
        )
    known = any(migration.revision == revision for migration in migrations)
    what = "it is pending" if known else "neither the data nor this release has it"
    unfinished = f"; {left.revision} is unfinished" if left else ""
    raise RefusedError(f"cannot abandon {revision}: {what}{unfinished}. Try: invoke migrate --status")


def find_revision(migrations: Sequence[Migration], text: str) -> str:
    """Return a revision with four digits, such as `0002` for `2`; 0 is before the first. Raises MisuseError."""
    number = text.rjust(4, "0")
    revisions = ["0000", *(migration.revision for migration in migrations)]
    if number not in revisions:
        raise MisuseError(f"unknown revision {text[:40]!r}: the revisions are {', '.join(revisions)}")
    return number


def problems(
    migrations: Sequence[Migration], history: History, release: str | None, *, allow_newer: bool = False, to: str = ""
) -> tuple[str, ...]:
    """Return the reasons why this release must not migrate this data, to revision `to` if given.

    With None instead of a release, any release may finish the unfinished migration.
    `allow_newer` accepts newer data that older releases can use, and an unfinished migration that this release does
    not contain.
    """
    known = tuple(migration.revision for migration in migrations)
    applied = (
        _disagreement(relation(migrations, history, done), done, allow_newer) for done in history.applied.values()
    )
    left = history.unfinished
    unfinished = _unfinished(relation(migrations, history, left), left, release, allow_newer) if left else ""
    return tuple(filter(None, (*applied, *_skipped(known, history, to), unfinished)))


def warning(migrations: Sequence[Migration], history: History, release: str) -> str:
    """Return a warning about an unfinished migration that does not concern this release, or ""."""
    left = history.unfinished
    if not left or not is_foreign(migrations, left):
        return ""
    return f"{left_unfinished(left, _UNKNOWN)}. This release does not need it. Try: {abandon_command(left, release)}"


def _disagreement(relation: Relation, done: Applied, allow_newer: bool) -> str:  # noqa: FBT001 - as in `problems`
    revision, release = done.revision, done.release or "unknown"
    when = f"({done.applied}, release {release})"
    match relation:
        case Relation(Kind.SAME):
            return ""
        case Relation(Kind.RENUMBERED, _, Migration(revision=number)):
            return (
                f"{revision} ({done.title}) was applied {when}, and is {number} in this release. "
                f"Try: give the file its number {revision} again, and renumber the files after it"
            )
        case Relation(Kind.DIFFERENT, Migration(title=title)):
            return (
                f"{revision} was applied as {done.title!r} {when}, and is another migration in this release: "
                f"{title!r}. Try: restore the file that was applied, and give this one the next number"
            )
        case Relation(Kind.EDITED):
            return (
                f"{revision} was edited after it was applied {when}. "
                "Try: restore the file, and make the change a new revision"
            )
    return _ahead(done, allow_newer)


def _ahead(done: Applied, allow_newer: bool) -> str:  # noqa: FBT001 - as in `problems`
    ahead, release = f"the data is ahead: {done.revision} ({done.title})", done.release
    if not allow_newer:
        return (
            f"{ahead} was applied by release {release or 'unknown'} and is missing from this one. "
            f"Try: invoke migrate --to {_before(done.revision)} --release {release or 'ID'}, to revert it"
        )
    needed = (
        f"{ahead} removed data that this release needs (CONTRACT). "
        f"Try: invoke up --release {release or 'ID'}, or restore a backup"
    )
    return needed if done.contract else ""


def _skipped(known: Iterable[str], history: History, to: str) -> tuple[str, ...]:
    return tuple(
        f"{revision} was not applied, but {history.revision} was. "
        f"Try: invoke migrate --to {_before(revision)}, then invoke migrate"
        for revision in known
        if revision not in history.applied and revision < history.revision and (not to or to >= revision)
    )


def _unfinished(relation: Relation, left: Applied, release: str | None, allow_newer: bool) -> str:  # noqa: FBT001 - as in `problems`
    what, abandon = left_unfinished(left), abandon_command(left, release or "")
    if relation.known is None:
        return "" if allow_newer else f"{left_unfinished(left, _UNKNOWN)}. Try: {abandon}"
    if relation.kind in {Kind.DIFFERENT, Kind.RENUMBERED}:  # applying another migration does not finish it
        mismatch = f"{left.revision} of this release is another migration: {relation.known.title!r}"
        return f"{what}. {mismatch}. Try: {abandon}"
    if release is None:
        return ""
    if not left.release or not release or left.release == release:
        return _repeated(relation, left, release)
    here = f"invoke migrate --release {release} --take-over"
    if left.why:
        return f"{what}. Try: {here}, if this release's {left.revision} can continue from there; else: {abandon}"
    return f"{what}. Try: invoke migrate --release {left.release}, or with this release: {here}"


def _repeated(relation: Relation, left: Applied, release: str) -> str:
    # A batch is safe to repeat, and an edited file is the operator's answer to the failure. In an unchanged file, the
    # commands before the refused one would be applied twice, such as `INCRBY`.
    way = relation.known and (relation.known.down if left.down else relation.known.up)
    if relation.kind is not Kind.SAME or not left.done or (way and way.batch_step):
        return ""
    again = f"invoke migrate{f' --release {release}' if release else ''} --take-over"
    return f"{left_unfinished(left)}. Try: {abandon_command(left, release)}, or to apply them again: {again}"


_UNKNOWN = ", and is missing from this one"


def left_unfinished(left: Applied, also: str = "") -> str:
    """Say which migration is unfinished, which run left it, why, and what it did to the data."""
    run = f"release {left.release or 'unknown'}, run {left.run or 'unknown'}"
    way = "was left unfinished while being reverted" if left.down else "was left unfinished"
    facts = "; ".join(filter(None, (left.why, left.effect)))
    contract = "; it removes data that older releases need (CONTRACT)" if left.contract else ""
    return f"{left.revision} ({left.title}) {way} by {run}{also}{facts and f': {facts}'}{contract}"


def abandon_command(left: Applied, release: str) -> str:
    """Return the command that clears an unfinished migration; it names a release, so that no worker has to run."""
    return f"invoke migrate --abandon {left.revision}" + (f" --release {release}" if release else "")


def _before(revision: str) -> str:
    return f"{int(revision) - 1:04}" if revision.isdecimal() else "0000"
