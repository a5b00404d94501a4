"""Become a process of a stack: `python launch.py SPEC` replaces itself by what the JSON file SPEC describes.

SPEC has `command`, `environment` (all of it: nothing is inherited) and `directory`. On Linux the process is told to
end when its supervisor dies, so that none outlives a `kill -9` of it and holds the port or the data.
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
"""From linux/prctl.h; the setting survives execve of an ordinary program (man 2 prctl)."""


def prctl(option: int, value: int) -> bool:
    """Set an attribute of this process; return whether the kernel has it, which only Linux does."""
    try:
        return bool(ctypes.CDLL(None).prctl(option, value) == 0)
    except (OSError, AttributeError):
        return False


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies; does nothing where the kernel has no such thing."""
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)  # it died before this could be asked


def counter(spec: Path) -> Path:
    """Return the file that has a byte for each start of a process."""
    return spec.with_suffix(".starts")


def starts(spec: Path) -> int:
    """Return how often a process was started."""
    try:
        return counter(spec).stat().st_size
    except OSError:
        return 0


def started(spec: Path) -> float:
    """Return the time of a process's last start, in seconds since the epoch; now if it was never launched."""
    try:
        return counter(spec).stat().st_mtime
    except OSError:
        return time.time()


def main(path: str) -> None:
    """Replace this process by the described one; exit 127 or 126 where it is not there or not a program."""
    spec = json.loads(Path(path).read_text("utf-8"))
    with contextlib.suppress(OSError), counter(Path(path)).open("ab") as file:  # a full disk stops no service
        file.write(b".")
    end_with_parent()
    try:
        os.chdir(spec["directory"])
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])  # noqa: S606 - exactly that, no shell
    except OSError as error:
        print(f"launch: {error.filename or spec['command'][0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main(sys.argv[1])
