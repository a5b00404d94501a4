"""A stack that `docker compose up` made and twelfth never touched: runs are made from it, and nothing of it changes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DOCKER_COMPOSE, eventually, require, require_program
from tests.other_project import OtherProject
from twelfth.engines.docker_api import run_spec
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.state_volume import StateVolume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


DOCKERFILE = """
ARG PYTHON_IMAGE
FROM $PYTHON_IMAGE
VOLUME /cache
ENTRYPOINT ["env", "FROM_ENTRYPOINT=yes"]
CMD ["python", "-m", "http.server"]
"""
FILE = """
services:
  store:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: python -m http.server
    init: true
    volumes: ["data:/data"]
  web:
    build: {context: ., args: {PYTHON_IMAGE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    init: true
    ports: ["127.0.0.1:${PORT}:8000"]
    environment: {COLOUR: red}
    volumes: ["./:/here:ro"]
    depends_on: [store]
volumes: {data: {}}
"""


class Stack(OtherProject):
    """Another project as its owner has it: a Compose file, a Dockerfile, and nothing of twelfth."""

    def __init__(self, directory: Path) -> None:
        """Write the files; nothing runs yet."""
        super().__init__(directory)
        (directory / "compose.yaml").write_text(FILE, "utf-8")
        (directory / "Dockerfile").write_text(DOCKERFILE, "utf-8")

    def compose(self, *words: str) -> None:
        """Do what the owner does."""
        command = [str(DOCKER_COMPOSE), *words]
        subprocess.run(command, cwd=self.directory, env=self.environment, capture_output=True, check=True, timeout=300)

    def printed(self, *words: str, stdin: str = "", **environment: str) -> str:
        """Return what a command printed that went well, and had nothing to say beside it."""
        done = self.twelfth(*words, stdin=stdin, **environment)
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    def records(self) -> list[dict[str, Any]]:
        """Return the records of runs."""
        found: list[dict[str, Any]] = json.loads(self.printed("history", "--json"))
        return [record for record in found if record["kind"] == "run"]

    def inspected(self) -> dict[str, Any]:
        """Inspect the stack's containers, networks and volumes."""
        project = {"label": [f"{COMPOSE}project={self.name}"]}
        services = {"label": [*project["label"], f"{COMPOSE}oneoff=False"]}
        listed = self.api.containers(all=True, filters=services)
        containers = [self.api.inspect_container(each["Id"]) for each in listed]
        for each in containers:
            each["Mounts"].sort(key=lambda mount: mount["Destination"])  # the daemon keeps them in no order
        return {
            "containers": containers,
            "networks": [self.api.inspect_network(each["Id"]) for each in self.api.networks(filters=project)],
            "volumes": self.api.volumes(filters=project)["Volumes"],
        }

    def beside(self) -> list[str]:
        """Return the states of the containers that are the project's and none of its services."""
        label = [f"{COMPOSE}project={self.name}", f"{COMPOSE}oneoff=True"]
        return [each["State"] for each in self.api.containers(all=True, filters={"label": label})]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a stack that Compose brought up."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    made = Stack(tmp_path_factory.mktemp("another"))
    made.compose("up", "-d")
    yield made
    for run in made.api.containers(all=True, filters={"label": [run_spec.RUN, f"{COMPOSE}project={made.name}"]}):
        made.api.remove_container(run["Id"], v=True, force=True)
    made.compose("down", "--volumes", "--timeout", "0", "--rmi", "local")
    StateVolume(made.api, made.name).remove()


@pytest.mark.thorough
def test_everything_about_runs_works_and_nothing_of_the_stack_changes(stack: Stack) -> None:
    """The daemon reports the same before and after; only the records of runs remain."""
    before = stack.inspected()

    assert "red yes\n" == stack.printed("run", "--", "sh", "-c", "echo $COLOUR $FROM_ENTRYPOINT")
    assert "- python -m http.server\n+ echo 'a b'\n" in stack.printed("--dry", "run", "--", "echo", "a b")
    assert "hello\n" == stack.printed("run", "--timeout", "60", "--service", "store", "--", "echo", "hello")
    going = stack.printed("run", "--detach", "--", "sh", "-c", "echo started; sleep 600").strip()
    assert eventually(lambda: "started\n" == stack.printed("logs", "--run", going))
    assert f"{going} stopped, exit code 143\n" == stack.twelfth("stop", going).stdout
    assert [("", "done"), ("", "done"), ("", "stopped")] == [
        (each["release"], each["state"]) for each in stack.records()
    ]

    assert before == stack.inspected()
    assert ["exited"] * 3 == stack.beside()
    assert not (stack.directory / ".twelfth").exists()


@pytest.mark.thorough
def test_stack_is_shown_as_it_is(stack: Stack) -> None:
    """Ready, of no release that is known, and what its services print."""
    assert eventually(lambda: stack.twelfth("status").returncode == 0)  # ready after 5 s, without a healthcheck
    shown = stack.printed("status").splitlines()

    assert f"{stack.name} on docker at http://127.0.0.1:{stack.environment['PORT']} is ready" == shown[0]
    assert [["store", "1/1", "running"], ["web", "1/1", "running"]] == [line.split() for line in shown[1:]]
    assert "" == stack.printed("logs", "store")
    assert "no release is built. Try: twelfth up\n" == stack.printed("releases")
