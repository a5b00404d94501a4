"""Doing the next while this one is being used: compressing, hashing and waiting all let go of Python's lock."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class _End:
    """The last that the thread hands over: what was raised there, if anything."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetched(items: Iterable[T], depth: int = 4) -> Iterator[T]:
    """Yield the items, which a thread makes, at most `depth` before they are asked for; raises what it raises."""
    made: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | _End) -> bool:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            if all(put(item) for item in items):
                put(_End())
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asks
            put(_End(error))

    threading.Thread(target=make, name="prefetch", daemon=True).start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error:
            raise item.error
    finally:
        stopped.set()
