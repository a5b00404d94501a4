"""Run a process's healthcheck: a command with the directory and environment of the process."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, cast

from twelfth.engines import healthcheck
from twelfth.engines.local import launch
from twelfth.model.snapshot import Health

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    from twelfth.model.snapshot import Replica


def check_health(
    replica: Replica, spec: Mapping[str, Any], path: Path, monitor: float, within: float | None = None
) -> Health:
    """Run the check of a replica and return its result; `spec` is the replica's specification, from the file `path`.

    A check has its `timeout`, and at most `within` seconds. A process without a check must keep running.
    """
    command = spec.get("healthcheck")
    if not command:
        return healthcheck.of_process(replica, lambda: _running_seconds(path), monitor)
    if unsteady := healthcheck.of_unsteady(replica, lambda: _running_seconds(path)):
        return unsteady
    timeout = float((spec.get("recipe") or {}).get("healthcheck_timeout", healthcheck.TIMEOUT))
    try:
        return _check(command, spec, timeout if within is None else min(timeout, within), timeout)
    except OSError as error:
        return Health(is_ready=False, output=f"its healthcheck failed: {error}", command=shlex.join(command))


def _check(command: list[str], spec: Mapping[str, Any], limit: float, timeout: float) -> Health:
    deadline, shown = time.monotonic() + limit, shlex.join(command)
    try:
        with _started(command, spec) as process:
            stdout = cast("BufferedReader", process.stdout)
            read = healthcheck.read_until(deadline, stdout.fileno(), stdout.read1)
            output = healthcheck.last(iter(lambda: read(healthcheck.KEPT), b""))
            code = process.wait(max(deadline - time.monotonic(), 0.0))
    except (TimeoutError, subprocess.TimeoutExpired):
        return healthcheck.timed_out(limit, timeout, shown)
    return Health(code == 0, output, shown)


@contextlib.contextmanager
def _started(command: list[str], spec: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process in its own group, which is killed unless the caller has waited for its exit."""
    process = subprocess.Popen(  # noqa: S603 - a command of the Compose file
        command,
        cwd=spec["directory"],
        env=spec["environment"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _running_seconds(path: Path) -> float:
    return max(time.time() - launch.started(path), 0.0)
