"""Find a run by its id, wait for it, stop it, show its output."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError, NoLogError, TwelfthError
from twelfth.model.record import CREATED, of_run
from twelfth.runs import descriptors
from twelfth.runs.history import find_record
from twelfth.runs.ledger import Ledger
from twelfth.runs.recording import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from twelfth.engines.contract import Engine
    from twelfth.model.record import Record
    from twelfth.model.run import RunRequest

ASK_EVERY = 0.1
ASK_AT_LEAST_EVERY = 1.0
"""Seconds between reads of the record of a run while waiting for it: first, and after some time."""

TIMED_OUT = 124
"""The exit code of a run that reached its time limit; a command may also exit with it by itself."""


def find_run(engine: Engine, prefix: str) -> Record:
    """Return the run whose id starts with the prefix; raises `MisuseError` if none or several do.

    The ledger is read only if the engine has no such run.
    """
    ids = [run_id for run_id in engine.runs.ids() if prefix and run_id.startswith(prefix)]
    runs = engine.runs.records(ids) if len(ids) == 1 else ()
    if runs and runs[0].state != CREATED:
        return replace(of_run(runs[0]), has_output=not runs[0].discards_output)
    record = find_record(engine, prefix)
    if not record.is_run:
        raise MisuseError(f"{record.id} is the record of {record.kind}, not of a run. Try: invoke history {record.id}")
    return record


def timed_out(engine: Engine, request: RunRequest, code: int) -> bool:
    """Return whether a run exited with this code because of its time limit."""
    is_possible = bool(request.timeout) and code == TIMED_OUT
    return is_possible and any(run.state == "timeout" for run in engine.runs.records([request.id]))


def wait_for_run(engine: Engine, run_id: str) -> int:
    """Wait for a run and return its exit code; raises `EngineError` if that is unknown."""
    run = wait_for_end(engine, run_id)
    if run.exit_code is None:
        raise EngineError(f"the exit code of run {run.id} is unknown: it is {run.state}. Try: invoke history {run.id}")
    return run.exit_code


def wait_for_end(engine: Engine, prefix: str) -> Record:
    """Wait for a run and return its record, which is read less often the longer the run takes."""
    run, pause = find_run(engine, prefix), ASK_EVERY
    while run.is_running or run.state == CREATED:  # it may be about to start
        time.sleep(pause)
        pause = min(pause * 1.2, ASK_AT_LEAST_EVERY)
        run = find_run(engine, run.id)
    return run


def running_run(engine: Engine, prefix: str) -> Record:
    """Return the run to stop; raises `MisuseError` if it is not running."""
    run = find_run(engine, prefix)
    if not run.is_running:
        code = "" if run.exit_code is None else f", exit code {run.exit_code}"
        raise MisuseError(f"cannot stop run {run.id}: it is not running ({run.state}{code}). Try: invoke history")
    return run


def stop(engine: Engine, run_id: str, say: Callable[[str], None]) -> Record:
    """Stop a running run, report the wait, complete its record in the ledger, and return that."""
    engine.runs.stop(run_id, say)
    record = find_run(engine, run_id)
    with contextlib.suppress(TwelfthError):  # a later reader completes it
        Ledger(engine.state).end([record])
    return record


def write_output(
    engine: Engine, prefix: str, *, follow: bool, last: int | None = None, since: datetime | None = None
) -> None:
    """Write the output of a run to standard output and standard error; see `Runs.output`."""
    run = find_run(engine, prefix)
    if run.discards_output:
        raise NoLogError(f"run {run.id} was started without keeping its output. Try: invoke history {run.id}")
    if not run.has_output:
        why = f"only that of the last {KEPT} runs is kept, and of failed ones, unless containers were pruned"
        raise NoLogError(f"the output of run {run.id} was removed: {why}. Try: invoke history {run.id}")
    for stream, data in engine.runs.output(run.id, follow=follow, last=last, since=since):
        descriptors.write(stream, data)
