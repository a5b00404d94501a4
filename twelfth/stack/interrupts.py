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
    """Report what is being done; inside the block, Ctrl-C and TERM only report it again."""

    def tell(*_: object) -> None:
        say(f"{what}; wait for that")

    tell()
    is_asked = threading.current_thread() is threading.main_thread()  # only it can set handlers
    before = {each: signal.signal(each, tell) for each in (signal.SIGINT, signal.SIGTERM) if is_asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
