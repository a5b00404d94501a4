"""Pass bytes and signals between this process and a run, and keep the operator's terminal in order."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from twelfth.engines.contract import STDERR, STDOUT
from twelfth.hints import as_typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twelfth.engines.contract import Session

PIECE = 1 << 16
BROKEN_PIPE = 128 + signal.SIGPIPE
INSISTENT = 2
"""How often Ctrl-C is pressed by somebody who wants to know how else the run can be ended."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def attend(
    begin: Callable[[], Session], identity: str, *, interactive: bool, tty: bool, streams: tuple[int, int] = (0, 1)
) -> int:
    """Begin a run, pass everything until it has ended, and return its exit code.

    `identity` is what the operator is told to stop where the run does not end on Ctrl-C.
    `streams` are the file descriptors of its input and output. Where the output cannot be written, the run is ended
    with TERM; a reader that went away makes that exit code 141, as for any writer to a pipe, and all else an OSError.
    """
    source, target = streams
    with forwarded_signals(begin, identity) as session, contextlib.ExitStack() as stack:
        if tty:
            stack.enter_context(raw_terminal(session))
        if interactive:
            threading.Thread(target=pump_input, args=(session, source), daemon=True).start()
        try:
            pump_output(session, target)
        except OSError as error:
            end(session)
            if isinstance(error, BrokenPipeError):
                return BROKEN_PIPE
            raise
        return session.wait()


def end(session: Session) -> None:
    """End a run with TERM and wait for its end; what it prints until then is nobody's."""
    session.signal(signal.SIGTERM)
    for _ in session.output():
        pass
    session.wait()


def pump_output(session: Session, target: int) -> None:
    """Write what the run prints to a file descriptor and our standard error, stream by stream, byte by byte."""
    for stream, data in session.output():
        write(target if stream == STDOUT else stream, data)


def write(stream: int, data: bytes) -> None:
    """Write all the bytes to one of our own outputs, whose file descriptors are the streams' numbers."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(stream, rest) :]


def pump_input(session: Session, source: int) -> None:
    """Send what we are given to the run until either has enough; where ours cannot be read, that is its end too."""
    try:
        with contextlib.suppress(OSError):
            while data := os.read(source, PIECE):
                session.write_stdin(data)
    finally:
        session.close_stdin()


def insistence(identity: str) -> bytes:
    """Return what to say to somebody who presses Ctrl-C and sees the run go on."""
    way_out = as_typed(f"to kill it: Ctrl-C again, or elsewhere: invoke stop {identity}")
    return f"twelfth: run {identity} goes on; {way_out}\n".encode()


@contextlib.contextmanager
def forwarded_signals(begin: Callable[[], Session], identity: str) -> Iterator[Session]:
    """Begin a run and send it what is sent to us; what comes while it begins waits for it.

    A second one in that time interrupts us, should the engine not answer. SIGHUP is not for the run: it outlives a
    lost terminal. Of Ctrl-C the second says how to end the run, and each further one is KILL.
    """
    interrupts = itertools.count(1)
    session: Session | None = None
    early: list[int] = []

    def forward(number: int, _: object) -> None:
        if session:
            pressed = next(interrupts) if number == signal.SIGINT else 0
            if pressed == INSISTENT:
                write(STDERR, insistence(identity))
            session.signal(signal.SIGKILL if pressed > INSISTENT else number)
        elif early:
            raise KeyboardInterrupt
        else:
            early.append(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        session = begin()
        for number in early:
            session.signal(number)
        yield session
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
