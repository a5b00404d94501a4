"""Streams and signals between this process and a run, with a run that only records them."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from twelfth.engines.contract import STDOUT, Session
from twelfth.runs import descriptors, terminal
from twelfth.runs.start import printed_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Remembering(Session):
    """A run that prints nothing, exits with 3, and records its input and signals."""

    def __init__(self) -> None:
        """Record nothing yet."""
        self.told: list[object] = []

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Print an empty piece."""
        yield STDOUT, b""

    def write_stdin(self, data: bytes) -> None:
        """Record input; fail if it is too much."""
        if data == b"too much":
            raise BrokenPipeError
        self.told.append(data)

    def close_stdin(self) -> None:
        """Record the end."""
        self.told.append("end")

    def resize(self, rows: int, columns: int) -> None:
        """Do nothing."""

    def signal(self, number: int) -> None:
        """Record the signal."""
        self.told.append(signal.Signals(number))

    def wait(self) -> int:
        """Exit with 3."""
        return 3


def typed(source: int) -> Iterator[bytes]:
    """Return the data of a file descriptor, piece by piece."""
    return iter(lambda: descriptors.read(source), b"")


def directory(path: Path) -> int:
    """Return a source whose reading fails with EISDIR."""
    return os.open(path, os.O_RDONLY)


def closed(_: Path) -> int:
    """Return a source whose reading fails with EBADF."""
    return 1 << 20


def hung_up(_: Path) -> int:
    """Return a source whose reading fails with EIO: a terminal whose other end is gone."""
    ours, theirs = os.openpty()
    os.close(theirs)
    return ours


@pytest.mark.parametrize("source", [directory, closed, hung_up])
def test_input_that_cannot_be_read_is_the_end_of_the_runs(source: Callable[[Path], int], tmp_path: Path) -> None:
    """Otherwise a run that reads would wait for ever."""
    run = Remembering()
    terminal.pump_input(run, typed(source(tmp_path)))

    assert ["end"] == run.told


@pytest.mark.parametrize(("given", "told"), [(b"some", [b"some", "end"]), (b"too much", ["end"])])
def test_input_ends_after_what_was_given(given: bytes, told: list[object], tmp_path: Path) -> None:
    """Also if the run accepts no more input."""
    (tmp_path / "input").write_bytes(given)
    run = Remembering()
    terminal.pump_input(run, typed(os.open(tmp_path / "input", os.O_RDONLY)))

    assert told == run.told


@pytest.mark.parametrize("number", terminal.FORWARDED)
def test_signal_that_comes_while_a_run_begins_is_for_the_run(number: signal.Signals) -> None:
    """It neither interrupts the start nor is lost."""
    run = Remembering()
    before = signal.getsignal(number)

    def begin() -> Session:
        signal.raise_signal(number)
        return run

    assert 3 == terminal.attend(begin, "abcd", interactive=False, tty=False)
    assert [number] == run.told
    assert before == signal.getsignal(number)


def test_second_signal_interrupts_a_start_that_takes_too_long() -> None:
    """As with an engine that does not answer; the previous signal handlers are restored."""
    before = signal.getsignal(signal.SIGTERM)

    def begin() -> Session:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        terminal.attend(begin, "abcd", interactive=False, tty=False)
    assert before == signal.getsignal(signal.SIGTERM)


class Deaf(Remembering):
    """A run during which the operator presses Ctrl-C several times."""

    def __init__(self, times: int) -> None:
        """Take the number of times."""
        super().__init__()
        self.times = times

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Continue until each signal was handled."""
        for pressed in range(1, self.times + 1):
            os.kill(os.getpid(), signal.SIGINT)
            assert eventually(lambda: len(self.told) >= pressed)  # noqa: B023 - asked at once
            yield STDOUT, b""


@pytest.mark.parametrize(
    ("times", "told", "lines"),
    [(1, [], 0), (2, [signal.SIGINT], 1), (3, [signal.SIGINT, signal.SIGKILL], 1)],
)
def test_second_ctrl_c_offers_the_way_out_and_the_third_takes_it(
    times: int, told: list[object], lines: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first one is only passed to the run, which may handle it."""
    run = Deaf(times)
    terminal.attend(lambda: run, "abcd", interactive=False, tty=False)

    assert [signal.SIGINT, *told] == run.told
    said = capfd.readouterr().err
    assert lines == said.count("\n") == said.count("to kill it: Ctrl-C again, or elsewhere: invoke stop abcd")


@pytest.mark.parametrize(
    ("pieces", "passed"),
    [
        ((b"ab", b"\x10\x11cd"), b"ab"),
        ((b"ab\x10", b"\x11"), b"ab\x10"),
        ((b"\x10", b"\x10", b"\x11"), b"\x10\x10"),
    ],
)
def test_ctrl_p_ctrl_q_leaves_a_run_that_continues(pieces: tuple[bytes, ...], passed: bytes) -> None:
    """Typed at once or key by key; the input of the run is not closed."""
    run = Remembering()
    with pytest.raises(terminal.DetachedError):
        terminal.pump_input(run, terminal.until_detached(pieces))

    assert passed == b"".join(piece for piece in run.told if isinstance(piece, bytes))
    assert b"" not in run.told  # which closes the input on `local`
    assert "end" not in run.told


@pytest.mark.parametrize("pieces", [(b"\x11\x10",), (b"\x10", b"a", b"\x11"), (b"\x10",), (b"\x11", b"\x11")])
def test_other_keys_are_passed_on_as_they_come(pieces: tuple[bytes, ...]) -> None:
    """A Ctrl-P does not wait for the next key, unlike in `docker run`: it recalls the previous line."""

    assert [*pieces] == [*terminal.until_detached(pieces)]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b"on", b"e\ntwo"), ["one", "two"]),
        ((b"why\n", b"\n", b"  \n"), ["why"]),
        ((b"\n",), []),
        ((), []),
    ],
)
def test_lines_of_an_output_are_those_that_say_something(pieces: tuple[bytes, ...], lines: list[str]) -> None:
    """Blank lines are neither reported nor taken as the reason."""

    assert lines == list(printed_lines(pieces))
