"""Doing the next while this one is being used: compressing, hashing and waiting all let go of Python's lock."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, which a thread makes, at most four before they are asked for; raises what it raises."""
    made: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()
    room, stopped = threading.Semaphore(4), threading.Event()

    def make() -> None:
        try:
            for item in items:
                room.acquire()
                if stopped.is_set():
                    return
                made.put((item,))
            made.put(None)
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asks
            made.put(error)

    threading.Thread(target=make, name="prefetch", daemon=True).start()
    try:
        while isinstance(item := made.get(), tuple):
            room.release()
            yield item[0]
        if item:
            raise item
    finally:
        stopped.set()
        room.release()
