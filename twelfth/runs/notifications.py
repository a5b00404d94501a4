"""Report the ends of runs and changes, at least once: `notify` in the Compose file.

A record contains whether its end is reported. An attempt is written to the ledger before it is made, the first one
together with the end, so that a second process does not make it, too, and a killed one is followed by the next attempt.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.errors import TwelfthError
from twelfth.model.record import UNKNOWN, Delivery
from twelfth.model.run import SCHEDULE
from twelfth.runs import receivers
from twelfth.runs.history import records_since
from twelfth.runs.ledger import Ledger
from twelfth.runs.notification_content import content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twelfth.engines.contract import Engine
    from twelfth.model.record import Record
    from twelfth.model.stack import Stack

    Say = Callable[[str], None]
    Outcomes = queue.SimpleQueue[tuple[str, str | None]]

SECONDS = 1.0
"""The time for which a command waits for receivers."""

PERIOD = timedelta(days=2)
"""The age of the oldest records that are searched for notifications, longer than all pauses between attempts."""

SETTLED = timedelta(seconds=5)
"""The time in which the process that saw an end makes the first attempt; others leave it to that process."""

AT_ONCE = 10
"""Notifications that are sent at the same time; others wait for the next command."""

KILLED_WITHIN = 0.1
"""Seconds until a command that took too long is killed."""


def deliver_due(
    engine: Engine,
    now: datetime,
    say: Say = lambda _: None,
    *,
    seconds: float = SECONDS,
    settled: timedelta = SETTLED,
) -> None:
    """Make the attempts that are due, for at most this many seconds; completes records as `history` does.

    The first attempt for an end is made only if it is at least `settled` ago. `say` is called with a warning about
    first and last attempts that fail. Raises no `TwelfthError`: what is not delivered is tried again.
    """
    if not engine.stack.notifications:
        return
    with contextlib.suppress(TwelfthError):
        records = records_since(engine, now - PERIOD)
        due = [record for record in records if record.must_be_reported(now, settled) and not _may_be_waiting(record)]
        due.sort(key=lambda record: record.moment)
        attempted = [record.attempted(now) for record in due[:AT_ONCE]]
        Ledger(engine.state).notify(attempted)
        _deliver(engine, attempted, say, seconds)


def _may_be_waiting(record: Record) -> bool:
    # A fire is recorded when it is due, before it waits for its turn or a deploy; its scheduler completes the record.
    return (record.trigger, record.state, record.notified) == (SCHEDULE, UNKNOWN, None)


def end_and_deliver(engine: Engine, record: Record, say: Say) -> None:
    """Write a complete record, then make the first attempt; `say` is called with a warning if it fails."""
    attempted = record.attempted(datetime.now(UTC))
    with contextlib.suppress(TwelfthError):
        Ledger(engine.state).end_and_notify(attempted)
    with contextlib.suppress(TwelfthError):
        _deliver(engine, [attempted], say, SECONDS)


class Retry:
    """Attempts that are due, made while a run is running."""

    def __init__(self, engine: Engine) -> None:
        """Start the attempts."""
        self._lines: list[str] = []
        now = datetime.now(UTC)
        self._thread = _in_thread(deliver_due, engine, now, self._lines.append)

    def finish(self, say: Say, seconds: float) -> None:
        """Wait for them for at most this many seconds, and pass on the warnings."""
        with contextlib.suppress(KeyboardInterrupt):  # the run has exited, so its exit code is the one to return
            self._thread.join(max(0, seconds))
        for line in self._lines:
            say(line)


def _deliver(engine: Engine, records: Sequence[Record], say: Say, seconds: float) -> None:
    """Send notifications, record which were delivered, and warn of others; raises `TwelfthError`.

    Threads send them, since a receiver that sends single bytes would exceed each time limit of a connection. After
    the time limit they are abandoned.
    """
    if not records:
        return
    outcomes: Outcomes = queue.SimpleQueue()
    deadline = time.monotonic() + seconds
    _in_thread(_send_all, engine, records, deadline, outcomes)
    failures: dict[str, str | None] = {record.id: f"it {receivers.LATE}" for record in records}
    with contextlib.suppress(queue.Empty, KeyboardInterrupt):
        for _ in records:
            run_id, failure = outcomes.get(timeout=max(0, deadline + KILLED_WITHIN - time.monotonic()))
            failures[run_id] = failure
    now = datetime.now(UTC).isoformat()
    ledger = Ledger(engine.state)
    ledger.notify(_done(record, failures[record.id], now) for record in records if not failures[record.id])
    failed = [(record, failure) for record in records if (failure := failures[record.id])]
    if line := warning([record for record, _ in failed], failed[0][1] if failed else ""):
        say(line)


def _done(record: Record, failure: str | None, now: str) -> Record:
    """Return the record without a further attempt; `failure` is None if it no longer has a receiver."""
    attempts = record.notified.attempts if record.notified else 0
    return replace(record, notified=Delivery(attempts, delivered="" if failure is None else now))


def warning(records: Sequence[Record], why: str) -> str:
    """Return a line about the first or last attempts that failed, "" if there are none."""
    last = [record for record in records if record.notified and record.notified.is_last]
    first = [record for record in records if record.notified and record.notified.attempts == 1]
    if not (named := last or first):
        return ""
    names = ", ".join(f"{record.kind} {record.id}" for record in named)
    rest = "it was the last attempt" if last else "it is sent again later"
    return f"the notification of {names} was not delivered: {why}; {rest}"


def _send_all(engine: Engine, records: Sequence[Record], deadline: float, outcomes: Outcomes) -> None:
    try:
        stack = _declared(engine.stack)
    except TwelfthError as error:
        for record in records:
            outcomes.put((record.id, str(error).partition("\n")[0]))
        return
    for record in records:
        _in_thread(_send, engine, stack, record, deadline, outcomes)


def _send(engine: Engine, stack: Stack, record: Record, deadline: float, outcomes: Outcomes) -> None:
    """Send one notification and pass on why that failed, "" if it was sent, None if it no longer has a receiver."""
    failure = None
    if notify := stack.notify_of(record.job):
        text = content(record, stack.project, _output(engine, record, notify.output))
        seconds = max(KILLED_WITHIN, deadline - time.monotonic())
        failure = receivers.send(notify, text, record.id, stack.directory, seconds)
    outcomes.put((record.id, failure))


def _output(engine: Engine, record: Record, lines: int) -> bytes | None:
    """Return the last lines of a run's output, None if none are requested or the output is not kept."""
    if not (lines and record.is_run):
        return None
    with contextlib.suppress(TwelfthError):
        return b"".join(data for _, data in engine.runs.output(record.id, follow=False, last=lines))
    return None


def _declared(stack: Stack) -> Stack:
    """Return the stack with the receivers of its notifications; its Compose file may have to be read for that."""
    if not stack.reported:
        return stack
    from twelfth.compose import cli, jobs, services

    configuration = cli.read(stack.directory, os.environ)
    names = services.names(configuration.model, configuration.files)
    return replace(names, jobs=jobs.jobs(configuration.model))


def _in_thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
