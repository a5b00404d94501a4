"""Pass bytes and signals between this process and a run, and keep the operator's terminal in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack.engines.base import Session

PIECE = 1 << 16
BROKEN_PIPE = 128 + signal.SIGPIPE
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def attend(session: Session, *, interactive: bool, tty: bool) -> int:
    """Pass everything until the run has ended, and return its exit code.

    A reader of ours that went away ends the run with TERM, and the exit code is 141, as for any writer to a pipe.
    """
    with contextlib.ExitStack() as stack:
        if tty:
            stack.enter_context(raw_terminal(session))
        stack.enter_context(forwarded_signals(session))
        if interactive:
            threading.Thread(target=pump_input, args=(session,), daemon=True).start()
        try:
            pump_output(session)
        except BrokenPipeError:
            session.signal(signal.SIGTERM)
            for _ in session.output():
                pass
            session.wait()
            return BROKEN_PIPE
        return session.wait()


def pump_output(session: Session) -> None:
    """Write what the run prints to our own two outputs, stream by stream, byte by byte."""
    for stream, data in session.output():
        write(stream, data)


def write(stream: int, data: bytes) -> None:
    """Write all the bytes to one of our own outputs, whose file descriptors are the streams' numbers."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(stream, rest) :]


def pump_input(session: Session) -> None:
    """Send what we are given to the run until either has enough."""
    with contextlib.suppress(OSError):
        while sys.stdin and (data := os.read(sys.stdin.fileno(), PIECE)):
            session.send(data)
        session.end_input()


@contextlib.contextmanager
def forwarded_signals(session: Session) -> Iterator[None]:
    """Send the run what is sent to us; SIGHUP is not for it: a run outlives a lost terminal."""
    before = {number: signal.signal(number, lambda got, _: session.signal(got)) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def raw_terminal(session: Session) -> Iterator[None]:
    """Hand the terminal over to the run, every key and each change of size; give it back whatever happens."""
    import termios
    import tty

    def tell_size(*_: object) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())
        session.resize(size.lines, size.columns)

    keyboard = sys.stdin.fileno()
    settings = termios.tcgetattr(keyboard)
    before = signal.signal(signal.SIGWINCH, tell_size)
    try:
        tty.setraw(keyboard, termios.TCSADRAIN)  # what was typed ahead is for the run
        tell_size()
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, settings)
        signal.signal(signal.SIGWINCH, before)
