"""Shared file descriptors: their flags are not changed, and no data is lost with any flag."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from twelfth.runs import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

BIG = 1_000_000
"""More bytes than fit into a pipe."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe that another program made non-blocking."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


def flags(*ends: int) -> list[int]:
    """Return the status flags of open files."""
    return [fcntl.fcntl(end, fcntl.F_GETFL) for end in ends]


def test_read_waits_for_what_is_not_written_yet(pipe: tuple[int, int]) -> None:
    """A non-blocking read fails with EAGAIN then."""
    before = flags(*pipe)
    threading.Timer(0.3, os.write, (pipe[1], b"late")).start()

    assert b"late" == descriptors.read(pipe[0])
    assert before == flags(*pipe)


def test_write_waits_for_its_reader(pipe: tuple[int, int]) -> None:
    """A non-blocking write takes a part, then fails with EAGAIN."""
    before = flags(*pipe)
    writing = threading.Thread(target=descriptors.write, args=(pipe[1], bytes(BIG)))
    writing.start()
    time.sleep(0.2)
    taken = 0
    while taken < BIG:
        taken += len(descriptors.read(pipe[0]))
    writing.join()

    assert before == flags(*pipe)


def test_write_to_a_reader_that_went_away_raises(pipe: tuple[int, int]) -> None:
    """Also while it waits for room."""
    reader = os.dup(pipe[0])
    os.dup2(os.open(os.devnull, os.O_RDONLY), pipe[0])
    threading.Timer(0.3, os.close, (reader,)).start()

    with pytest.raises(BrokenPipeError):
        descriptors.write(pipe[1], bytes(BIG))


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_everything_that_is_printed_waits_for_its_reader(pipe: tuple[int, int], name: str) -> None:
    """Such as a long history or a log into a pipe that Node.js made; Python's own files raise `BlockingIOError`."""
    printing = f"print('x' * {BIG}, file=sys.{name}); sys.{name}.buffer.write(b'y' * {BIG}); sys.{name}.flush()"
    program = f"import sys; from twelfth.cli.outputs import prepare_outputs; prepare_outputs(); {printing}"
    outputs = {name: pipe[1]}
    client = subprocess.Popen([sys.executable, "-c", program], **outputs)  # type: ignore[call-overload]
    time.sleep(0.5)
    taken = b""
    while len(taken) < 2 * BIG + 1:
        taken += descriptors.read(pipe[0])

    assert 0 == client.wait(30)
    assert b"x" * BIG + b"\n" + b"y" * BIG == taken


BACKGROUND = """
import fcntl, os, signal, termios
from twelfth.runs import descriptors

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    descriptors.block_terminal_stops()
    print("background", descriptors.is_in_background(0), flush=True)
    print("read", descriptors.read(0), flush=True)
    os._exit(0)
while (state := os.waitpid(job, os.WUNTRACED | os.WNOHANG)) == (0, 0):
    signal.sigtimedwait([signal.SIGUSR1], 0.5) and (
        os.setpgid(job, job), signal.signal(signal.SIGTTOU, signal.SIG_IGN), os.tcsetpgrp(0, job)
    )
print("stopped" if os.WIFSTOPPED(state[1]) else "ended", flush=True)
"""


def test_read_of_a_background_job_waits_for_the_foreground() -> None:
    """SIGTTIN would stop it; the job passes output on, and reads its input once it is in the foreground."""
    near, far = os.openpty()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # inherited: the shell of this test waits for it
    try:
        shell = subprocess.Popen(
            [sys.executable, "-c", BACKGROUND],
            stdin=far,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert shell.stdout
    assert b"background True\n" == shell.stdout.readline()
    os.write(near, b"typed\n")
    time.sleep(0.5)
    shell.send_signal(signal.SIGUSR1)

    assert b"read b'typed\\n'\nended\n" == shell.communicate(timeout=20)[0]
    os.close(near)
    os.close(far)
