"""Hits that came together are counted together: one thread sends a command for each of them in one write.

Handing every hit to a thread of its own, and its answer back, costs more than counting it. So the server's loop answers
hits by itself, and only the wait for Redis is another thread's; what comes meanwhile is the next batch.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

Outcome = int | Exception
"""The number of a hit, or why it has none."""


class Batches(Generic[T]):
    """Counts what any thread adds, for one that takes; `wake` is called when there is something to take."""

    def __init__(self, count: Callable[[int, float], Sequence[Outcome]], wake: Callable[[], object]) -> None:
        self._count, self._wake = count, wake
        self._waiting: list[tuple[T, float]] = []
        self._counted: deque[tuple[T, Outcome]] = deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._count_all, name="hits", daemon=True).start()

    def add(self, hit: T) -> None:
        """Have this hit counted with those that are added before `send`, or before."""
        with self._changed:
            self._waiting.append((hit, time.monotonic()))

    def send(self) -> None:
        """Have all that wait counted, as soon as those before them are."""
        with self._changed:
            if self._waiting:
                self._changed.notify()

    def take(self) -> Iterator[tuple[T, Outcome]]:
        """Give each hit that was counted, and what became of it, in the order of their coming."""
        while self._counted:
            yield self._counted.popleft()

    def _count_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                batch, self._waiting = self._waiting, []
            outcomes = self._outcomes(len(batch), time.monotonic() - batch[0][1])
            self._counted.extend((hit, outcome) for (hit, _), outcome in zip(batch, outcomes, strict=True))
            self._wake()

    def _outcomes(self, count: int, waited: float) -> Sequence[Outcome]:
        try:
            return self._count(count, waited)
        except Exception as error:  # noqa: BLE001 - raised again where each of them is answered
            return [error] * count
