"""What a restore counts while it loads, so that it can tell at the end whether every key that must be there is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth_redis.backup.reader import Batch

HORIZON_SECONDS = 86_400
"""Keys that expire later than that after the start are not counted by the second: no restore takes so long."""


@dataclass
class Tally:
    """Commands so far, keys that came again, and how many expire in which second; `started` in seconds since 1970."""

    started: int
    count: int = 0
    again: int = 0
    _expiring: Counter[int] = field(default_factory=Counter)

    def add(self, batch: Batch, again: int) -> None:
        """Count a batch, of whose keys `again` were there already."""
        self.count += batch.count
        self.again += again
        last = self.started + HORIZON_SECONDS
        self._expiring.update(min(max(int(at) // 1000, self.started - 1), last) for at in batch.expiries if at != b"0")

    def expired(self, now: int) -> int:
        """Return how many keys may be gone by `now`, in seconds since 1970."""
        return sum(count for second, count in self._expiring.items() if second <= now)

    def fits(self, found: int, now: int) -> bool:
        """Return whether so many keys are what must be there: all but those that came again, or may be gone."""
        most = self.count - self.again
        return most - self.expired(now) <= found <= most
