"""A start whose answer is lost, on docker: the daemon did it, and it is never repeated."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests import daemon
from tests.conftest import eventually
from tests.scenarios.load import change
from twelfth.errors import EngineError
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project

pytestmark = [
    pytest.mark.parametrize("engine_name", ["docker"], indirect=True),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # engines that are not closed
]

REQUEST = re.compile(rb"POST /v[0-9.]+(/containers/\S+) HTTP")


class Forgetful(daemon.Way):
    """A proxy to a daemon that loses the answer to the first start of a container and passes everything else.

    The container of the lock does not count: it is created, attached and started in three requests.
    """

    def __init__(self, path: Path, daemon: str) -> None:
        """Listen; see `Way`."""
        self.posted: list[str] = []
        self.has_lost = False
        super().__init__(path, daemon)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
                far.connect(self.daemon)
                self.open += [near, far]
                threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        """Pass requests on; close the connection instead of answering the first start."""
        back = threading.Thread(target=daemon._pass, args=(far, near), daemon=True)  # noqa: SLF001 - as `Way` does
        with near, far, contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                found = REQUEST.search(data)
                is_lock = any("create?name=twelfth-lock-" in path for path in self.posted[-2:])
                if found and not (is_lock and found[1].endswith(b"/start")):
                    self.posted.append(found[1].decode())
                if found and found[1].endswith(b"/start") and not self.has_lost and not is_lock:
                    self.has_lost = True
                    far.sendall(data)
                    far.recv(1 << 16)  # the daemon has done it
                    return
                far.sendall(data)
                if not back.is_alive() and not back.ident:
                    back.start()
            far.shutdown(socket.SHUT_WR)
            back.join()

    def count(self, end: str) -> int:
        """Return the number of requests whose path ends with `end`."""
        return sum(each.endswith(end) for each in self.posted)


@pytest.fixture
def forgetful(serving: Project) -> Iterator[tuple[Project, Forgetful]]:
    """Return the project with commands that lose the answer to their first start."""
    api = serving.engine().api  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        made: Any = stack.enter_context(pytest.MonkeyPatch.context())
        made.setattr(daemon, "Way", Forgetful)
        way = cast("Forgetful", stack.enter_context(daemon.way(api)))
        made.setenv("DOCKER_HOST", way.url)
        yield replace(serving, environment=serving.environment | {"DOCKER_HOST": way.url}), way


def request(project: Project, *command: str) -> Any:
    """Return a request of a command without input."""
    return new_request(command, choose_source(project.engine()), interactive=False)


@pytest.mark.thorough
@pytest.mark.parametrize("way_in", ["start", "detach"])
def test_run_is_started_once_whatever_becomes_of_the_answer(
    forgetful: tuple[Project, Forgetful], serving: Project, way_in: str
) -> None:
    """One container is created and started; the error reports that it may be running, and its exit is recorded."""
    project, way = forgetful
    wanted = request(project, "sh", "-c", "sleep 0.5; exit 5")
    way.posted.clear()
    with pytest.raises(EngineError, match="it may still be running"):
        getattr(project.engine().runs, way_in)(wanted)

    assert (1, 1) == (way.count(f"/create?name={project.name}-run-{wanted.id}"), way.count("/start"))
    found = [run for run in serving.runs.records() if run.id == wanted.id]
    assert 1 == len(found)
    assert eventually(lambda: [5] == [run.exit_code for run in serving.runs.records() if run.id == wanted.id])


@pytest.mark.thorough
def test_replica_is_started_once_whatever_becomes_of_the_answer(
    forgetful: tuple[Project, Forgetful], serving: Project
) -> None:
    """`scale` fails and leaves no second worker, started or not."""
    project, way = forgetful
    done = project.invoke("scale", "worker=2")

    assert (125, 1, 1) == (done.returncode, way.count("/start"), way.count(f"/create?name={project.name}-worker-2"))
    assert ["worker-1"] == [each.name for each in serving.engine().replicas("worker")]


@pytest.mark.thorough
def test_release_command_is_started_once_whatever_becomes_of_the_answer(
    forgetful: tuple[Project, Forgetful], serving: Project
) -> None:
    """`up` fails; the next one finds the run, or its exit, and continues."""
    project, way = forgetful
    change(serving, "\n# another release")
    before = {run.id for run in serving.runs.records()}
    done = project.invoke("up")

    assert (125, 1) == (done.returncode, way.count("/start"))
    assert 1 == len({run.id for run in serving.runs.records()} - before)
    serving.up()
    assert [] == serving.plan()
