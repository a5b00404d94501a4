"""One file with release commands, hooks and jobs, under `docker compose` and under twelfth, on the same daemon."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DOCKER_COMPOSE, require, require_program
from tests.other_project import OtherProject
from twelfth.engines.docker_api import client
from twelfth.engines.docker_api.container_spec import COMPOSE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = """
services:
  app:
    image: &image "${PYTHON_IMAGE:-python:3.13-slim}"
    command: [sleep, "600"]
    init: true
    environment: {A: "${LEVEL:-1}", B: "2"}
    user: "1000"
    working_dir: /tmp
    mem_limit: 100m
    networks: [back]
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 100ms}}
    pre_start:
      - {command: [sh, -c, sleep 0.3, first], environment: {A: "3", C: "4"}}
      - {command: [sh, -c, sleep 0.3, second], user: root, working_dir: /}
    post_start: [{command: [sh, -c, "env >/tmp/$$0; id -u >>/tmp/$$0", post_start], user: root, environment: [D=5]}]
    pre_stop: [{command: [sh, -c, "exit 0", pre_stop]}]
jobs:
  clean: {image: *image, command: [sh, -c, "true", clean], networks: [back], triggers: {manual: true}}
  report:
    image: *image
    command: [sh, -c, exit 3, report]
    environment: {A: "6"}
    user: "1001"
    networks: [back]
    depends_on: [clean]
    triggers: {manual: true}
networks: {back: {}}
x-twelfth: {runs-from: app}
"""

COMMANDS = {
    "up": ("up", "--detach"),
    "report": ("run", "--no-TTY", "report"),
    "changed": ("up", "--detach"),
    "down": ("down", "--volumes", "--remove-orphans"),
}
"""The commands of Compose that do the same as those of twelfth."""


class Project(OtherProject):
    """The project, and what one of the tools makes of it."""

    def __init__(self, directory: Path, *, is_composed: bool) -> None:
        """Write the file; nothing runs yet."""
        directory.mkdir()
        super().__init__(directory)
        (directory / "compose.yaml").write_text(FILE)
        self.is_composed = is_composed
        self.containers: dict[str, dict[str, Any]] = {}
        self.names: dict[str, str] = {}
        self.events: dict[str, list[Any]] = {}
        self.exit_codes: dict[str, int] = {}
        self.written: list[str] = []

    def do(self, *names: str) -> None:
        """Execute the commands, and keep the order of what happens in each, and each container as it is created."""
        with self._watched():
            for name in names:
                began = time.time()
                environment = self.environment | ({"LEVEL": "7"} if name == "changed" else {})
                done = subprocess.run(
                    self._command(name),
                    cwd=self.directory,
                    env=environment,
                    capture_output=True,
                    check=False,
                    timeout=100,
                )
                self.exit_codes[name] = done.returncode
                times: Any = {"since": began, "until": time.time()}  # which the daemon takes with fractions
                history = self.api.events(**times, filters=self._filters, decode=True)
                self.events[name] = list(history)

    def order(self, name: str) -> list[str]:
        """Return what happened to containers in a command."""
        return [text for event in self.events[name] if (text := self._text(event))]

    def _command(self, name: str) -> list[str]:
        if self.is_composed:
            return [str(DOCKER_COMPOSE), *COMMANDS[name]]
        words = (
            ["up"] if name == "changed" else [name, *(["--volumes", "--history", "--yes"] if name == "down" else [])]
        )
        return [sys.executable, "-P", "-m", "twelfth", *words]

    @property
    def _filters(self) -> dict[str, Any]:
        return {"label": [f"{COMPOSE}project={self.name}"], "type": "container"}

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        stream: Any = self.api.events(filters=self._filters | {"event": "create"}, decode=True)
        thread = threading.Thread(target=self._inspect_all, args=(stream, client.connect()), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stream.close()
            thread.join(10)

    def _inspect_all(self, created: Any, api: Any) -> None:
        """Compose removes the containers of release commands as soon as they have exited."""
        for event in created:
            inspected = api.inspect_container(event["id"])
            last = inspected["Config"]["Cmd"][-1]
            name = "app" if last == "600" else last
            self.names[event["id"]] = name
            self.containers.setdefault(name, self._settings(inspected))

    def _settings(self, inspected: dict[str, Any]) -> dict[str, Any]:
        config = inspected["Config"]
        variables = dict(pair.split("=", 1) for pair in config["Env"])
        return {
            "command": config["Cmd"],
            "entrypoint": config["Entrypoint"],
            "environment": {name: value for name, value in variables.items() if not name.startswith("TWELFTH_")},
            "user": config["User"],
            "directory": config["WorkingDir"],
            "image": inspected["Image"],
            "memory": inspected["HostConfig"]["Memory"],
            "networks": [name.removeprefix(f"{self.name}_") for name in inspected["NetworkSettings"]["Networks"]],
        }

    def _text(self, event: Any) -> str:
        action, name = event["Action"], self.names[event["id"]]
        if action.startswith("exec_create"):
            return f"execute {action.split()[-1]} in {name}"
        code = event["Actor"]["Attributes"].get("exitCode")
        return {"start": f"start {name}", "die": f"exit {name} {code}"}.get(action, "")

    def read(self, path: str) -> list[str]:
        """Return what the hook wrote in the service's container, without the name of that."""
        [listed] = self.api.containers(filters={"label": f"{COMPOSE}project={self.name}"})
        text = self.api.exec_start(self.api.exec_create(listed["Id"], ["cat", path])["Id"]).decode()
        return sorted(line for line in text.splitlines() if not line.startswith("HOSTNAME="))


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Return the project after Compose, and another after twelfth, have executed all commands."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    directory = tmp_path_factory.mktemp("hooks")
    both = Project(directory / "compose", is_composed=True), Project(directory / "twelfth", is_composed=False)
    for project in both:
        try:
            project.do("up")
            project.written = project.read("/tmp/post_start")
            project.do("report", "changed")
        finally:
            project.do("down")
    return both


