"""No descendant survives when a run of the local engine, its monitor or its supervisord exits."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from twelfth.engines.json_file import write_json
from twelfth.engines.local.runs import LocalRuns
from twelfth.engines.local.session import LocalSession
from twelfth.engines.local.supervisord import Supervisor
from twelfth.model.run import RunRequest
from twelfth.model.snapshot import Replica

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., LocalSession]

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers and parent-death signals")
WORKER = Replica("worker", 1, "", "running", {}, release="abc")

DAEMON = """\
import os, signal, sys, time
if os.fork():
    os.wait()
    END
os.setsid()
if os.fork():
    os._exit(0)
WORK
"""
"""A double fork with setsid in between; the daemon then executes WORK, and its run END."""

SLEEP = "open('began', 'w').close(); time.sleep(60)"
DEAF = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
FORKS = """\
end = time.monotonic() + 5
while time.monotonic() < end:
    os.write(os.open("began", os.O_CREAT | os.O_APPEND | os.O_WRONLY), b".")
    if os.fork():
        os._exit(0)
"""
"""A daemon that forks all the time and writes a byte in each process; it exits by itself after five seconds."""


def daemon(work: str, end: str) -> tuple[str, ...]:
    """Return the command of a run that starts a daemon."""
    return (sys.executable, "-c", DAEMON.replace("END", end).replace("WORK", work))


@pytest.fixture
def runs(tmp_path: Path) -> LocalRuns:
    """Return the runs of a worker whose release is the test's directory and whose grace period is a second."""
    recipe = {"stop_grace_period": "1s"}
    environment = {"PATH": os.environ["PATH"], "MARK": str(tmp_path)}
    worker = {"release": "abc", "recipe": recipe, "environment": environment, "directory": str(tmp_path)}
    return LocalRuns(tmp_path, lambda _: worker)


def marked(directory: Path) -> set[int]:
    """Return the running processes with the directory in their environment, which every descendant inherits."""
    processes = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            is_marked = f"MARK={directory}\0".encode() in path.read_bytes()  # a zombie has no environment
        except OSError:
            continue
        if is_marked:
            processes.add(int(path.parent.name))
    return processes


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Kill the processes that a failing test leaves."""
    yield
    while processes := marked(tmp_path):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture
def start(runs: LocalRuns) -> Iterator[Start]:
    """Return a function that starts a run; its session is closed after the test."""
    with contextlib.ExitStack() as stack:

        def start(*command: str, timeout: float | None = None) -> LocalSession:
            session = runs.start(RunRequest("ab12", command, WORKER, interactive=False, timeout=timeout))
            assert isinstance(session, LocalSession)
            stack.callback(session.monitor.wait)
            stack.callback(session.monitor.kill)
            stack.callback(session.streams.close)
            stack.callback(session.control.close)
            return session

        yield start


@linux
@pytest.mark.parametrize("work", [SLEEP, DEAF], ids=["sleeps", "is deaf to TERM"])
def test_daemon_is_killed_with_its_run_which_keeps_its_exit_code(
    runs: LocalRuns, start: Start, tmp_path: Path, work: str
) -> None:
    """A double fork and setsid do not let it escape."""
    session = start(*daemon(work, "sys.exit(7)"))

    assert [] == list(session.output())
    assert 7 == session.wait()
    assert set() == marked(tmp_path)
    assert [("failed", 7)] == [(run.state, run.exit_code) for run in runs.records()]


@linux
def test_daemon_that_keeps_forking_is_killed_with_its_run(start: Start, tmp_path: Path) -> None:
    """Its process id has changed by the time it is known."""
    assert 7 == start(*daemon(FORKS, "time.sleep(0.2); sys.exit(7)")).wait()
    written = (tmp_path / "began").stat().st_size
    time.sleep(0.1)

    assert written == (tmp_path / "began").stat().st_size


@linux
def test_daemon_is_killed_at_the_time_limit_of_its_run(start: Start, tmp_path: Path) -> None:
    """The time limit applies to all descendants of the run."""
    assert 124 == start(*daemon(SLEEP, "time.sleep(60)"), timeout=0.5).wait()
    assert (tmp_path / "began").exists()
    assert set() == marked(tmp_path)


@linux
def test_daemon_is_killed_when_its_run_is_stopped(runs: LocalRuns, start: Start, tmp_path: Path) -> None:
    """`stop` returns when all processes have exited."""
    start(*daemon(SLEEP, "time.sleep(60)"))
    assert eventually((tmp_path / "began").exists)
    runs.stop("ab12", lambda _: None)

    assert set() == marked(tmp_path)
    assert ["stopped"] == [run.state for run in runs.records()]


@linux
def test_orphans_of_a_running_run_are_reaped(start: Start, tmp_path: Path) -> None:
    """They leave no zombies, which would count against the operator's limit of processes."""
    session = start("sh", "-c", "for i in 1 2 3 4 5; do (true &); done; touch began; exec sleep 60")
    assert eventually((tmp_path / "began").exists)
    children = Path(f"/proc/{session.monitor.pid}/task/{session.monitor.pid}/children")

    assert eventually(lambda: 1 == len(children.read_text("ascii").split()))


@linux
def test_run_stops_when_its_monitor_is_killed(runs: LocalRuns, start: Start, tmp_path: Path) -> None:
    """Without a monitor, no command could stop it, and it would have no time limit."""
    session = start("sh", "-c", "touch began; exec sleep 60")
    assert eventually((tmp_path / "began").exists)
    session.monitor.kill()

    assert eventually(lambda: set() == marked(tmp_path))
    assert eventually(lambda: ["lost"] == [run.state for run in runs.records()])


@linux
def test_processes_stop_when_their_supervisord_is_killed(tmp_path: Path) -> None:
    """None survives and keeps a port or the data."""
    supervisor = Supervisor(tmp_path)
    for name in ("services", "logs"):
        (tmp_path / name).mkdir()
    supervisor.start()
    environment = {"PATH": os.environ["PATH"], "MARK": str(tmp_path)}
    spec = tmp_path / "services" / "worker-1.json"
    write_json(spec, {"command": ["sleep", "60"], "environment": environment, "directory": str(tmp_path)})
    supervisor.add("worker-1", spec, restart="always", grace=1)
    assert eventually(lambda: bool(marked(tmp_path)))
    os.kill(int((tmp_path / "supervisord.pid").read_text("utf-8")), signal.SIGKILL)

    assert eventually(lambda: set() == marked(tmp_path))
