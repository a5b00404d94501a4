"""What was done to a stack: its ledger, completed with what the engine knows of the latest runs."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError, NoRecordError, TwelfthError
from twelfth.model.record import CREATED, NOT_STARTED, RUNNING, UNKNOWN, of_run
from twelfth.model.run import SCHEDULE
from twelfth.runs.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from twelfth.engines.contract import Engine
    from twelfth.model.record import Delivery, Record
    from twelfth.model.run import Run

STARTED_WITHIN = timedelta(seconds=60)
"""The time after which a client no longer starts a run whose start it has recorded."""

WAITS = timedelta(days=1)
"""The time for which a fire may wait for its turn or a deploy; its scheduler completes the record."""

SEARCHED_PAGES = 10
"""Directories of the ledger in which the last run of a job is searched for."""


@dataclass(frozen=True)
class Query:
    """Which records to return: the `last` ones, None for all; of this time or later; only those that have failed."""

    last: int | None = None
    since: datetime | None = None
    failed: bool = False

    def matching(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that match, the oldest first."""
        matches = [record for record in records if record.has_failed or not self.failed]
        matches = [record for record in matches if self.since is None or record.moment >= self.since]
        matches.sort(key=lambda record: record.moment)
        return matches if self.last is None else matches[max(0, len(matches) - self.last) :]

    def is_complete(self, records: Mapping[str, Record], started: Collection[str]) -> bool:
        """Return whether earlier directories of the ledger cannot have other records that match."""
        latest = [records[name] for name in started if name in records]
        is_before = self.since is not None and any(record.moment < self.since for record in latest)
        return is_before or (self.last is not None and len(self.matching(latest)) >= self.last)


def history(engine: Engine, query: Query) -> list[Record]:
    """Return the matching records, the oldest first; complete those in the ledger whose runs have ended."""
    return query.matching(_read(engine, query.is_complete))


def records_since(engine: Engine, moment: datetime) -> list[Record]:
    """Return the records of this time or later, and earlier ones that are stored with them."""
    return _read(engine, Query(since=moment).is_complete)


def find_record(engine: Engine, prefix: str) -> Record:
    """Return the latest record whose id starts with the prefix; raises `MisuseError` if there is none, or several."""

    def is_complete(records: Mapping[str, Record], _: Collection[str]) -> bool:
        return any(name.startswith(prefix) for name in records)

    matches = [record for record in _read(engine, is_complete) if record.id.startswith(prefix)] if prefix else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(record.id for record in Query().matching(matches))
        why = f"{len(matches)} ids start with {prefix} ({ids})"
        raise MisuseError(f"cannot find the record: {why}. Try: invoke history")
    why = f"no id starts with {prefix}" if prefix else "no id was given"
    raise NoRecordError(f"cannot find the record: {why}. Try: invoke history")


def latest_of_jobs(engine: Engine, names: set[str]) -> dict[str, Record]:
    """Return the last record of each job, if it is among the latest records."""
    pages = itertools.count(1)

    def is_complete(records: Mapping[str, Record], _: Collection[str]) -> bool:
        return names <= {record.job for record in records.values()} or next(pages) == SEARCHED_PAGES

    records = Query().matching(_read(engine, is_complete))
    return {record.job: record for record in records if record.job in names}


def _read(engine: Engine, is_complete: Callable[[Mapping[str, Record], Collection[str]], bool]) -> list[Record]:
    """Return the records of the latest pages of the ledger, until that is enough, and of all runs of the engine."""
    ledger, started = Ledger(engine.state), set[str]()
    records: dict[str, Record] = {}
    notified: dict[str, Delivery] = {}
    for page in ledger.pages():
        unfinished = {name for name in page.records.keys() & records if not records[name].has_ended}
        records = {**page.records, **records, **{name: page.records[name] for name in unfinished}}
        started |= page.started
        notified = {**page.notified, **notified}
        if is_complete(records, started):
            break
    ids = engine.runs.ids()
    runs = {run.id: run for run in engine.runs.records(ids - {name for name in records if records[name].is_final})}
    current = _with_runs(records, runs, datetime.now(UTC))
    with contextlib.suppress(TwelfthError):  # another reader will try it again
        ledger.end(run for name, run in current.items() if run.exit_code is not None and _can_change(records.get(name)))
    current = _with_changes(current, lambda: engine.state.holder() is not None)
    return [
        replace(
            record,
            has_output=record.id in ids and not record.discards_output,
            notified=notified.get(record.id),
        )
        for record in current.values()
    ]


def _with_runs(records: Mapping[str, Record], runs: Mapping[str, Run], now: datetime) -> dict[str, Record]:
    """Return the records with what the engine knows of their runs, also of those that an older version started.

    A run that seems not to have been started is not stored as such: its client may be slow, or a clock be wrong.
    """
    current = {**records, **{name: of_run(run) for name, run in runs.items()}}
    for name, record in current.items():
        limit = WAITS if record.trigger == SCHEDULE and name not in runs else STARTED_WITHIN
        if record.state == CREATED and now - record.moment > limit:
            current[name] = replace(record, state=NOT_STARTED if name in runs else UNKNOWN)
    return current


def _can_change(record: Record | None) -> bool:
    return record is not None and not record.is_final


def _with_changes(records: dict[str, Record], is_locked: Callable[[], bool]) -> dict[str, Record]:
    """Return the records with the states of changes whose end is not recorded: only the last one can be in progress."""
    unfinished = [record for record in records.values() if not record.is_run and not record.has_ended]
    current = max(unfinished, key=lambda record: record.moment, default=None)
    for record in unfinished:
        is_current = record is current and is_locked()
        records[record.id] = replace(record, state=RUNNING if is_current else UNKNOWN)
    return records
