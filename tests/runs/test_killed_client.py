"""A client takes nothing along when it is killed, whenever that is."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from tests.conftest import eventually
from tests.runs.client import run
from twelfth.engines.docker import pause, replica, run_container
from twelfth.engines.docker.engine import Docker

if TYPE_CHECKING:
    from tests.conftest import Project
    from twelfth.engines.contract import Engine
    from twelfth.model.run import Run

KILLED, AT_ONCE, WITHIN = 20, 4, 2.0
COMMAND = ("sh", "-c", "sleep 1.0125; exit 5")


def test_killed_client_leaves_a_run_that_ends_and_is_recorded(serving: Project) -> None:
    """kill -9 at 20 random moments: never started, or ended by itself with its true exit code; nothing else is left."""  # noqa: D403
    chance = random.Random(7)  # noqa: S311 - moments for a test
    for _ in range(KILLED // AT_ONCE):
        kill_at(serving, sorted(chance.uniform(0.1, WITHIN) for _ in range(AT_ONCE)))

    engine = serving.engine()
    assert eventually(lambda: all(is_settled(each) for each in killed(engine)))
    assert 5 in {each.exit_code for each in killed(engine)}
    assert 0 == run(serving, "--", "true").returncode
    assert eventually(lambda: set() == left(engine, serving))


def kill_at(project: Project, moments: list[float]) -> None:
    """Start a client for each moment (seconds), all of them now, and kill each at its own."""
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
    """Return whether a run will never change again: not begun, or ended by itself with its own exit code."""
    return (record.state, record.exit_code) in {("created", None), ("failed", 5)}


def left(engine: Engine, project: Project) -> set[str]:
    """Return what is there that neither `status` nor `history` shows: containers, or processes of runs."""
    if isinstance(engine, Docker):
        return containers(engine) - {each.id for each in engine.runs.records()}
    return processes(str(project.directory))


def containers(engine: Docker) -> set[str]:
    """Return the project's containers that neither serve nor pause: by the run's id, else by name."""
    project = f"{replica.COMPOSE}project={engine.stack.project}"
    found = engine.api.containers(all=True, filters={"label": [project, f"{replica.COMPOSE}oneoff=True"]})
    return {each["Labels"].get(run_container.RUN, each["Names"][0]) for each in found if not is_at_work(each)}


def is_at_work(found: replica.Body) -> bool:
    """Return whether a container holds a namespace for runs: that is no run, and is to be there."""
    return pause.PAUSE in found["Labels"] and found["State"] == "running"


def processes(directory: str) -> set[str]:
    """Return the processes of runs: their monitors have their directory in the command line, they our command."""
    ps = shutil.which("ps")
    assert ps
    lines = subprocess.run([ps, "-eo", "args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line for line in lines if (directory in line and "/runs/" in line) or COMMAND[-1] in line}
