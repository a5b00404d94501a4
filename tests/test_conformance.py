"""What every engine must do: the same tests against each (the idea is huey's storage tests)."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from bench import hits
from tests.conftest import eventually
from twelfth.engines.lines import whole_lines
from twelfth.errors import MisuseError, ServiceError
from twelfth.runs.source import choose_source
from twelfth.stack.status import require_address, status

if TYPE_CHECKING:
    from tests.conftest import Project
    from twelfth.model.snapshot import Replica


def replicas(project: Project) -> dict[str, str]:
    """Return the ids of the replicas by name."""
    return {one.name: one.id for one in project.engine().observe().replicas if one.is_running}


def worker(project: Project) -> Replica:
    """Return the worker that a run would be made from."""
    return choose_source(project.engine(), "")


def test_stack_comes_up_serves_and_goes_away_whole(project: Project) -> None:
    """After `down` and `up` the counter continues; after `down --volumes` it starts again."""
    url = project.up()

    assert "Hello World! 1 times." == hits.sentence(url)
    assert "Hello World! 2 times." == hits.sentence(url)
    project.down(volumes=False)
    assert "Hello World! 3 times." == hits.sentence(project.up())
    project.down()
    left = project.engine().observe()
    assert ((), (), ()) == (left.replicas, left.volumes, () if project.engine_name == "local" else left.networks)
    assert "Hello World! 1 times." == hits.sentence(project.up())


@pytest.mark.thorough
def test_second_up_plans_nothing_and_touches_nothing(serving: Project) -> None:
    """Another process sees the same stack and has nothing to do."""
    before = replicas(serving)

    assert [] == serving.plan()
    serving.up()
    assert [] == serving.steps()
    assert before == replicas(serving)


@pytest.mark.thorough
def test_scaled_workers_share_the_door_and_never_a_number(serving: Project) -> None:
    """Two replicas answer, no number comes twice, and scaling back removes one."""
    url = serving.up("worker=2")

    assert ["Create worker-2 (missing)", "Wait for worker-2 (until it is ready)"] == serving.steps()
    assert eventually(lambda: 2 == len(hits.send_hits(url, 40, 8).replicas))
    report = hits.send_hits(url, 200, 8)
    assert report.is_good
    serving.up()
    assert ["Remove worker-2 (scale to 1)"] == serving.steps()


def test_killed_worker_is_back(serving: Project) -> None:
    """After kill -9 of the process, the engine restarts it."""
    pid = process_of(serving, "worker-1")

    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: process_of(serving, "worker-1") not in {0, pid})
    assert eventually(lambda: status(serving.engine()).ready)
    assert eventually(lambda: is_answered(serving))


def is_answered(project: Project) -> bool:
    """Return whether a request reaches a worker; the proxy needs a moment to notice that one is back."""
    try:
        return bool(hits.sentence(require_address(project.engine())))
    except ServiceError:
        return False


def test_log_is_read_from_its_end(serving: Project) -> None:
    """At most `last` lines, or all if there are fewer."""
    hits.sentence(require_address(serving.engine()))
    engine, one = serving.engine(), worker(serving)
    every = list(whole_lines(engine.logs(one, follow=False)))

    assert every[-1:] == list(whole_lines(engine.logs(one, follow=False, last=1)))
    assert every == list(whole_lines(engine.logs(one, follow=False, last=len(every) + 1)))
    assert [] == list(engine.logs(one, follow=False, last=0))


@pytest.mark.thorough
def test_changed_file_makes_a_new_release_and_replaces_only_the_worker(serving: Project) -> None:
    """Redis and the door are left alone, and the new code answers."""
    url, before = require_address(serving.engine()), replicas(serving)
    app = serving.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8").replace("Hello World!", "Hello Moon!"), "utf-8")

    assert hits.sentence(url).startswith("Hello World!")
    serving.up()
    assert hits.sentence(url).startswith("Hello Moon!")
    assert ["Create worker-1", "Wait for worker-1", "Watch worker-1 for 0.2 s", "Remove worker-1"] == [
        step.partition(" (")[0] for step in serving.steps()[-4:]
    ]
    assert before["redis-1"] == replicas(serving)["redis-1"]


def process_of(project: Project, replica: str) -> int:
    """Return the process of a replica on this machine, 0 while there is none."""
    engine = project.engine()
    if project.engine_name == "local":
        states = engine.supervisor._call("getAllProcessInfo")  # type: ignore[attr-defined] # noqa: SLF001
        return next(int(each["pid"]) for each in states if each["name"] == replica)
    return int(engine.api.inspect_container(f"{project.name}-{replica}")["State"]["Pid"])  # type: ignore[attr-defined]


def test_taken_port_is_refused_before_anything_is_made(project: Project) -> None:
    """The refusal names the port and the next command; nothing was started."""
    import socket

    with socket.create_server(("127.0.0.1", int(project.environment["PORT"]))), pytest.raises(MisuseError) as refused:
        project.up()

    assert f"port {project.environment['PORT']} is not free" in str(refused.value)
    assert () == project.engine().observe().replicas
