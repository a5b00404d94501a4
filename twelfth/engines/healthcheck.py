"""The time limit, output limit and result of a healthcheck, the same on every engine."""

from __future__ import annotations

import select
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.model.snapshot import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twelfth.model.snapshot import Replica

TIMEOUT = 30.0
"""Time limit in seconds of a check without a `timeout`, as in Docker."""

KEPT = 1 << 16
"""Bytes of a check's output that are kept: the last ones, which contain the error."""

CRASHES, STEADY = 2, 10.0
"""A replica that was restarted this often, and has run for fewer seconds than this since, is in a crash loop.

Docker, too, considers a container started once it has run for ten seconds
(https://docs.docker.com/engine/containers/start-containers-automatically/).
"""


OVER = ("exited", "stopped", "dead")
"""Prefixes of the states of a replica that is no longer restarted."""


def of_unsteady(replica: Replica, running_seconds: Callable[[], float]) -> Health | None:
    """Return the health of a replica that is stopped or in a crash loop; None for any other.

    `running_seconds` returns the seconds since the last start of the process. It is called only if needed.
    """
    crashes = replica.restarts >= CRASHES
    if not replica.is_running:
        is_over = replica.state.startswith(OVER)
        return Health(is_ready=False, output=replica.state, is_crashing=crashes and not is_over)
    return Health(is_ready=False, is_crashing=True) if crashes and running_seconds() < STEADY else None


def of_process(replica: Replica, running_seconds: Callable[[], float], monitor: float) -> Health:
    """Return the health of a replica that has no healthcheck: it is ready once it has run for `monitor` seconds."""
    if unsteady := of_unsteady(replica, running_seconds):
        return replace(unsteady, has_check=False)
    seconds = running_seconds()
    is_ready = seconds >= monitor
    return Health(is_ready, "" if is_ready else f"it has run for {seconds:.1f} of {monitor:g} s", has_check=False)


def timed_out(limit: float, timeout: float, command: str) -> Health:
    """Return the health of a replica whose check has not finished in time."""
    why = f"its healthcheck did not finish in {limit:.3g} s"
    return Health(is_ready=False, output=why, command=command, is_cut_off=limit < timeout)


def last(pieces: Iterable[bytes]) -> str:
    """Return the end of a check's output as text; no more than that is in memory at any time."""
    kept = b""
    for piece in pieces:
        kept = (kept + piece)[-KEPT:]
    return kept.decode(errors="replace").strip()


def read_until(deadline: float, file: int, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return a `read` that raises `TimeoutError` if no data arrives before `deadline`, a moment on the monotonic clock.

    `file` is the descriptor that becomes readable when the next bytes or the end arrive.
    """
    poller = select.poll()
    poller.register(file, select.POLLIN)

    def read_in_time(at_most: int) -> bytes:
        seconds = deadline - time.monotonic()
        if seconds <= 0 or not poller.poll(seconds * 1000):
            raise TimeoutError
        return read(at_most)

    return read_in_time
