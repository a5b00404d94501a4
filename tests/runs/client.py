"""Start runs as an operator does: through `invoke`, from a pipe or a terminal, or in this process."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import multiprocessing
import os
import select
import subprocess
import termios
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests import forked_invoke
from twelfth.cli import views
from twelfth.engines import choice
from twelfth.engines.contract import STDERR, STDOUT
from twelfth.model.record import of_run
from twelfth.runs.recording import KEPT
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.stack.status import require_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project
    from twelfth.model.stack import Stack

ROWS, COLUMNS = 33, 77


def run(project: Project, *words: str, stdin: bytes | None = b"") -> subprocess.CompletedProcess[bytes]:
    """Execute `invoke run` with these words; its streams are bytes, and pipes if it has an input."""
    if not stdin:
        return forked_invoke.invoke(("run", *words), project.directory, project.own_environment)
    client = project.start("run", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = client.communicate(stdin, timeout=120)
    return subprocess.CompletedProcess(words, client.returncode, out, err)


def history(project: Project) -> list[dict[str, Any]]:
    """Return what `invoke history --json` prints: the records of all runs, the oldest first."""
    found: list[dict[str, Any]] = json.loads(project.invoke("history", "--last", "1000", "--json").stdout)
    return found


def records(project: Project) -> list[dict[str, Any]]:
    """Return the same from this process, which saves the half second of Invoke."""
    found: list[dict[str, Any]] = json.loads(views.json_array(map(of_run, project.runs.records())))
    return found


def record(project: Project, identity: str = "") -> dict[str, Any]:
    """Return the record of a run, by default the last one."""
    found = records(project)
    return next((each for each in found if each["id"] == identity), found[-1] if found else {})


def output(project: Project, identity: str) -> bytes:
    """Return what a run printed on standard output so far."""
    return b"".join(data for stream, data in project.runs.output(identity, follow=False) if stream == STDOUT)


def detached(project: Project, *words: str) -> str:
    """Start a detached run and return its id, which is all that is printed."""
    done = project.invoke("run", "--detach", *words)
    assert "" == done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Attended:
    """A run that has exited, with its output."""

    id: str
    code: int
    out: bytes
    err: bytes


def attended(project: Project, *words: str, times: int, at_once: int = 1, keep: int = KEPT) -> list[Attended]:
    """Run a command `times` times and keep `keep` records, as clients do, without the half second of Invoke.

    It is done in other processes, as a session holds its connections until its client ends.
    """
    one = functools.partial(_attended, project.engine_name, without_contents(project.stack), words, keep)
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as processes:
        return list(processes.map(one, range(times)))


def without_contents(stack: Stack) -> Stack:
    """Return a stack without its build contexts, which are open files of this process."""
    services = (
        each if each.build is None else replace(each, build=replace(each.build, contents=None))
        for each in stack.services
    )
    return replace(stack, services=tuple(services))


def _attended(engine_name: str, stack: Stack, words: tuple[str, ...], keep: int, _: int) -> Attended:
    engine = choice.choose(engine_name, stack)
    request = new_request(words, choose_source(engine))
    session = engine.runs.start(request)
    streams = {STDOUT: b"", STDERR: b""}
    for stream, data in session.output():
        streams[stream] += data
    code = session.wait()
    engine.runs.prune(keep)
    return Attended(request.id, code, streams[STDOUT], streams[STDERR])


def lifecycle_url(project: Project) -> str:
    """Return the address of a stack that is up."""
    return require_address(choice.choose(project.engine_name, project.stack))


def read_until(terminal: int, mark: bytes, within: float = 30.0) -> bytes:
    """Return the output of a terminal up to the mark."""
    seen = b""
    deadline = time.monotonic() + within
    with contextlib.suppress(OSError):
        while mark not in seen and select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            seen += os.read(terminal, 4096)
    return seen


@dataclass
class Terminal:
    """A pseudo-terminal: `near` is the window and the keyboard, `far` the end that programs have open."""

    near: int
    far: int
    unread: bytes = field(default=b"")

    def start(self, project: Project, *words: str) -> subprocess.Popen[bytes]:
        """Start `invoke` as a shell in this window does: with the terminal as its controlling terminal."""
        line = self.far
        return project.start(
            *words,
            stdin=line,
            stdout=line,
            stderr=line,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.near, keys.encode())

    def until(self, mark: str, within: float = 30.0) -> str:
        """Return the output since the last mark up to this one; if it does not come in time, all output."""
        deadline = time.monotonic() + within
        while mark.encode() not in self.unread and (left := deadline - time.monotonic()) > 0:
            if select.select([self.near], [], [], left)[0]:
                self.unread += os.read(self.near, 4096)
        before, found, self.unread = self.unread.partition(mark.encode())
        return (before + found).decode()

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; the kernel signals the process in the foreground."""
        termios.tcsetwinsize(self.near, (rows, columns))

    @property
    def settings(self) -> list[Any]:
        """Return the line's settings."""
        return termios.tcgetattr(self.far)


@contextlib.contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Yield a terminal."""
    terminal = Terminal(*os.openpty())
    terminal.resize(ROWS, COLUMNS)
    try:
        yield terminal
    finally:
        os.close(terminal.near)
        os.close(terminal.far)
