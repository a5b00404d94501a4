"""Whether this process goes on living, and whether anybody who decides on its traffic asks that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKED_SECONDS = 2.0
"""Whoever did not ask for so long is no door, which asks several times a second."""


class Liveness:
    """What `/healthz` tells. A process that is checked says that it is leaving before it stops taking requests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = float("-inf")
        self._leaving = False

    def ask(self) -> bool:
        """Return whether the process goes on living."""
        self._asked = self._clock()
        return not self._leaving

    def leave(self) -> bool:
        """Say from now on that it is leaving, if anybody asked lately; return whether somebody did."""
        self._leaving = self._clock() - self._asked < CHECKED_SECONDS
        return self._leaving
