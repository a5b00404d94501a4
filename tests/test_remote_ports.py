"""Ports of a daemon whose network is not that of this machine: it is asked, and what listens here does not count."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import docker
import pytest

from tests.conftest import require
from tests.daemon import Daemon, daemon
from tests.other_project import OtherProject
from twelfth.engines.docker_api import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = """
services:
  web:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: [sleep, "600"]
    init: true
    deploy: {update_config: {monitor: 200ms}}
    ports: ["0.0.0.0:${PORT}:8000"]
"""
LISTEN = """
import socket, sys
with socket.create_server(("0.0.0.0", int(sys.argv[1]))):
    print("listening", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def remote() -> Iterator[Daemon]:
    """Return a daemon in a separate network, with the image."""
    require("docker")
    with daemon() as made:
        made.load(client.connect(), os.environ.get("PYTHON_IMAGE", "python:3.13-slim"))
        yield made


@pytest.fixture
def project(remote: Daemon, tmp_path: Path) -> Iterator[OtherProject]:
    """Return a project on that daemon, of which nothing is up."""
    (tmp_path / "compose.yaml").write_text(FILE)
    made = OtherProject(tmp_path, DOCKER_HOST=remote.url)
    made.api = docker.APIClient(remote.url)
    yield made
    made.printed("down", "--volumes", "--history", "--yes")


def containers(project: OtherProject) -> list[str]:
    """Return the ids of the project's containers that run."""
    return [
        each["Id"] for each in project.api.containers(filters={"label": f"com.docker.compose.project={project.name}"})
    ]


@pytest.mark.thorough
def test_what_listens_here_does_not_count(project: OtherProject) -> None:
    """The daemon's machine is another one."""
    with socket.create_server(("127.0.0.1", project.port)):
        project.printed("up")

    assert 1 == len(containers(project))


@pytest.mark.thorough
def test_port_of_another_container_is_refused_by_its_name(project: OtherProject, tmp_path: Path) -> None:
    """Before anything is made; the hint has a port that is free there."""
    directory = tmp_path / "other"
    directory.mkdir()
    (directory / "compose.yaml").write_text(FILE)
    other = OtherProject(directory, DOCKER_HOST=project.environment["DOCKER_HOST"])
    other.printed("up", PORT=str(project.port))
    try:
        refused = project.twelfth("up")
    finally:
        other.printed("down", "--history", "--yes")

    why = f"port {project.port} is not free (the container {other.name}-web-1 publishes it)"
    hint = f"Stop the program that uses it, or use another port: PORT={project.port + 1} twelfth up"
    assert (2, f"twelfth: {why}. {hint}\n") == (refused.returncode, refused.stderr)
    assert [] == containers(project)


@pytest.mark.thorough
def test_port_that_the_daemon_cannot_bind_loses_nothing(project: OtherProject, remote: Daemon) -> None:
    """The error is one line, and the old replica serves where it did."""
    project.printed("up")
    before, taken = containers(project), str(project.port + 1)
    assert remote.process
    inside = ["nsenter", f"--net=/proc/{remote.process.pid}/ns/net", sys.executable, "-c", LISTEN, taken]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as listener:
        assert listener.stdout
        listener.stdout.readline()
        refused = project.twelfth("up", PORT=taken)
        listener.communicate()

    [line] = refused.stderr.splitlines()
    cannot = f"twelfth: cannot publish 0.0.0.0:{taken} on the Docker daemon's machine: address already in use"
    assert (125, True) == (refused.returncode, line.startswith(f"{cannot}; stop what listens there"))
    assert before == containers(project)
    assert "nothing to do" in project.printed("--dry", "up")