def test_release_commands_are_made_alike(projects: tuple[Project, Project]) -> None:
    """And so is the service; twelfth adds variables that name the run."""
    compose, twelfth = projects

    for name in ("first", "second", "app"):
        assert compose.containers[name] == twelfth.containers[name]
    first, second = (twelfth.containers[name] for name in ("first", "second"))
    assert ({"A": "3", "B": "2", "C": "4"}, "1000") == (own(first["environment"]), first["user"])
    assert ({"A": "1", "B": "2"}, "root", "/") == (own(second["environment"]), second["user"], second["directory"])


def test_jobs_of_twelfth_inherit_from_the_service(projects: tuple[Project, Project]) -> None:
    """Those of Compose have only what they declare."""
    compose, twelfth = projects
    app = twelfth.containers["app"]
    declared = {"command": ["sh", "-c", "exit 3", "report"], "user": "1001"}
    variables = app["environment"] | {"A": "6"}

    assert app | declared | {"environment": variables} == twelfth.containers["report"]
    assert app | {"command": ["sh", "-c", "true", "clean"]} == twelfth.containers["clean"]
    report = compose.containers["report"]
    assert declared == {key: report[key] for key in declared}
    assert ({"A": "6"}, "", 0) == (own(report["environment"]), report["directory"], report["memory"])


def test_hook_is_executed_alike(projects: tuple[Project, Project]) -> None:
    """With its user, its variables and those of the container."""
    compose, twelfth = projects

    assert compose.written == twelfth.written
    assert {"A=1", "D=5", "0"} <= set(twelfth.written)


def test_order_and_exit_codes(projects: tuple[Project, Project]) -> None:
    """Compose runs release commands after it has removed the old container, and executes no pre_stop in it."""
    compose, twelfth = projects
    release = ["start first", "exit first 0", "start second", "exit second 0"]
    started = [*release, "start app", "execute post_start in app"]
    stopped = ["execute pre_stop in app", "exit app 143"]

    assert (compose.order("up"), twelfth.order("up")) == (started, started)
    jobs = ["start clean", "exit clean 0", "start report", "exit report 3"]
    assert (compose.order("report"), twelfth.order("report")) == (jobs, jobs)
    assert (compose.order("changed"), twelfth.order("changed")) == (["exit app 143", *started], [*started, *stopped])
    assert (compose.order("down"), twelfth.order("down")) == (stopped, stopped)
    assert {"up": 0, "report": 3, "changed": 0, "down": 0} == compose.exit_codes == twelfth.exit_codes


def own(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that are not the image's."""
    return {name: value for name, value in environment.items() if name not in {"PATH", "LANG"}}
