"""Whether the migrations of a release and what was applied to the data go together; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twelfth_redis.schema.history import History
    from twelfth_redis.schema.migration import Migration


def pending(revisions: Iterable[str], applied: Iterable[str]) -> tuple[str, ...]:
    """Return the revisions that were not applied."""
    done = frozenset(applied)
    return tuple(revision for revision in revisions if revision not in done)


def problems(
    migrations: Sequence[Migration], history: History, release: str, *, allow_newer: bool = False, to: str = ""
) -> tuple[str, ...]:
    """Return each reason why this release must not migrate this data, to a revision if one is named.

    With `allow_newer`, newer data that only grew is none.
    """
    known = {migration.revision: migration for migration in migrations}
    return (
        *_edited(known, history),
        *(_contracted if allow_newer else _unknown)(known, history),
        *_skipped(known, history, to),
        *_unfinished(known, history, release),
    )


def _edited(known: Mapping[str, Migration], history: History) -> tuple[str, ...]:
    return tuple(
        f"{revision} was edited after it was applied ({done.applied}, release {done.release or 'unknown'}); "
        "put it back as it was, and make the change a new revision"
        for revision, done in history.applied.items()
        if revision in known and not known[revision].is_of(done.checksum)
    )


def _unknown(known: Mapping[str, Migration], history: History) -> tuple[str, ...]:
    return tuple(
        f"the data is ahead: {revision} ({done.title}) was applied by release {done.release or 'unknown'} and is "
        f"unknown to this one; take it back with that one: invoke migrate --to {_before(revision)} "
        f"--release {done.release or 'ID'}"
        for revision, done in history.applied.items()
        if revision not in known
    )


def _contracted(known: Mapping[str, Migration], history: History) -> tuple[str, ...]:
    return tuple(
        f"the data is ahead: {revision} ({done.title}) took away what this release needs; bring up "
        f"release {done.release or 'that did it'}, or restore a backup"
        for revision, done in history.applied.items()
        if revision not in known and done.contract
    )


def _skipped(known: Mapping[str, Migration], history: History, to: str) -> tuple[str, ...]:
    return tuple(
        f"{revision} was not applied, but {history.revision} was; in order: invoke migrate --to {_before(revision)}"
        for revision in known
        if revision not in history.applied and revision < history.revision and (not to or to >= revision)
    )


def _unfinished(known: Mapping[str, Migration], history: History, release: str) -> tuple[str, ...]:
    left = history.unfinished
    if left is None:
        return ()
    by = f"release {left.release or 'unknown'}, run {left.run or 'unknown'}"
    why = f"{left.revision} ({left.title}) was left unfinished by {by}{left.why and f': {left.why}'}"
    if left.revision not in known:
        return (f"{why}, and is unknown to this one; finish it there: invoke migrate --release {left.release or 'ID'}",)
    if not left.release or not release or left.release == release:
        return ()
    here = f"or with this one: invoke migrate --release {release} --take-over"
    return (f"{why}; finish it there: invoke migrate --release {left.release}, {here}",)


def _before(revision: str) -> str:
    return f"{int(revision) - 1:04}" if revision.isdecimal() else "0000"
