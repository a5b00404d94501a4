"""The state of each revision, as values and as a table; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from twelfth_redis.printable import printable
from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration
from twelfth_redis.schema.plan import abandon_command, left_unfinished, problems
from twelfth_redis.schema.relation import Kind, Relation, relation


@dataclass(frozen=True)
class State:
    """One revision as `migrate --status` shows it.

    `state` is `applied`, `marked` (a baseline), `unfinished`, `pending`, or how the record relates to this release:
    `edited`, `different`, `renumbered` or `unknown`.
    """

    revision: str
    title: str
    state: str
    applied: str = ""
    release: str = ""
    run: str = ""
    operator: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class Status:
    """How the data stands: its revision, each revision's state, what forbids to migrate, and what to do next.

    `unfinished` is the record of a migration that was started and not finished.
    """

    revision: str
    migrations: tuple[State, ...]
    problems: tuple[str, ...]
    hint: str
    unfinished: Applied | None = None


def status(migrations: Sequence[Migration], history: History, release: str) -> Status:
    """Return how the data stands for a release."""
    wrong, left = problems(migrations, history, release), history.unfinished
    hint = "" if wrong or not left else _hint(left, release)
    return Status(history.revision, states(migrations, history), wrong, hint, left)


def _hint(left: Applied, release: str) -> str:
    """Return how to continue with an unfinished migration: if Redis refused it, abandoning it comes first."""
    abandon = abandon_command(left, release)
    then = f"{abandon}, or invoke migrate to try again" if left.why else f"invoke migrate, or {abandon}"
    return f"{left_unfinished(left)}. Try: {then}"


def states(migrations: Sequence[Migration], history: History) -> tuple[State, ...]:
    """Return every revision that the data or this release has, in order."""
    known = {migration.revision: migration for migration in migrations}
    left = history.unfinished
    records = dict(history.applied) | ({left.revision: left} if left else {})
    return tuple(
        _state(relation(migrations, history, done), done, is_unfinished=done is left)
        if (done := records.get(revision))
        else State(revision, known[revision].title, "pending", checksum=known[revision].checksum)
        for revision in sorted(known.keys() | records.keys())
    )


def _state(found: Relation, done: Applied, *, is_unfinished: bool) -> State:
    state = "marked" if done.baseline else "applied"
    if is_unfinished:
        state = "unfinished"
    elif found.kind != Kind.SAME:
        state = str(found.kind)
    title = found.known.title if found.known and found.kind in {Kind.SAME, Kind.EDITED} else done.title
    return State(done.revision, title, state, done.applied, done.release, done.run, done.operator, done.checksum)


def table(rows: Sequence[State]) -> list[str]:
    """Return the states as lines for people, in columns as wide as they need to be; none where there is no state."""
    if not rows:
        return []
    heads = ("revision", "state", "applied", "release", "run", "operator", "title")
    words = [
        [head.upper() for head in heads],
        *([printable(getattr(row, head)) or "-" for head in heads] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in words]
