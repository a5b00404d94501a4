"""Find a run by its id, wait for it, stop it, show its output."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError
from twelfth.runs import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from twelfth.engines.contract import Runs
    from twelfth.model.run import Run, RunRequest

ASK_EVERY = 0.1
"""Seconds between reads of the record of a run, while waiting for it."""

TIMED_OUT = 124
"""The exit code of a run that reached its time limit; a command may also exit with it by itself."""


def find_run(runs: Runs, prefix: str) -> Run:
    """Return the run whose id starts with the prefix; raises `MisuseError` if none or several do."""
    matches = [run for run in runs.records() if run.id.startswith(prefix)]
    if len(matches) == 1 and prefix:
        return matches[0]
    if not matches or not prefix:
        why = f"no id starts with {prefix}" if prefix else "no id was given"
        raise MisuseError(f"cannot find the run: {why}. Try: invoke history")
    ids = ", ".join(run.id for run in matches)
    raise MisuseError(f"cannot find the run: {len(matches)} ids start with {prefix} ({ids}). Try: invoke history")


def timed_out(runs: Runs, request: RunRequest, code: int) -> bool:
    """Return whether a run exited with this code because of its time limit."""
    return bool(request.timeout) and code == TIMED_OUT and find_run(runs, request.id).state == "timeout"


def wait_for_run(runs: Runs, identity: str) -> int:
    """Wait for a run and return its exit code; raises `EngineError` if that is unknown."""
    while (run := find_run(runs, identity)).is_running:
        time.sleep(ASK_EVERY)
    if run.exit_code is None:
        raise EngineError(f"cannot wait for run {run.id}: it is {run.state}. Try: invoke history")
    return run.exit_code


def stop_run(runs: Runs, prefix: str, say: Callable[[str], None]) -> Run:
    """Stop a run, report the wait, and return its record; raises `MisuseError` if the run is not running."""
    run = find_run(runs, prefix)
    if not run.is_running:
        code = "" if run.exit_code is None else f", exit code {run.exit_code}"
        raise MisuseError(f"cannot stop run {run.id}: it is not running ({run.state}{code}). Try: invoke history")
    runs.stop(run.id, say)
    return find_run(runs, run.id)


def write_output(
    runs: Runs, prefix: str, *, follow: bool, last: int | None = None, since: datetime | None = None
) -> None:
    """Write the output of a run to standard output and standard error; see `Runs.output`."""
    for stream, data in runs.output(find_run(runs, prefix).id, follow=follow, last=last, since=since):
        descriptors.write(stream, data)
