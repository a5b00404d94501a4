"""Find a run by its id, stop it, show what it printed."""

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
"""The exit code of a run whose time was over, and of any that chooses it."""


def find_run(runs: Runs, prefix: str) -> Run:
    """Return the run whose id starts with the prefix; raises `MisuseError` if none or several do."""
    matches = [run for run in runs.records() if run.id.startswith(prefix)]
    if len(matches) == 1 and prefix:
        return matches[0]
    if not matches or not prefix:
        raise MisuseError(f"no run {prefix or 'is named'}; see: invoke history")
    raise MisuseError(f"{prefix} is short for {', '.join(run.id for run in matches)}; say which")


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
    """End a run and return its record; say what is waited for. Raises `MisuseError` for one that has ended already."""
    wanted = find_run(runs, prefix)
    if not wanted.is_running:
        code = "" if wanted.exit_code is None else f", exit code {wanted.exit_code}"
        raise MisuseError(f"cannot stop run {wanted.id}: it is not running ({wanted.state}{code}). Try: invoke history")
    runs.stop(wanted.id, say)
    return find_run(runs, wanted.id)


def write_output(
    runs: Runs, prefix: str, *, follow: bool, last: int | None = None, since: datetime | None = None
) -> None:
    """Write what a run printed to our own two outputs; see `Runs.output`."""
    for stream, data in runs.output(find_run(runs, prefix).id, follow=follow, last=last, since=since):
        descriptors.write(stream, data)
