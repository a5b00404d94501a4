"""A service that shares the network of another one, on a daemon: it never stays with a container that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from tests.other_project import OtherProject
from twelfth.engines.docker_api.container_spec import COMPOSE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = """
services:
  database:
    image: &image ${PYTHON_IMAGE:-python:3.13-slim}
    command: &command [sleep, "600"]
    deploy: &deploy {update_config: {monitor: 500ms}}
    init: true
    environment: [VALUE=<value>]
    volumes: ["data:/data"]
volumes: {data: }
"""
SIDE = """
  side:
    {image: *image, command: *command, deploy: *deploy, init: true,
     network_mode: "service:database", depends_on: [database]}
"""


class Sharing(OtherProject):
    """A stack of a database and a service that shares its network."""

    def up(self, value: str, side: str = SIDE) -> str:
        """Declare the database with a value, and the other service; bring them up, and return what was printed."""
        text = DATABASE.replace("<value>", value).replace("volumes: {", side + "volumes: {")
        (self.directory / "compose.yaml").write_text(text, "utf-8")
        return self.printed("up")

    def container(self, service: str) -> str:
        """Return the id of the only container of a service."""
        labels = [f"{COMPOSE}project={self.name}", f"{COMPOSE}service={service}", f"{COMPOSE}oneoff=False"]
        (found,) = self.api.containers(all=True, filters={"label": labels})
        return str(found["Id"])

    def shared_by_side(self) -> str:
        """Return the container whose network the other one shares."""
        return str(self.api.inspect_container(self.container("side"))["HostConfig"]["NetworkMode"])


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Sharing]:
    """Return a project that is up; remove what it made."""
    require("docker")
    made = Sharing(tmp_path)
    made.up("one")
    yield made
    made.printed("down", "--volumes", "--history", "--yes")


def test_service_that_was_left_with_the_network_of_a_removed_container_is_replaced(project: Sharing) -> None:
    """An `up` that was killed, or was of another file, has replaced only the database."""
    project.up("two", "")
    assert f"container:{project.container('database')}" != project.shared_by_side()
    printed = project.up("two")

    assert f"container:{project.container('database')}" == project.shared_by_side()
    assert "network_mode changed" in printed
    before = project.container("side")
    project.up("two")
    assert before == project.container("side")
