"""How fast the batches of a migration may follow each other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 1000
"""Keys of one transaction: long enough to be fast, and short enough to hold nobody up for more than milliseconds."""


@dataclass
class Pace:
    """Keys a second at most (None: as fast as they go), and what writes a line of progress once a second."""

    write: Callable[[str], None]
    most: float | None = None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    started: float = field(init=False, default=0.0)
    last_line: float = field(init=False, default=0.0)
    done: int = field(init=False, default=0)

    @property
    def batch(self) -> int:
        """Return how many keys to take at once, no more than are allowed in a second."""
        return BATCH if self.most is None else max(1, min(BATCH, int(self.most)))

    def start(self) -> None:
        """Count from here."""
        self.started = self.last_line = self.clock()
        self.done = 0

    def step(self, keys: int) -> None:
        """Count keys that are done; write a line once a second, and wait where that was too fast."""
        self.done += keys
        now = self.clock()
        if now - self.last_line >= 1:
            self.last_line = now
            self.write(f"{self.done:,} keys")
        if self.most and (early := self.started + self.done / self.most - now) > 0:
            self.pause(early)
