"""Record a run in the ledger while its container is created, and its end."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.errors import TwelfthError
from twelfth.model.record import NOT_STARTED, of_request, of_run
from twelfth.runs.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from twelfth.engines.contract import Engine
    from twelfth.model.record import Record
    from twelfth.model.run import Run, RunRequest

KEPT = 50
"""Ended runs whose output is kept, and failed ones."""


@contextlib.contextmanager
def recorded(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Write the record of a run in the meantime, and its end when the block is done.

    Yields a function to call before the run is started: it raises `EngineError` if the record cannot be written. For
    a run that need not be recorded, it only warns.
    """
    ledger, record = Ledger(engine.state), of_request(request, engine.name, datetime.now(UTC))
    pool = ThreadPoolExecutor(1)
    written = pool.submit(ledger.start, record)
    pool.shutdown(wait=False)
    error: BaseException | None = None
    try:
        yield lambda: _wait(written, request, say)
    except BaseException as failure:
        error = failure
        raise
    finally:
        _finish(engine, ledger, record, error)


def _wait(written: Future[None], request: RunRequest, say: Callable[[str], None]) -> None:
    try:
        written.result()
    except TwelfthError as error:
        if request.must_be_recorded:
            raise type(error)(f"cannot start the run, since it cannot be recorded: {error}") from error
        say(f"this run is not recorded: {error}")


def _finish(engine: Engine, ledger: Ledger, record: Record, error: BaseException | None) -> None:
    """Record the end if the run has ended, as the engine knows it; a later reader completes what fails here."""
    with contextlib.suppress(TwelfthError):
        end = _end(record, engine.runs.records([record.id]), error)
        if end and end.state == NOT_STARTED:
            ledger.end([end])
        elif end:
            ledger.send_end([end])


def prune(engine: Engine) -> None:
    """Remove the output of old runs after completing their records, in case no client saw their ends."""
    ledger = Ledger(engine.state)
    engine.runs.prune(KEPT, lambda removed: ledger.send_end(map(of_run, removed)))


def _end(record: Record, runs: Sequence[Run], error: BaseException | None) -> Record | None:
    if not runs and error:
        line = str(error).partition("\n")[0] or type(error).__name__
        return record.ended(NOT_STARTED, datetime.now(UTC), line)
    return next((of_run(run) for run in runs if run.exit_code is not None), None)
