"""Become a process of a stack: `python launch.py SPEC` replaces itself with the command in the JSON file SPEC.

SPEC has `command`, `environment` (complete: nothing is inherited) and `directory`. On Linux the kernel sends the
process SIGTERM when its supervisord dies, so that it does not outlive a `kill -9` of that and keep a port or the data.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h; execve of an ordinary program does not reset it (man 2 prctl)."""


def prctl(option: int, value: int) -> bool:
    """Set an attribute of this process; return whether the kernel supports that, as only Linux does."""
    try:
        return bool(ctypes.CDLL(None).prctl(option, value) == 0)
    except (OSError, AttributeError):
        return False


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies; does nothing if the kernel does not support that."""
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the request


def counter(spec: Path) -> Path:
    """Return the file that has a byte for each start of a process."""
    return spec.with_suffix(".starts")


def starts(spec: Path) -> int:
    """Return the number of starts of a process."""
    try:
        return counter(spec).stat().st_size
    except OSError:
        return 0


def started(spec: Path) -> float:
    """Return the time of a process's last start, in seconds since the epoch; the current time if it never started."""
    try:
        return counter(spec).stat().st_mtime
    except OSError:
        return time.time()


def main(path: str) -> None:
    """Replace this process with the described one; exit with 127 if it is missing, 126 if it is not executable."""
    spec = json.loads(Path(path).read_text("utf-8"))
    with contextlib.suppress(OSError), counter(Path(path)).open("ab") as file:  # a full disk stops no service
        file.write(b".")
    end_with_parent()
    try:
        os.chdir(spec["directory"])
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])  # noqa: S606 - without a shell
    except OSError as error:
        print(f"launch: {error.filename or spec['command'][0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main(sys.argv[1])
