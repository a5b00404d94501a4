"""How far a long command is, for whoever waits: at most one line a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twelfth_redis.errors import tell

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_SECONDS = 1.0


class Progress:
    """The progress of one command."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the command's name, and the clock."""
        self._name, self._clock = name, clock
        self._told = clock()

    def tell(self, keys: int) -> None:
        """Tell how many keys are done, if the last line is long enough ago."""
        if (now := self._clock()) - self._told >= EVERY_SECONDS:
            self._told = now
            tell(self._name, f"{keys:,} keys so far")
