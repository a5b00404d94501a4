"""A run inherits more than image and environment: copied files, hostname, links, and process 1."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import DOCKER_COMPOSE, require, require_program
from tests.other_project import OtherProject
from twelfth.engines.docker_api.container_spec import COMPOSE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPOSE_FILE = """
services:
  app:
    image: ${COMPOSE_PROJECT_NAME}
    build: {context: ., args: {BASE: &image "${PYTHON_IMAGE:-python:3.13-slim}"}}
    command: &command [sleep, "600"]
    environment: {GENERATION: "${GENERATION:-1}"}
    hostname: boxy
    links: [db:database]
    configs: [{source: note, target: /etc/note, mode: 0400}]
    secrets: [token]
    stop_grace_period: 1s
    deploy: &watched {update_config: {monitor: 200ms}}
  db: {image: *image, command: *command, init: true, deploy: *watched, environment: {A: "${GENERATION:-1}"}}
configs: {note: {content: "a note,"}}
secrets: {token: {environment: TOKEN}}
x-twelfth: {runs-from: app}
"""
DOCKERFILE = r"""
ARG BASE
FROM ${BASE}
RUN printf '#!/bin/sh\n[ $$ = 1 ] || exit 100\nexec "$@"\n' >/enter && chmod +x /enter
ENTRYPOINT ["/enter"]
"""
SHOW = "cat /proc/sys/kernel/hostname; getent hosts database >/dev/null && cat /etc/note /run/secrets/token"
SHOWN = "boxy\na note,hush"


class Project(OtherProject):
    """A service with every setting that a run inherits."""

    def compose(self, *words: str, **environment: str) -> None:
        """Run `docker compose` there."""
        own = self.environment | environment
        subprocess.run([DOCKER_COMPOSE, *words], cwd=self.directory, env=own, capture_output=True, check=True)

    def in_service(self) -> list[str]:
        """Return the output of a command in each container of the service."""
        labels = [f"{COMPOSE}project={self.name}", f"{COMPOSE}oneoff=False", f"{COMPOSE}service=app"]
        found = self.api.containers(filters={"label": labels})
        made = [self.api.exec_create(each["Id"], ["sh", "-c", SHOW])["Id"] for each in found]
        return [self.api.exec_start(each).decode() for each in made]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Yield the project, and remove everything that it created."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    (tmp_path / "compose.yaml").write_text(COMPOSE_FILE, "utf-8")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    made = Project(tmp_path, TOKEN="hush")  # noqa: S106
    yield made
    made.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")
    made.twelfth("down", "--volumes", "--history", "--yes")


def assert_inherited(project: Project) -> None:
    """Assert that runs have all settings, attached and detached, and that `--dry` shows no other difference."""
    assert SHOWN == project.printed("run", "--", "sh", "-c", SHOW)
    identity = project.printed("run", "--detach", "--", "sh", "-c", SHOW).split()[-1]
    assert SHOWN == project.printed("logs", "--follow", "--run", identity).rstrip()
    assert "~" not in project.printed("--dry", "run", "--", "true")


JOINED_FILE = """
services:
  app: {image: &image "${PYTHON_IMAGE:-python:3.13-slim}", command: &command [sleep, "600"], init: true,
        deploy: &watched {update_config: {monitor: 200ms}}, network_mode: "service:db", pid: "service:db"}
  db: {image: *image, command: *command, init: true, deploy: *watched, hostname: boxy, domainname: example.org}
x-twelfth: {runs-from: app}
"""


@pytest.mark.thorough
def test_run_has_the_namespaces_that_its_service_has_of_another(project: Project) -> None:
    """The daemon reports the hostname of that other container, and accepts none for a container that joins it."""
    (project.directory / "compose.yaml").write_text(JOINED_FILE, "utf-8")
    show = ("cat", "/proc/sys/kernel/hostname")
    project.compose("up", "-d")

    assert "nothing to do" in project.printed("--dry", "up")
    assert project.printed("run", "--", *show) == "boxy\n"
    project.compose("down", "--timeout", "0")
    project.printed("up")
    assert "nothing to do" in project.printed("--dry", "up")
    assert project.printed("run", "--", *show) == "boxy\n"


@pytest.mark.thorough
def test_run_inherits_from_a_container_of_compose(project: Project) -> None:
    """A run has copies of the file's or variable's content; a clone has them, too."""
    project.compose("up", "-d", "--build")
    assert_inherited(project)

    project.printed("scale", "app=2")
    assert [SHOWN, SHOWN] == project.in_service()


@pytest.mark.thorough
def test_run_inherits_from_a_replica(project: Project) -> None:
    """Also after the linked service was replaced, and after Compose re-created it."""
    project.printed("up")
    assert_inherited(project)
    project.printed("up", GENERATION="2")
    assert [SHOWN] == project.in_service()

    project.compose("up", "-d", GENERATION="3")
    assert_inherited(project)
