"""Kill every descendant of this process, also in other sessions and process groups.

On Linux an orphan becomes a child of the nearest *subreaper* above it (man 2 prctl). So a subreaper that kills its
children until it has none leaves no descendant. macOS has no subreapers: no descendants are killed there.
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
"""From linux/prctl.h; children do not inherit it, so all orphans below become children of this process."""

THREADS = Path("/proc/self/task")
PAUSE = 0.001
"""Seconds for killed processes to exit before the next check."""


def become_subreaper() -> bool:
    """Become the parent of all orphans below; return whether the kernel supports that and lists children."""
    return any(THREADS.glob("*/children")) and prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans(child: int) -> None:
    """Reap children that have exited, so that no zombies pile up, except `child`, for which the caller waits."""
    with contextlib.suppress(ChildProcessError):
        while (exited := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and exited.si_pid != child:
            os.waitpid(exited.si_pid, 0)


def end_descendants(within: float) -> None:
    """Kill children until none is left: the children of a killed process become children of this one.

    Gives up after `within` seconds, for instance if a process belongs to another user. The kernel decides whether a
    child is left (ECHILD): the list of children can miss one that is just starting or exiting.
    """
    deadline = time.monotonic() + within
    while _has_children() and time.monotonic() < deadline:
        for child in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(PAUSE)


def _has_children() -> bool:
    """Reap children that have exited, and return whether any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> Iterator[int]:
    """Yield the children one by one, so that one that forks and exits at once is killed before that."""
    for path in THREADS.glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # the thread has exited
            yield from map(int, path.read_text("ascii").split())
