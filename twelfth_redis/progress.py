"""Report the progress of a long command, and limit its speed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

BATCH = 1000
"""Keys of one transaction: enough to be fast, and few enough to delay other clients by milliseconds only."""


@dataclass
class Progress:
    """Writes the number of processed keys once per second, and allows at most `most` per second (None: no limit)."""

    write: Callable[[str], None]
    most: float | None = None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self._last_line = self.clock()

    @property
    def batch(self) -> int:
        """Return the number of keys per batch, at most those allowed per second."""
        return BATCH if self.most is None else max(1, min(BATCH, int(self.most)))

    def update(self, done: int) -> None:
        """Write the number of processed keys, once per second; wait if they were processed too fast."""
        now = self.clock()
        if now - self._last_line >= 1:
            self._last_line = now
            self.write(f"{done:,} keys so far")
        if self.most and (early := self._started + done / self.most - now) > 0:
            self.pause(early)
