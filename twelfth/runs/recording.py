"""Record a run in the ledger while its container is created, and its end."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.errors import JobRunningError, TwelfthError
from twelfth.model.job import QUEUE
from twelfth.model.record import CREATED, NOT_STARTED, UNKNOWN, of_request, of_run
from twelfth.model.run import SCHEDULE
from twelfth.runs.concurrency import admit
from twelfth.runs.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from twelfth.engines.contract import Engine, Session
    from twelfth.model.record import Record
    from twelfth.model.run import Run, RunRequest
    from twelfth.runs.notifications import Retry

KEPT = 50
"""Ended runs whose output is kept at least, and failed ones."""

PRUNING = 8
"""One in N runs removes old output: it takes as long as a fifth of a short run."""

SECONDS_TO_NOTIFY = 1.0
"""The time by which notifications may delay the exit."""


@dataclass
class Recording:
    """A run that is being recorded.

    `ready` is to be called when the run is created and not started: it raises `EngineError` if the record cannot be
    written, `JobRunningError` if another run of the job is running. For a run that need not be recorded, it only
    warns. `session` is to be set when the run has started with a client.
    """

    ready: Callable[[], None]
    session: Session | None = None


@contextlib.contextmanager
def recorded(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> Iterator[Recording]:
    """Write the record of a run in the meantime, and its end when the block is done; report the end if declared."""
    ledger, record = Ledger(engine.state), of_request(request, engine.name, datetime.now(UTC))
    pool = ThreadPoolExecutor(1)
    written = pool.submit(ledger.start, record)
    pool.shutdown(wait=False)

    def ready() -> None:
        _wait(written, request, say)
        admit(engine, request)

    recording = Recording(ready)
    retry = None if request.trigger == SCHEDULE else _retry(engine)  # the scheduler makes the attempts that are due
    error: BaseException | None = None
    try:
        yield recording
    except BaseException as failure:
        error = failure
        if isinstance(failure, JobRunningError) and request.concurrency == QUEUE:
            record = replace(record, notify="")  # the start is repeated when its turn comes
        raise
    finally:
        latest = time.monotonic() + SECONDS_TO_NOTIFY
        _finish(engine, record, recording.session, error, say)
        if retry:
            retry.finish(say, latest - time.monotonic())


def _retry(engine: Engine) -> Retry | None:
    """Start to send the notifications that are due; without `notify` in the Compose file, import nothing."""
    if not engine.stack.notifications:
        return None
    from twelfth.runs.notifications import Retry

    return Retry(engine)


def _wait(written: Future[None], request: RunRequest, say: Callable[[str], None]) -> None:
    try:
        written.result()
    except TwelfthError as error:
        if request.must_be_recorded:
            raise type(error)(f"cannot start the run, since it cannot be recorded: {error}") from error
        say(f"this run is not recorded: {error}")


def _finish(
    engine: Engine, record: Record, session: Session | None, error: BaseException | None, say: Callable[[str], None]
) -> None:
    """Record the end if the run has ended, and report it; on an error, a later reader completes the record."""
    with contextlib.suppress(TwelfthError):
        run = next(iter(engine.runs.records([record.id])), None)
        end = _end(record, run, session, error)
        if end and end.is_reported:
            from twelfth.runs.notifications import end_and_deliver

            end_and_deliver(engine, end, say)
        elif end and end.exit_code is None:
            Ledger(engine.state).end([end])
        elif end:
            Ledger(engine.state).send_end([end])


def _end(record: Record, run: Run | None, session: Session | None, error: BaseException | None) -> Record | None:
    """Return the end as the engine knows it, else as the client saw it: a container can be removed before."""
    if run and run.exit_code is not None:
        return of_run(run)
    if session and session.exit_code is not None:
        state = "failed" if session.exit_code else "done"
        return replace(record.ended(state, datetime.now(UTC)), exit_code=session.exit_code)
    if run or not error:
        return None
    line = str(error).partition("\n")[0] or type(error).__name__
    return record.ended(UNKNOWN if session else NOT_STARTED, datetime.now(UTC), line)


def prune(engine: Engine, run_id: str) -> None:
    """Remove the output of old runs, once in a while, after completing their records; none if that fails."""
    if int(run_id, 16) % PRUNING == 0:
        remove_old_output(engine)


def remove_old_output(engine: Engine) -> None:
    """Remove the output of all but the last runs after completing their records; none if that fails."""
    with contextlib.suppress(TwelfthError):  # must not change the run's exit code
        engine.runs.prune(KEPT, lambda runs: complete(engine, runs))


def complete(engine: Engine, runs: Iterable[Run]) -> None:
    """Complete the records of runs whose containers are about to be removed; raises `EngineError`."""
    records = map(of_run, runs)
    Ledger(engine.state).complete(
        replace(record, state=NOT_STARTED) if record.state == CREATED else record for record in records
    )
