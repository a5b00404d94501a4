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
    """The state of the data: its revision, the state of each revision, problems that prevent migrating, and a hint.

    `unfinished` is the record of a migration that was started and not finished.
    """

    revision: str
    migrations: tuple[State, ...]
    problems: tuple[str, ...]
    hint: str
    unfinished: Applied | None = None


def status(migrations: Sequence[Migration], history: History, release: str) -> Status:
    """Return the state of the data for a release."""
    reasons, left = problems(migrations, history, release), history.unfinished
    hint = "" if reasons or not left else _hint(left, release)
    return Status(history.revision, states(migrations, history), reasons, hint, left)


def _hint(left: Applied, release: str) -> str:
    # If it failed, the same migration would probably fail again: abandoning it comes first.
    abandon = abandon_command(left, release)
    then = f"{abandon}, or invoke migrate to try again" if left.why else f"invoke migrate, or {abandon}"
    return f"{left_unfinished(left)}. Try: {then}"


def states(migrations: Sequence[Migration], history: History) -> tuple[State, ...]:
    """Return every revision that is in the data or in this release, in order."""
    known = {migration.revision: migration for migration in migrations}
    left = history.unfinished
    records = dict(history.applied) | ({left.revision: left} if left else {})
    return tuple(
        _state(relation(migrations, history, done), done, is_unfinished=done is left)
        if (done := records.get(revision))
        else State(revision, known[revision].title, "pending", checksum=known[revision].checksum)
        for revision in sorted(known.keys() | records.keys())
    )


def _state(relation: Relation, done: Applied, *, is_unfinished: bool) -> State:
    state = "marked" if done.baseline else "applied"
    if is_unfinished:
        state = "unfinished"
    elif relation.kind != Kind.SAME:
        state = str(relation.kind)
    title = relation.known.title if relation.known and relation.kind in {Kind.SAME, Kind.EDITED} else done.title
    return State(done.revision, title, state, done.applied, done.release, done.run, done.operator, done.checksum)


def table(rows: Sequence[State]) -> list[str]:
    """Return the states as a table, one line each; no lines if there is no state."""
    if not rows:
        return []
    columns = ("revision", "state", "applied", "release", "run", "operator", "title")
    cells = [
        [head.upper() for head in columns],
        *([printable(getattr(row, head)) or "-" for head in columns] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in cells]
