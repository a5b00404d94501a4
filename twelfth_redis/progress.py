"""How far a long command is, and how fast it may go."""

import time
from collections.abc import Callable
from dataclasses import dataclass

BATCH = 1000
"""Keys of one transaction: long enough to be fast, and short enough to hold nobody up for more than milliseconds."""


@dataclass
class Progress:
    """What writes once a second how many keys are done, and allows so many a second at most (None: any number)."""

    write: Callable[[str], None]
    most: float | None = None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Count from here."""
        self._started = self._last_line = self.clock()

    @property
    def batch(self) -> int:
        """Return how many keys to take at once, no more than are allowed in a second."""
        return BATCH if self.most is None else max(1, min(BATCH, int(self.most)))

    def update(self, done: int) -> None:
        """Write how many keys are done, if the last line is a second old; wait where they were done too fast."""
        now = self.clock()
        if now - self._last_line >= 1:
            self._last_line = now
            self.write(f"{done:,} keys so far")
        if self.most and (early := self._started + done / self.most - now) > 0:
            self.pause(early)
