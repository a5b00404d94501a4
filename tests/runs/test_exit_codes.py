"""How a run exits: by itself, by a signal, its time limit or an operator, and its record afterwards."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually, make_project
from tests.runs.client import detached, output, record, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

pytestmark = pytest.mark.sampled_on("docker")

DEAF = ("sh", "-c", "trap '' TERM; echo deaf; sleep 60")
"""A run that ignores TERM."""


@pytest.fixture(scope="module")
def impatient(engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project that is up and whose worker has one second between TERM and KILL."""
    made = make_project(engine_name, tmp_path_factory.mktemp("impatient"))
    file = made.directory / "docker-compose.yml"
    text = file.read_text("utf-8")
    assert 1 == text.count("stop_grace_period: 10s")
    file.write_text(text.replace("stop_grace_period: 10s", "stop_grace_period: 1s"), "utf-8")
    made.up()
    yield made
    made.end()


def ended(project: Project, identity: str) -> tuple[str, int | None]:
    """Wait until a run has exited, and return its state and exit code."""
    assert eventually(lambda: record(project, identity)["exit_code"] is not None)
    found = record(project, identity)
    return found["state"], found["exit_code"]


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [
        (("sh", "-c", "exit 7"), 7, "failed"),
        (("true",), 0, "done"),
        (("no-such-program",), 127, "failed"),
        (("sh", "-c", "kill -9 $$"), 137, "failed"),
        (("sh", "-c", "exit 124"), 124, "failed"),
    ],
)
def test_run_ends_with_its_own_exit_code_and_so_does_its_record(
    serving: Project, words: tuple[str, ...], code: int, state: str
) -> None:
    """The process's own, 127 for none, 128+n for a signal; attached and detached alike."""
    done = run(serving, "--timeout", "60", "--", *words)
    assert (code, False) == (done.returncode, b"timed out" in done.stderr)
    assert (state, code) == ended(serving, detached(serving, "--", *words))


def test_program_that_is_not_executable_is_126(serving: Project) -> None:
    """As the shell has it."""
    assert 126 == run(serving, "--", "/etc/hostname").returncode


def test_time_limit_ends_the_run_with_124(serving: Project) -> None:
    """It gets TERM; one line and the record have the reason."""
    done = run(serving, "--timeout", "0.5", "--", "sleep", "60")
    kept = record(serving)

    assert ("timeout", 124, 124) == (kept["state"], kept["exit_code"], done.returncode)
    said = f"twelfth: run {kept['id']} timed out after 0.5 s; its output: invoke logs --run {kept['id']}\n"
    assert said == done.stderr.decode()


def test_time_limit_ends_a_detached_run_too(serving: Project) -> None:
    """No client is attached."""
    assert ("timeout", 124) == ended(serving, detached(serving, "--timeout", "0.5", "--", "sleep", "60"))


def test_time_limit_holds_when_the_client_is_gone(serving: Project) -> None:
    """No client needs to be running."""
    client = serving.start("run", "--timeout", "3", "--", "sleep", "61", stdin=subprocess.DEVNULL)
    runs = serving.engine().runs
    assert eventually(lambda: any(each.is_running and "61" in each.command for each in runs.records()))
    client.kill()
    client.wait()

    assert eventually(lambda: record(serving)["state"] == "timeout")


@pytest.mark.thorough
def test_time_limit_holds_when_the_client_is_stopped(serving: Project) -> None:
    """By Ctrl-Z, for example: no one reads the run's output, and the record does not wait for that."""
    client = serving.start("run", "--timeout", "3", "--", "yes", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    runs = serving.engine().runs
    assert eventually(lambda: any(each.is_running and each.command == ("yes",) for each in runs.records()))
    client.send_signal(signal.SIGSTOP)
    identity = next(each.id for each in runs.records() if each.is_running)
    try:
        assert eventually(lambda: record(serving, identity)["state"] == "timeout", 10)
    finally:
        client.send_signal(signal.SIGCONT)
    assert 124 == client.wait(30)


@pytest.mark.thorough
def test_time_limit_kills_a_run_that_ignores_term(impatient: Project) -> None:
    """It gets KILL after the worker's grace period of a second; the state is still `timeout`."""
    done = run(impatient, "--timeout", "0.5", "--", *DEAF)

    kept = record(impatient)
    assert (124, b"deaf\n") == (done.returncode, done.stdout)
    assert ("timeout", 124) == (kept["state"], kept["exit_code"])
    assert 1.4 < kept["seconds"] < 10


@pytest.mark.thorough
def test_stop_kills_a_run_that_ignores_term(impatient: Project) -> None:
    """It gets KILL after the worker's grace period, not after the usual ten seconds."""
    identity = detached(impatient, "--", *DEAF)
    assert eventually(lambda: output(impatient, identity) == b"deaf\n")
    began = time.monotonic()
    done = impatient.invoke("stop", identity)

    assert f"{identity} stopped, exit code 137\n" == done.stdout
    assert f"twelfth: run {identity} has 1 s to exit after TERM; then it is killed\n" == done.stderr
    assert 1 < time.monotonic() - began < 10
    assert ("stopped", 137) == ended(impatient, identity)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 3), (signal.SIGTERM, 4)])
def test_signals_are_forwarded_to_the_run(serving: Project, number: signal.Signals, code: int) -> None:
    """Ctrl-C and TERM are passed to the run, whose exit code counts."""
    program = (
        "import signal, sys, time\n"
        "for number, code in ((signal.SIGINT, 3), (signal.SIGTERM, 4)):\n"
        "    signal.signal(number, lambda got, _, code=code: sys.exit(code))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    client = serving.start("run", "--", "python", "-c", program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert client.stdout
    assert b"ready\n" == client.stdout.readline()
    client.send_signal(number)

    assert code == client.wait(60)


@pytest.mark.thorough
def test_interrupt_ends_a_program_that_has_no_answer_of_its_own(serving: Project) -> None:
    """Plain `sleep`: the run inherits no ignored signal, and unread input delays no signal."""
    with Path("/dev/zero").open("rb") as zeros:
        client = serving.start("run", "--", "sleep", "62", stdin=zeros)
    assert eventually(lambda: "62" in record(serving).get("command", []) and record(serving)["state"] == "running")
    time.sleep(0.5)  # until the input is full
    client.send_signal(signal.SIGINT)

    assert 130 == client.wait(30)


def test_lost_terminal_leaves_the_run_going(serving: Project) -> None:
    """SIGHUP stops the client only; the run is found, followed and stopped by its id."""
    client = serving.start(
        *("run", "--", "sh", "-c", "echo started; sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )
    assert client.stdout
    assert b"started\n" == client.stdout.readline()
    client.send_signal(signal.SIGHUP)
    client.wait(10)

    identity = record(serving)["id"]
    assert "running" == record(serving)["state"]
    assert "started\n" == serving.invoke("logs", "--run", identity).stdout
    assert f"{identity} stopped" in serving.invoke("stop", identity[:6]).stdout
    assert "stopped" == record(serving, identity)["state"]
