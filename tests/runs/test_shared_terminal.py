"""A client that shares its terminal or its pipes: background jobs, Ctrl-Z, non-blocking descriptors."""

from __future__ import annotations

import fcntl
import os
import random
import shlex
import signal
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from tests import forked_invoke
from tests.conftest import eventually
from tests.runs.client import COLUMNS, ROWS, Terminal, open_terminal, record
from twelfth.runs import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project

CTRL_C, CTRL_P, CTRL_Q, CTRL_Z = "\x03", "\x10", "\x11", "\x1a"
on_local = pytest.mark.parametrize("engine_name", ["local"], indirect=True)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Yield a terminal."""
    with open_terminal() as made:
        yield made


def test_non_blocking_pipes_lose_nothing(serving: Project) -> None:
    """Another program set O_NONBLOCK on both; input comes late, the reader is slow, and the flag stays."""
    data = random.Random(24).randbytes(2_000_000)  # noqa: S311 - data for a test
    source, writer = os.pipe()
    reader, target = os.pipe()
    for end in (source, writer, reader, target):
        os.set_blocking(end, False)
    client = serving.start("run", "--", "cat", stdin=source, stdout=target)
    time.sleep(2)
    assert client.poll() is None
    first, rest = data[:10_000], data[10_000:]
    descriptors.write(writer, first)
    if os.fork() == 0:
        descriptors.write(writer, rest)
        os._exit(0)
    os.close(writer)
    os.close(target)
    time.sleep(2)
    taken = b"".join(iter(lambda: descriptors.read(reader), b""))

    assert 0 == client.wait(60)
    assert data == taken
    assert fcntl.fcntl(source, fcntl.F_GETFL) & os.O_NONBLOCK
    os.wait()
    os.close(source)
    os.close(reader)


def shell(project: Project, terminal: Terminal, script: str) -> subprocess.Popen[bytes]:
    """Start bash with job control on the terminal."""
    line = terminal.far
    client = subprocess.Popen(
        ["/bin/bash", "-c", f"set -m; {script}"],
        cwd=project.directory,
        env=project.own_environment,
        stdin=line,
        stdout=line,
        stderr=line,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - before any thread of this test
    )
    project.clients.append(client)
    return client


@pytest.mark.parametrize("output", [" > {}", ""])
def test_background_job_ends_by_itself(serving: Project, terminal: Terminal, tmp_path: Path, output: str) -> None:
    """It is not stopped for its input (SIGTTIN), nor for the terminal's settings (SIGTTOU), which it leaves alone."""
    before = terminal.settings
    printed = output.format(shlex.quote(str(tmp_path / "printed")))
    invoke = shlex.quote(str(forked_invoke.INVOKE))
    bash = shell(serving, terminal, f"{invoke} run -- sh -c 'sleep 1; exit 3'{printed} & wait $!; echo code $?")

    assert terminal.until("code 3", 40).endswith("code 3")
    assert 0 == bash.wait(30)
    assert before == terminal.settings


def test_ctrl_p_ctrl_q_leaves_a_run_that_ctrl_z_stopped(serving: Project, terminal: Terminal) -> None:
    """In a program that is no shell, no other key would do anything; the run is found by the id that is printed."""
    before = terminal.settings
    client = terminal.start(serving, "run", "--", "sh", "-c", "echo ready; exec sleep 67")
    terminal.until("ready")
    identity = record(serving)["id"]
    terminal.type(CTRL_Z)
    time.sleep(0.3)
    terminal.type(CTRL_P)
    time.sleep(0.3)
    terminal.type(CTRL_Q)

    assert 0 == client.wait(20)
    assert f"detached from run {identity}" in terminal.until("\r\n", 5) + terminal.until("\r\n", 5) + terminal.until(
        "\r\n", 5
    )
    assert before == terminal.settings
    assert "running" == record(serving, identity)["state"]
    assert 0 == serving.invoke("stop", identity).returncode


@pytest.mark.thorough
def test_run_that_was_left_goes_on_to_its_end(serving: Project, terminal: Terminal) -> None:
    """Its output is kept and its end is recorded."""
    client = terminal.start(serving, "run", "--", "sh", "-c", "echo ready; sleep 2; echo later; exit 5")
    terminal.until("ready")
    identity = record(serving)["id"]
    terminal.type(CTRL_P + CTRL_Q)

    assert 0 == client.wait(20)
    assert eventually(lambda: record(serving, identity)["exit_code"] == 5)
    assert "later" in serving.invoke("logs", "--run", identity).stdout


@pytest.mark.thorough
def test_ctrl_p_reaches_the_run_at_once(serving: Project, terminal: Terminal) -> None:
    """The daemon would delay it until the next key, in case that is Ctrl-Q."""
    reading = "import sys, tty; tty.setraw(0); print('ready', flush=True); print(repr(sys.stdin.read(1)), flush=True)"
    client = terminal.start(serving, "run", "--", "python", "-c", reading)
    terminal.until("ready")
    terminal.type(CTRL_P)

    assert "'\\x10'" in terminal.until("'\\x10'", 10)
    assert 0 == client.wait(30)


@pytest.mark.thorough
def test_terminal_is_raw_again_after_a_stop(serving: Project, terminal: Terminal) -> None:
    """A shell whose job is stopped takes the terminal back and changes its settings."""
    cooked = terminal.settings
    client = terminal.start(serving, "run", "--", "sh", "-c", "echo ready; cat")
    terminal.until("ready")
    raw = terminal.settings
    client.send_signal(signal.SIGSTOP)
    termios.tcsetattr(terminal.far, termios.TCSANOW, cooked)
    client.send_signal(signal.SIGCONT)

    assert eventually(lambda: raw == terminal.settings)
    terminal.type(CTRL_C)
    assert 130 == client.wait(30)
    assert cooked == terminal.settings


@pytest.mark.thorough
@on_local
def test_terminal_has_its_size_and_kind_from_the_start(serving: Project, terminal: Terminal) -> None:
    """A program that asks immediately gets the operator's size, not 0 by 0; a declared or requested value wins."""
    serving.environment["TERM"] = "vt220"
    for _ in range(3):
        client = terminal.start(serving, "run", "--", "sh", "-c", "stty size; echo $TERM")

        assert f"{ROWS} {COLUMNS}\r\nvt220\r\n" == terminal.until("vt220\r\n")
        assert 0 == client.wait(30)
    client = terminal.start(serving, "run", "--env", "TERM=linux", "--", "printenv", "TERM")
    assert "linux\r\n" == terminal.until("linux\r\n")
    assert 0 == client.wait(30)
