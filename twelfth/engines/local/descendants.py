"""End every process that descends from this one, whatever session or group it went to.

On Linux an orphan becomes a child of the nearest *subreaper* above it (man 2 prctl). A process that is one, and that
kills its children until it has none, therefore leaves no descendant. macOS has no such thing: there nothing is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.engines.local.launch import prctl

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h; children do not inherit it, so all orphans below come to this process."""

THREADS = Path("/proc/self/task")
PAUSE = 0.001
"""Seconds that what was killed has to end, before it is looked at again."""


def become_subreaper() -> bool:
    """Become the parent of all orphans below; return whether the kernel can do that and list children (man 5 proc)."""
    return any(THREADS.glob("*/children")) and prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans(own: int) -> None:
    """Take the end of children that have ended, all but `own`, for which somebody else waits: no zombie piles up."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != own:
            os.waitpid(ended.si_pid, 0)


def end_descendants(within: float) -> None:
    """Kill children until none is left: the children of one that ends come to this process.

    Gives up after so many seconds, as on a process of another user's. That there is none left is the kernel's word
    (ECHILD), not that of the list, which may miss one that comes or goes.
    """
    deadline = time.monotonic() + within
    while _has_children() and time.monotonic() < deadline:
        for child in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(PAUSE)


def _has_children() -> bool:
    """Return whether any child is left, once the end of those that have ended is taken."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> Iterator[int]:
    """Yield the children as they are read, so that one which forks and ends in no time is killed in time."""
    for path in THREADS.glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended
            yield from map(int, path.read_text("ascii").split())
