"""Finish what an interruption would leave half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def uninterrupted(say: Callable[[str], None], what: str) -> Iterator[None]:
    """Report what is being done; inside the block, Ctrl-C and TERM only print the line again."""

    def report(*_: object) -> None:
        say(f"{what}; please wait")

    report()
    can_handle = threading.current_thread() is threading.main_thread()  # other threads cannot set handlers
    before = {number: signal.signal(number, report) for number in (signal.SIGINT, signal.SIGTERM) if can_handle}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
