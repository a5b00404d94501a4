"""What every engine must do: the same tests against each (the idea is huey's storage tests)."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from bench import hits
from tests.conftest import eventually
from twelfth.engines.lines import whole_lines
from twelfth.errors import MisuseError
from twelfth.runs.source import choose_source
from twelfth.stack.status import require_address, status

if TYPE_CHECKING:
    from tests.conftest import Project
    from twelfth.model.snapshot import Replica


def replicas(project: Project) -> dict[str, str]:
    """Return the ids of what runs, by name."""
    return {one.name: one.id for one in project.engine().observe().replicas if one.is_running}


def worker(project: Project) -> Replica:
    """Return the worker that a run would be made from."""
    return choose_source(project.engine(), "")


def test_stack_comes_up_serves_and_goes_away_whole(project: Project) -> None:
    """From nothing to the sentence, then nothing is left: no replica, no network, no volume."""
    url = project.up()

    assert "Hello World! 1 times." == hits.sentence(url)
    assert "Hello World! 2 times." == hits.sentence(url)
    project.down()
    left = project.engine().observe()
    assert ((), (), ()) == (left.replicas, left.volumes, () if project.engine_name == "local" else left.networks)


def test_second_up_plans_nothing_and_touches_nothing(project: Project) -> None:
    """Another process sees the same stack and has nothing to do."""
    project.up()
    before = replicas(project)

    assert [] == project.plan()
    project.up()
    assert [] == project.steps()
    assert before == replicas(project)


def test_data_outlives_the_stack_until_volumes_are_named(project: Project) -> None:
    """`down` then `up` goes on counting; `down --volumes` begins anew."""
    hits.sentence(project.up())
    project.down(volumes=False)

    assert "Hello World! 2 times." == hits.sentence(project.up())
    project.down(volumes=True)
    assert "Hello World! 1 times." == hits.sentence(project.up())


def test_changed_file_makes_a_new_release_and_replaces_only_the_worker(project: Project) -> None:
    """Redis and the door are left alone, and the new code answers."""
    url = project.up()
    before = replicas(project)
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8").replace("Hello World!", "Hello Moon!"), "utf-8")

    assert hits.sentence(url).startswith("Hello World!")
    project.up()
    assert hits.sentence(url).startswith("Hello Moon!")
    assert ["worker-1"] == [step.split()[1].rstrip(":") for step in project.steps() if step.startswith("replace")]
    assert before["redis-1"] == replicas(project)["redis-1"]


def test_scaled_workers_share_the_door_and_never_a_number(project: Project) -> None:
    """Two replicas answer, no number comes twice, and scaling back removes one."""
    project.up()
    url = project.up("worker=2")

    assert ["create worker-2: not there"] == project.steps()
    assert eventually(lambda: 2 == len(hits.send_hits(url, 40, 8).replicas))
    report = hits.send_hits(url, 200, 8)
    assert report.is_good
    project.up()
    assert ["remove worker-2: worker is scaled to 1"] == project.steps()


def test_killed_worker_is_back(project: Project) -> None:
    """After kill -9 of the process the engine starts it again, with nobody asking."""
    project.up()
    pid = process_of(project, "worker-1")

    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: process_of(project, "worker-1") not in {0, pid})
    assert eventually(lambda: status(project.engine()).ready)


def test_log_is_read_from_its_end(serving: Project) -> None:
    """As many lines as are asked for, or all where there are not so many."""
    hits.sentence(require_address(serving.engine()))
    engine, one = serving.engine(), worker(serving)
    every = list(whole_lines(engine.logs(one, follow=False)))

    assert every[-1:] == list(whole_lines(engine.logs(one, follow=False, last=1)))
    assert every == list(whole_lines(engine.logs(one, follow=False, last=len(every) + 1)))
    assert [] == list(engine.logs(one, follow=False, last=0))


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
