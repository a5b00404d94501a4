"""Record a change to a stack in its ledger: up, rollback, scale, stop, start, restart, down or prune."""

from __future__ import annotations

import contextlib
import secrets
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.errors import TwelfthError
from twelfth.model.record import Record
from twelfth.operator_name import operator
from twelfth.runs.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica
    from twelfth.stack.report import Report
    from twelfth.stack.steps import Step

FREEING = {"down", "prune"}
"""Changes that are also made if they cannot be recorded: they free space on a full disk."""


@dataclass(frozen=True)
class Change:
    """A change: its kind, what it is done to, the replicas before it, and the release that runs after it."""

    kind: str
    what: str = ""
    before: tuple[Replica, ...] = ()
    release: str = ""

    def record(self, engine: str) -> Record:
        """Return the record of this change, which starts now."""
        return Record(
            id=secrets.token_hex(4),
            kind=self.kind,
            operator=operator(),
            engine=engine,
            started=datetime.now(UTC).isoformat(),
            host=socket.gethostname(),
            what=self.what,
            release_before=", ".join(sorted({replica.release for replica in self.before if replica.release})),
            release=self.release,
        )


@dataclass
class Changing:
    """A change in progress; a `release` that has to be pulled is known only after the start."""

    release: str


@contextlib.contextmanager
def recorded(engine: Engine, report: Report, change: Change, steps: Collection[Step]) -> Iterator[Changing]:
    """Record a change before its first step, and its end; nothing is recorded without steps.

    Raises `EngineError` if the start cannot be recorded; then nothing was changed.
    """
    changing = Changing(change.release)
    if not steps:
        yield changing
        return
    record = replace(change.record(engine.name), notify=engine.stack.notify_on())
    ledger = Ledger(engine.state)
    try:
        ledger.start(record)
    except TwelfthError as error:
        if change.kind not in FREEING:
            raise
        report.detail(f"this is not recorded: {error}")
    try:
        yield changing
    except BaseException as error:
        state = "failed" if isinstance(error, Exception) else "interrupted"
        record = replace(record, release=changing.release)
        _end(ledger, report, record.ended(state, datetime.now(UTC), str(error).partition("\n")[0]))
        raise
    record = replace(record, release=changing.release)
    _end(ledger, report, record.ended("done", datetime.now(UTC)))


def _end(ledger: Ledger, report: Report, record: Record) -> None:
    try:
        ledger.end([record])
    except TwelfthError as error:
        report.detail(f"the end is not recorded: {error}")
