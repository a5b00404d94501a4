"""How far a long command is, for whoever waits: at most one line a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_SECONDS = 1.0


class Progress:
    """The progress of one command."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Take what writes a line, and the clock."""
        self._write, self._clock = write, clock
        self._last = clock()

    def update(self, keys: int) -> None:
        """Write how many keys are done, if the last line was written long enough ago."""
        if (now := self._clock()) - self._last >= EVERY_SECONDS:
            self._last = now
            self._write(f"{keys:,} keys so far")
