"""The pause container whose namespace attached runs join: no run loses its network, nothing is kept from removal."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import eventually
from twelfth.engines.docker import pause, reaper, run_container, run_record
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.runs.start import start_attached

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project
    from twelfth.engines.docker.engine import Docker
    from twelfth.model.run import RunRequest

pytestmark = pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
SEES_REDIS = ("getent", "hosts", "redis")


@pytest.fixture
def engine(serving: Project) -> Docker:
    """Return the engine of a stack that is up, without a pause container."""
    made: Docker = serving.engine()  # type: ignore[assignment]
    pause.remove_all(made.api, serving.name)
    return made


@pytest.mark.parametrize("mode", ["none", "host", f"{run_container.JOINED}another"])
def test_worker_without_a_network_of_its_own_gets_no_pause_container(engine: Docker, mode: str) -> None:
    """There is nothing that one could hold for its runs."""
    worker = engine.api.inspect_container(choose_source(engine).id)
    worker["HostConfig"]["NetworkMode"] = mode

    assert "" == pause.find_or_make(engine.api, engine.stack.project, worker)
    assert [] == names(engine)


def request(engine: Docker, *command: str) -> RunRequest:
    """Return a request of a command without input."""
    return new_request(command, choose_source(engine), interactive=False)


def names(engine: Docker) -> list[tuple[str, str]]:
    """Return the state and the name of each pause container of the stack."""
    return [(each["State"], each["Names"][0].lstrip("/")) for each in pause.listed(engine.api, engine.stack.project)]


def mode(engine: Docker, wanted: RunRequest) -> str:
    """Return what network a run was made with."""
    name = f"{engine.stack.project}-run-{wanted.id}"
    return str(engine.api.inspect_container(name)["HostConfig"]["NetworkMode"])


def mode_of_worker(engine: Docker) -> str:
    """Return what network the worker was made with, the first of its own."""
    return str(engine.api.inspect_container(choose_source(engine).id)["HostConfig"]["NetworkMode"])


def test_runs_in_a_row_join_one_pause_container(engine: Docker) -> None:
    """The second needs no interfaces to be made."""
    wanted = [request(engine, *SEES_REDIS) for _ in range(2)]

    assert [0, 0] == [start_attached(engine, each) for each in wanted]
    assert 1 == len({mode(engine, each) for each in wanted})
    assert mode(engine, wanted[0]).startswith("container:")
    assert 1 == len(names(engine))


def test_pause_container_that_a_killed_client_left_unstarted_serves_the_next_run(engine: Docker) -> None:
    """It is found by its name; there is one a stack, however many clients come first."""
    worker = engine.api.inspect_container(choose_source(engine).id)
    name = pause.container_name(engine.stack.project, worker)
    engine.api.create_container_from_config(pause.body(worker), name)

    assert 0 == start_attached(engine, request(engine, "true"))
    assert [("running", name)] == names(engine)


@pytest.mark.parametrize("call", ["create_container_from_config", "attach_socket", "start"])
def test_run_whose_pause_container_goes_before_it_starts_has_interfaces_of_its_own(
    engine: Docker, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Removed by whoever, at whatever moment: nobody is told, the run just works."""
    assert 0 == start_attached(engine, request(engine, "true"))  # there is a pause container
    wanted, real = request(engine, *SEES_REDIS), getattr(engine.api, call)

    def too_late(*arguments: Any, **options: Any) -> Any:
        pause.remove_all(engine.api, engine.stack.project)
        return real(*arguments, **options)

    monkeypatch.setattr(engine.api, call, too_late)
    assert 0 == start_attached(engine, wanted)
    assert mode_of_worker(engine) == mode(engine, wanted)


def test_run_does_not_join_a_pause_container_that_is_about_to_go(
    engine: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes it has looked for runs already."""
    create: Callable[[dict[str, Any], str], Any] = engine.api.create_container_from_config
    wanted = request(engine, *SEES_REDIS)

    def renamed(body: dict[str, Any], name: str) -> Any:
        for _, held in names(engine):
            if not pause.is_leaving(held):
                engine.api.rename(held, held + pause.LEAVING)
        return create(body, name)

    monkeypatch.setattr(engine.api, "create_container_from_config", renamed)
    assert 0 == start_attached(engine, wanted)
    assert mode_of_worker(engine) == mode(engine, wanted)


def test_pause_container_stays_while_a_run_needs_it(engine: Docker) -> None:
    """One that goes on, and one that is about to start; then it goes."""
    project = engine.stack.project
    session = engine.runs.start(request(engine, "sleep", "60"))
    pause.remove_unused(engine.api, project, time.time())
    ((_, name),) = names(engine)
    assert not pause.is_leaving(name)
    session.signal(signal.SIGKILL)
    assert 137 == session.wait()

    worker = engine.api.inspect_container(choose_source(engine).id)
    body = run_container.joined(
        run_container.body(worker, wanted := request(engine, "true")), engine.api.inspect_container(name)["Id"]
    )
    engine.api.create_container_from_config(body, f"{project}-run-{wanted.id}")
    pause.remove_unused(engine.api, project, time.time())
    assert [("running", name)] == names(engine)
    pause.remove_unused(engine.api, project, time.time() + run_record.STARTED_WITHIN + 1)
    assert [] == names(engine)


def test_pause_container_that_is_idle_is_removed(engine: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever watches it is done."""
    monkeypatch.setattr(reaper, "IDLE", 0.2)
    assert 0 == start_attached(engine, request(engine, "true"))
    reaper.reap(engine.api, engine.stack.project)

    assert [] == names(engine)


def is_watched(project: Project) -> bool:
    """Return whether there is a process that holds the lock of the one that removes pause containers."""
    with (project.directory / ".twelfth" / f"{project.name}.reaper").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_next_run_replaces_a_process_that_was_killed(engine: Docker, serving: Project) -> None:
    """There is one a stack; it holds nothing but its lock, which its death frees."""
    for _ in range(2):
        assert 0 == start_attached(engine, request(engine, "true"))
        (process,) = watchers(serving)
        assert is_watched(serving)
        os.kill(process, signal.SIGKILL)
        assert eventually(lambda: not is_watched(serving))


def watchers(project: Project) -> list[int]:
    """Return the processes that watch the project's pause containers."""
    ps = shutil.which("ps")
    assert ps
    listed = subprocess.run([ps, "-wweo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [
        int(line.split()[0])
        for line in listed.splitlines()
        if line.endswith(f"twelfth.engines.docker.reaper {project.name}")
    ]
