"""Turn signals into errors, so that a stopped program still cleans up."""

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

from twelfth_redis.errors import StoppedError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Make the first TERM, INT or HUP raise StoppedError inside the block."""

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
    """Ignore TERM, INT and HUP until the block of `stoppable` ends, for work that must not be interrupted."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def stop_hint(hint: str) -> Iterator[None]:
    """Add a hint to a StoppedError that leaves the block: what the stop means there, or what to type next."""
    try:
        yield
    except StoppedError as error:
        raise StoppedError(error.number, hint) from error
