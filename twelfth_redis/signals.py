"""A signal as an error, so that what was started is cleaned up on the way out."""

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

from twelfth_redis.errors import StoppedError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Have TERM, INT and HUP raise StoppedError inside the block, the first of them only."""

    def stop(number: int, _: object) -> NoReturn:
        ignore_signals()
        raise StoppedError(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Ignore TERM, INT and HUP until the block of `stoppable` ends: for what must not be left half done."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def stop_hint(hint: str) -> Iterator[None]:
    """Have a StoppedError that leaves the block end with a hint: what the stop means there, or what to type next."""
    try:
        yield
    except StoppedError as error:
        raise StoppedError(error.number, hint) from error
