"""A run that is interrupted during its start either never starts, or finishes and is recorded."""

from __future__ import annotations

import gc
import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.runs.client import run
from twelfth.engines.docker.engine import Docker
from twelfth.engines.docker_api import container_spec, run_spec
from twelfth.engines.local.session import LocalSession
from twelfth.errors import EngineError, NotUpError
from twelfth.runs.manage import find_run
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.runs.start import start_attached

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project
    from twelfth.engines.contract import Engine, Session
    from twelfth.model.run import Run, RunRequest

abandons = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""An interrupted session is not closed; usually the exit of its process does that, here `gc.collect` does."""

KILLED, AT_ONCE = 20, 4
COMMAND = ("sh", "-c", "sleep 1.0125; exit 5")


def request(engine: Engine, *command: str) -> RunRequest:
    """Return a request of a command without input."""
    return new_request(command, choose_source(engine), interactive=False)


def interrupt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, after: bool, by: type[BaseException] = KeyboardInterrupt
) -> None:
    """Interrupt each start of a run, just before or just after the request."""

    def interrupted(start: Callable[..., None]) -> Callable[..., None]:
        def instead(*arguments: object) -> None:
            if after:
                start(*arguments)
            raise by

        return instead

    if api := getattr(engine, "api", None):
        monkeypatch.setattr(api, "start", interrupted(api.start))
    else:
        monkeypatch.setattr(LocalSession, "start", interrupted(LocalSession.start))


@abandons
@pytest.mark.parametrize("way", ["start", "detach"])
def test_run_that_has_started_when_its_start_is_interrupted_goes_on(
    serving: Project, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """After Ctrl-C, or if an answer was lost: the output is not cut off, and the exit is recorded."""
    engine = serving.engine()
    wanted = request(engine, "sh", "-c", "sleep 1; exit 5")
    interrupt(engine, monkeypatch, after=True)
    with pytest.raises(KeyboardInterrupt):
        getattr(engine.runs, way)(wanted)
    gc.collect()

    engine = serving.engine()
    assert eventually(lambda: ("failed", 5) == _end(find_run(engine, wanted.id)))


@pytest.mark.thorough
@abandons
@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_run_whose_start_was_not_answered_goes_on(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's answer was lost; the error names the command that shows the run."""
    engine = serving.engine()
    wanted = request(engine, "sh", "-c", "sleep 1; exit 5")
    interrupt(engine, monkeypatch, after=True, by=ConnectionError)
    with pytest.raises(EngineError, match="it may still be running, see: invoke history"):
        engine.runs.detach(wanted)
    gc.collect()

    engine = serving.engine()
    assert eventually(lambda: ("failed", 5) == _end(find_run(engine, wanted.id)))


def _end(run: object) -> tuple[object, object]:
    return getattr(run, "state", None), getattr(run, "exit_code", None)


@pytest.mark.thorough
@abandons
def test_run_that_has_not_started_when_it_is_interrupted_never_was(
    serving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most its container was created; its command is not executed."""
    engine = serving.engine()
    wanted = request(engine, "true")
    interrupt(engine, monkeypatch, after=False)
    with pytest.raises(KeyboardInterrupt):
        engine.runs.start(wanted)
    gc.collect()

    runs = serving.engine().runs
    assert eventually(lambda: {run.state for run in runs.records() if run.id == wanted.id} <= {"created"})


@pytest.mark.thorough
def test_interrupt_while_a_run_starts_is_forwarded_to_it(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends by it, with its own exit code and its record."""
    engine = serving.engine()
    start = type(engine.runs).start

    def slowly(self: object, wanted: RunRequest, ready: object) -> Session:
        signal.raise_signal(signal.SIGINT)
        return start(self, wanted, ready)  # type: ignore[arg-type]

    monkeypatch.setattr(type(engine.runs), "start", slowly)
    wanted = request(engine, "sleep", "60")

    assert 130 == start_attached(engine, wanted, print)
    assert ("failed", 130) == _end(find_run(engine, wanted.id))


@pytest.mark.thorough
def test_worker_that_goes_before_its_run_starts_is_told(serving: Project) -> None:
    """In one line, with nothing started."""
    engine = serving.engine()
    gone = replace(choose_source(engine), id="nothing", number=9)
    before = engine.runs.records()

    with pytest.raises(NotUpError, match=r"^worker-9 is gone; repeat the command"):
        engine.runs.start(new_request(["true"], gone))
    assert before == engine.runs.records()


@pytest.mark.thorough
def test_killed_client_leaves_a_run_that_ends_and_is_recorded(serving: Project) -> None:
    """kill -9 at 20 random moments: never started, or ended by itself with its true exit code; nothing else is left."""  # noqa: D403
    chance = random.Random(7)  # noqa: S311 - moments for a test
    within = 1.4 * seconds_of_clients(serving)  # so that some have started their run, however busy the machine is
    for _ in range(KILLED // AT_ONCE):
        kill_at(serving, sorted(chance.uniform(0.1, within) for _ in range(AT_ONCE)))

    engine = serving.engine()
    assert eventually(lambda: all(is_settled(each) for each in killed(engine)))
    assert 5 in {each.exit_code for each in killed(engine)}
    assert 0 == run(serving, "--", "true").returncode
    assert eventually(lambda: set() == left(engine, serving))


def seconds_of_clients(project: Project) -> float:
    """Return how long several clients take at the same time for a run that exits immediately."""
    began = time.monotonic()
    clients = [project.start("run", "--", "true", stdin=subprocess.DEVNULL) for _ in range(AT_ONCE)]
    assert [0] * AT_ONCE == [client.wait(60) for client in clients]
    return time.monotonic() - began


def kill_at(project: Project, moments: list[float]) -> None:
    """Start a client for each moment (in seconds), all of them now, and kill each at its moment."""
    clients = [project.start("run", "--", *COMMAND, stdin=subprocess.DEVNULL) for _ in moments]
    began = time.monotonic()
    for client, moment in zip(clients, moments, strict=True):
        time.sleep(max(0, began + moment - time.monotonic()))
        client.kill()
        client.wait()


def killed(engine: Engine) -> list[Run]:
    """Return the records of the runs whose clients were killed."""
    return [each for each in engine.runs.records() if each.command == COMMAND]


def is_settled(record: Run) -> bool:
    """Return whether a run can no longer change: it never started, or exited by itself."""
    return (record.state, record.exit_code) in {("created", None), ("failed", 5)}


def left(engine: Engine, project: Project) -> set[str]:
    """Return the containers, or processes of runs, that neither `status` nor `history` shows."""
    if isinstance(engine, Docker):
        return containers(engine) - {each.id for each in engine.runs.records()}
    return processes(str(project.directory))


def containers(engine: Docker) -> set[str]:
    """Return the project's containers that are not replicas: the run's id, else the name."""
    project = f"{container_spec.COMPOSE}project={engine.stack.project}"
    found = engine.api.containers(all=True, filters={"label": [project, f"{container_spec.COMPOSE}oneoff=True"]})
    return {each["Labels"].get(run_spec.RUN, each["Names"][0]) for each in found}


def processes(directory: str) -> set[str]:
    """Return the processes of runs, and their monitors, which have the run's directory in their command line."""
    ps = shutil.which("ps")
    assert ps
    lines = subprocess.run([ps, "-eo", "args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line for line in lines if (directory in line and "/runs/" in line) or COMMAND[-1] in line}
