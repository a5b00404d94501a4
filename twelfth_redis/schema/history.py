"""The record of what was applied to the data, and whether it goes together with the migrations of this release."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import redis

from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import UNFINISHED
from twelfth_redis.schema.migration import load
from twelfth_redis.schema.revisions import HISTORY, required

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.client import Pipeline

    from twelfth_redis.schema.migration import Migration


@dataclass(frozen=True)
class Applied:
    """One revision of the data; `applied` is ISO 8601 in UTC, and `down` means that it is (being) taken back."""

    revision: str
    title: str = ""
    checksum: str = ""
    applied: str = ""
    release: str = ""
    run: str = ""
    operator: str = ""
    baseline: bool = False
    contract: bool = False
    down: bool = False
    why: str = ""
    """Why it is unfinished, where Redis refused one of its commands."""


@dataclass(frozen=True)
class Past:
    """What was done to the data, by revision, and what was left unfinished."""

    applied: Mapping[str, Applied]
    unfinished: Applied | None = None

    @property
    def revision(self) -> str:
        """Return the highest revision that was applied, "" where there is none."""
        return max(self.applied, default="")


def read(client: redis.Redis) -> Past:
    """Return what was done to the data; raises RefusedError where its record is garbled."""
    try:
        held = client.hgetall(HISTORY)
        begun = client.get(UNFINISHED)
        applied = {_text(field): _record(value) for field, value in held.items()}
        return Past(dict(sorted(applied.items())), _record(begun) if begun is not None else None)
    except (redis.ResponseError, ValueError, TypeError, AttributeError) as error:
        raise RefusedError(
            f"the keys {HISTORY} and {UNFINISHED} hold no record of ours ({error}); mend them"
        ) from error


def _record(value: bytes | str) -> Applied:
    """Return a record; what a newer release may have added to it is left out."""
    known = {each.name for each in fields(Applied)}
    return Applied(**{name: held for name, held in json.loads(value).items() if name in known})


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def write(pipeline: Pipeline, done: Applied) -> None:
    """Queue the record of a migration that was applied, or taken back, and is finished."""
    pipeline.delete(UNFINISHED)
    if done.down:
        pipeline.hdel(HISTORY, done.revision)
    else:
        pipeline.hset(HISTORY, done.revision, json.dumps(asdict(done)))


def begin(pipeline: Pipeline, begun: Applied) -> None:
    """Queue the record of a migration that will take many steps."""
    pipeline.set(UNFINISHED, json.dumps(asdict(begun)))


def problems(
    known: Sequence[Migration], past: Past, release: str, *, ahead: bool = False, to: str = ""
) -> tuple[str, ...]:
    """Return each reason why this release must not migrate this data, to a revision if one is named.

    With `ahead`, newer data that only grew is none.
    """
    ours = {each.revision: each for each in known}
    return (
        *_edited(ours, past),
        *(_contracted if ahead else _unknown)(ours, past),
        *_skipped(ours, past, to),
        *_abandoned(ours, past, release),
    )


def _edited(ours: Mapping[str, Migration], past: Past) -> tuple[str, ...]:
    return tuple(
        f"{revision} was edited after it was applied ({done.applied}, release {done.release or 'unknown'}); "
        "put it back as it was, and make the change a new revision"
        for revision, done in past.applied.items()
        if revision in ours and ours[revision].checksum != done.checksum
    )


def _unknown(ours: Mapping[str, Migration], past: Past) -> tuple[str, ...]:
    return tuple(
        f"the data is ahead: {revision} ({done.title}) was applied by release {done.release or 'unknown'} and is "
        f"unknown to this one; take it back with that one: invoke migrate --to {_before(revision)} "
        f"--release {done.release or 'ID'}"
        for revision, done in past.applied.items()
        if revision not in ours
    )


def _contracted(ours: Mapping[str, Migration], past: Past) -> tuple[str, ...]:
    return tuple(
        f"the data is ahead: {revision} ({done.title}) took away what this release needs; bring up "
        f"release {done.release or 'that did it'}, or restore a backup"
        for revision, done in past.applied.items()
        if revision not in ours and done.contract
    )


def _skipped(ours: Mapping[str, Migration], past: Past, to: str) -> tuple[str, ...]:
    return tuple(
        f"{revision} was not applied, but {past.revision} was; in order: invoke migrate --to {_before(revision)}"
        for revision in ours
        if revision not in past.applied and revision < past.revision and (not to or to >= revision)
    )


def _abandoned(ours: Mapping[str, Migration], past: Past, release: str) -> tuple[str, ...]:
    begun = past.unfinished
    if begun is None:
        return ()
    by = f"release {begun.release or 'unknown'}, run {begun.run or 'unknown'}"
    left = f"{begun.revision} ({begun.title}) was left unfinished by {by}{begun.why and f': {begun.why}'}"
    if begun.revision not in ours:
        return (
            f"{left}, and is unknown to this one; finish it there: invoke migrate --release {begun.release or 'ID'}",
        )
    if not begun.release or not release or begun.release == release:
        return ()
    here = f"or with this one: invoke migrate --release {release} --take-over"
    return (f"{left}; finish it there: invoke migrate --release {begun.release}, {here}",)


def _before(revision: str) -> str:
    return f"{int(revision) - 1:04}" if revision.isdecimal() else "0000"


def lacking(client: redis.Redis) -> tuple[str, ...]:
    """Return the revisions of this release that the data of a database does not have."""
    done = read(client).applied
    return tuple(revision for revision in required() if revision not in done)


def refusal(client: redis.Redis) -> str:
    """Return why this release cannot work with the data of a database, or an empty string."""
    return next(iter(problems(load(), read(client), os.environ.get("TWELFTH_RELEASE", ""))), "")


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


def states(known: Sequence[Migration], past: Past) -> tuple[State, ...]:
    """Return every revision that the data or this release has, in order."""
    ours = {each.revision: each for each in known}
    names = sorted(ours.keys() | past.applied.keys() | ({past.unfinished.revision} if past.unfinished else set()))
    return tuple(_state(name, ours.get(name), past) for name in names)


def _state(revision: str, ours: Migration | None, past: Past) -> State:
    begun = past.unfinished if past.unfinished and past.unfinished.revision == revision else None
    done = begun or past.applied.get(revision)
    title = ours.title if ours else done.title if done else ""
    if done is None:
        return State(revision, title, "pending", checksum=ours.checksum if ours else "")
    word = "unfinished" if begun else _word(ours, done)
    return State(revision, title, word, done.applied, done.release, done.run, done.operator, done.checksum)


def _word(ours: Migration | None, done: Applied) -> str:
    if ours is None:
        return "unknown"
    if ours.checksum != done.checksum:
        return "edited"
    return "marked" if done.baseline else "applied"


def table(rows: Sequence[State]) -> list[str]:
    """Return the states as lines for people, in columns as wide as they need to be."""
    heads = ("REVISION", "STATE", "APPLIED", "RELEASE", "RUN", "OPERATOR", "TITLE")
    cells = [(s.revision, s.state, s.applied, s.release, s.run, s.operator, s.title) for s in rows]
    words = [heads, *(tuple(cell or "-" for cell in row) for row in cells)] if rows else []
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in words]
