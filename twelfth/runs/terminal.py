"""Pass bytes and signals between this process and a run, and restore the operator's terminal afterwards."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING

from twelfth.engines.contract import STDERR, STDOUT
from twelfth.errors import TwelfthError
from twelfth.hints import as_typed
from twelfth.runs import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twelfth.engines.contract import Session

    Ending = Exception | None

BROKEN_PIPE = 128 + signal.SIGPIPE
INSISTENT = 2
"""The number of the Ctrl-C that prints other ways to stop the run."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)

SIGNALS_EVERY = 0.2
"""Seconds until the main thread handles a signal that the kernel delivered to another thread."""

DETACH = b"\x10\x11"
"""Ctrl-P Ctrl-Q, as in `docker attach`."""


class DetachedError(Exception):
    """The operator left a run that continues."""


def attend(
    begin: Callable[[], Session], identity: str, *, interactive: bool, tty: bool, streams: tuple[int, int] = (0, 1)
) -> int:
    """Start a run, pass everything until it ends, and return its exit code; 0 if the operator detached from it.

    `identity` is the run's id for messages. `streams` are the file descriptors of its input and output. If the output
    cannot be written, the run is stopped with TERM; then the exit code is 141 if the reader has closed the pipe, and
    any other failure raises `OSError`.
    """
    with forwarded_signals(begin, identity) as session:
        with raw_terminal(session) if tty else contextlib.nullcontext():
            ending = pass_streams(session, streams, interactive=interactive, tty=tty)
        match ending:
            case DetachedError():
                descriptors.write(STDERR, detached(identity))
                return 0
            case BrokenPipeError():
                end(session)
                return BROKEN_PIPE
            case OSError():
                end(session)
                raise ending
            case TwelfthError():
                raise ending
        return session.wait()


def pass_streams(session: Session, streams: tuple[int, int], *, interactive: bool, tty: bool) -> Ending:
    """Pass input and output until the output ends or either fails; return the error.

    Both are passed in threads, so that the main thread can handle signals and a detaching operator.
    """
    source, target = streams
    endings: queue.SimpleQueue[Ending] = queue.SimpleQueue()
    _in_thread(_pump_output, session, target, endings)
    if interactive:
        _in_thread(_pump_input, session, source, endings if tty else None)
    while True:
        with contextlib.suppress(queue.Empty):
            return endings.get(timeout=SIGNALS_EVERY)


def _in_thread(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _pump_output(session: Session, target: int, endings: queue.SimpleQueue[Ending]) -> None:
    ending: Ending = None
    try:
        pump_output(session, target)
    except (OSError, TwelfthError) as error:
        ending = error
    finally:
        endings.put(ending)


def _pump_input(session: Session, source: int, endings: queue.SimpleQueue[Ending] | None) -> None:
    """Pass the input; `endings` records that the operator detached, which requires a terminal."""
    descriptors.block_terminal_stops()
    pieces = iter(lambda: descriptors.read(source), b"")
    if endings is None:
        pump_input(session, pieces)
        return
    try:
        pump_input(session, until_detached(pieces))
    except DetachedError as error:
        endings.put(error)


def end(session: Session) -> None:
    """Stop a run with TERM and wait for it; its remaining output is dropped."""
    session.signal(signal.SIGTERM)
    for _ in session.output():
        pass
    session.wait()


def pump_output(session: Session, target: int) -> None:
    """Write what the run prints to a file descriptor and our standard error, stream by stream, byte by byte."""
    for stream, data in session.output():
        descriptors.write(target if stream == STDOUT else stream, data)


def pump_input(session: Session, pieces: Iterable[bytes]) -> None:
    """Send input to the run until either end is closed; a read error counts as the end of input."""
    with contextlib.suppress(OSError):
        for data in pieces:
            session.write_stdin(data)
    session.close_stdin()


def until_detached(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is typed; raises `DetachedError` at Ctrl-P Ctrl-Q.

    A Ctrl-P is passed on at once, although a Ctrl-Q may follow: delaying it would require a second key every time.
    """
    before = b""
    for piece in pieces:
        typed, detach, _ = (before + piece).partition(DETACH)
        if detach:
            if rest := typed[len(before) :]:
                yield rest
            raise DetachedError
        yield piece
        before = piece[-1:]


def insistence(identity: str) -> bytes:
    """Return what to print to an operator who presses Ctrl-C a second time."""
    way_out = as_typed(f"to kill it: Ctrl-C again, or elsewhere: invoke stop {identity}")
    return f"twelfth: run {identity} is still running; {way_out}\n".encode()


def detached(identity: str) -> bytes:
    """Return what to print to an operator who detached."""
    way_back = as_typed(f"its output: invoke logs --run {identity} --follow; to stop it: invoke stop {identity}")
    return f"\ntwelfth: detached from run {identity}, which continues; {way_back}\n".encode()


@contextlib.contextmanager
def forwarded_signals(begin: Callable[[], Session], identity: str) -> Iterator[Session]:
    """Start a run and send it the signals that this process gets; those that come while it starts wait for it.

    A second one in that time interrupts this process, in case the engine does not answer. SIGHUP is not passed on: a
    run outlives a lost terminal. The second Ctrl-C prints how to stop the run; each further one sends KILL.
    """
    interrupts = itertools.count(1)
    session: Session | None = None
    early: list[int] = []

    def forward(number: int, _: object) -> None:
        if session:
            pressed = next(interrupts) if number == signal.SIGINT else 0
            if pressed == INSISTENT:
                descriptors.write(STDERR, insistence(identity))
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


def size() -> tuple[int, int]:
    """Return the rows and columns of the operator's terminal."""
    terminal = os.get_terminal_size(sys.stdout.fileno())
    return terminal.lines, terminal.columns


@contextlib.contextmanager
def raw_terminal(session: Session) -> Iterator[None]:
    """Pass every key and each change of size to the run; restore the terminal in any case.

    A shell that stopped this process has changed the terminal's settings, so they are set again when it continues.
    """
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    settings = termios.tcgetattr(keyboard)

    def resize(*_: object) -> None:
        session.resize(*size())

    def take_over(*_: object) -> None:
        tty.setraw(keyboard, termios.TCSADRAIN)  # keys that were typed ahead are for the run
        resize()

    handlers = {signal.SIGWINCH: resize, signal.SIGCONT: take_over}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        take_over()
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, settings)
