"""Let only one run of a job run at a time, without a lock that a killed client would leave behind.

A run is created first, then it looks for others of its job. Of two runs that both see each other created, the one that
was created first waits until the other one has started or is gone, and that one gives up. So at least one of the two
knows of the other before it starts, whenever the engine makes them visible, and not both give up.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from twelfth.errors import JobRunningError
from twelfth.model.job import QUEUE
from twelfth.model.record import CREATED
from twelfth.runs.history import STARTED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import Replica

    Say = Callable[[str], None]

LOST = "lost"
"""The state of a run whose machine failed."""

LOOK_EVERY = 0.05
"""Seconds between checks of a run that is about to start."""

WAIT_EVERY = 0.5
"""Seconds between checks of a run that is running."""

T = TypeVar("T")


def in_turn(
    engine: Engine,
    request: RunRequest,
    say: Say,
    start: Callable[[RunRequest], T],
    source: Callable[[], Replica] | None = None,
) -> T:
    """Call `start` with the request; for a job that queues its runs, when no other one is running.

    After a wait, the run is made from what `source` returns: a deploy may have replaced the replica of the request.
    """
    has_waited = False
    while True:
        if request.concurrency == QUEUE:
            has_waited = _wait(engine, request, say) or has_waited
        if has_waited and source:
            request = replace(request, replica=source())
        try:
            return start(request)
        except JobRunningError:
            if request.concurrency != QUEUE:
                raise
            has_waited = True


def admit(engine: Engine, request: RunRequest) -> None:
    """Return when the run, which is created, may be started; raises `JobRunningError` if another one is running."""
    began = time.monotonic()
    while request.concurrency:
        runs = {run.id: run for run in engine.runs.records() if run.job == request.job}
        created = runs.pop(request.id, None)
        now = _time(created.started) + timedelta(seconds=time.monotonic() - began) if created else datetime.now(UTC)
        others = unfinished(runs.values(), now)
        if first := blocking(created, others):
            does = "is about to start" if first.state == CREATED else "is still running"
            why = f"run {first.id} of {first.operator} {does}"
            raise JobRunningError(f"cannot start {request.job}: {why}. Try: invoke history {first.id}")
        if not others:
            return
        time.sleep(LOOK_EVERY)


def unfinished(runs: Iterable[Run], now: datetime) -> list[Run]:
    """Return the runs that are running, or about to be started, as far as is known."""
    possible = (run for run in runs if run.exit_code is None and run.state != LOST)
    return [run for run in possible if run.state != CREATED or now - _time(run.started) < STARTED_WITHIN]


def blocking(created: Run | None, others: Iterable[Run]) -> Run | None:
    """Return the run because of which a created one is not started; None if there is none, or if it may give up."""
    earlier = [run for run in others if run.state != CREATED or created is None or _order(run) < _order(created)]
    return min(earlier, key=lambda run: (run.state == CREATED, _order(run)), default=None)


def _wait(engine: Engine, request: RunRequest, say: Say) -> bool:
    """Wait until no other run of the job is running, and return whether there was one."""
    is_shown = False
    while runs := unfinished((run for run in engine.runs.records() if run.job == request.job), datetime.now(UTC)):
        if not is_shown:
            say(f"waiting for run {runs[0].id} of {request.job}, which {runs[0].operator} started")
            is_shown = True
        time.sleep(WAIT_EVERY)
    return is_shown


def _order(run: Run) -> tuple[datetime, str]:
    return _time(run.started), run.id


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
