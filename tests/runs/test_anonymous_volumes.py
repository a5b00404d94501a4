"""The anonymous volumes of a service belong only to it: no run and no clone sees them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import DOCKER_COMPOSE, require, require_program
from tests.other_project import OtherProject
from twelfth.engines.docker_api import mounts
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.run_spec import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMPOSE_FILE = """
services:
  app:
    image: ${COMPOSE_PROJECT_NAME}
    build: {context: ., args: {BASE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    environment: {GENERATION: "${GENERATION:-1}"}
    volumes: [/declared]
    init: true
    deploy: {update_config: {monitor: 200ms}}
    stop_grace_period: 1s
"""
DOCKERFILE = """
ARG BASE
FROM ${BASE}
RUN mkdir /keep && echo from the image > /keep/data
VOLUME /keep
CMD [ -e /keep/mark ] || echo of the service | tee /keep/data /keep/mark /declared/data; exec sleep 600
"""


class Keeper(OtherProject):
    """A service with two anonymous volumes: of its image, and declared."""

    def compose(self, *words: str, **environment: str) -> None:
        """Run `docker compose` there."""
        own = self.environment | environment
        subprocess.run([DOCKER_COMPOSE, *words], cwd=self.directory, env=own, capture_output=True, check=True)

    def replace(self, make: Callable[..., object], times: int) -> None:
        """Bring the service up, then replace it `times` times."""
        for generation in range(times + 1):
            make(GENERATION=str(generation))

    def contents(self) -> list[str]:
        """Return the files of both volumes in each container of the service, the oldest first."""
        labels = [f"{COMPOSE}project={self.name}", f"{COMPOSE}oneoff=False"]
        found = sorted(self.api.containers(filters={"label": labels}), key=lambda each: each["Created"])
        words = ["sh", "-c", "cat /keep/data /declared/data 2>/dev/null; true"]
        made = [self.api.exec_create(each["Id"], words)["Id"] for each in found]
        return [self.api.exec_start(each).decode() for each in made]

    def volumes_of_runs(self) -> set[str]:
        """Return the anonymous volumes of the runs that are kept."""
        labels = [f"{COMPOSE}project={self.name}", RUN]
        runs = self.api.containers(all=True, filters={"label": labels})
        found = [mounts.anonymous_volumes(self.api.inspect_container(each["Id"])) for each in runs]
        return {name for own in found for name in own.values()}

    def all_volumes(self) -> set[str]:
        """Return the names of all volumes of the daemon."""
        return {each["Name"] for each in self.api.volumes()["Volumes"] or []}


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """Return the project; remove what it made."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    (tmp_path / "compose.yaml").write_text(COMPOSE_FILE, "utf-8")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    made = Keeper(tmp_path)
    yield made
    made.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")
    made.twelfth("down", "--volumes", "--history", "--yes")


@pytest.mark.thorough
@pytest.mark.parametrize("made_by", ["twelfth", "compose"])
def test_run_gets_new_anonymous_volumes(keeper: Keeper, made_by: str) -> None:
    """Filled from the image, also after several replacements; they are removed with the run."""
    ways: dict[str, Callable[..., object]] = {
        "twelfth": lambda **own: keeper.printed("up", **own),
        "compose": lambda **own: keeper.compose("up", "-d", "--build", **own),
    }
    keeper.replace(ways[made_by], 2)
    of_service = "of the service\n" * 2
    seen = keeper.printed("run", "--", "sh", "-c", "cat /keep/data; ls /declared; rm /keep/data; touch /declared/x")
    keeper.printed("run", "--detach", "--", "rm", "/keep/data")

    assert ("from the image\n", [of_service]) == (seen, keeper.contents())
    of_runs = keeper.volumes_of_runs()
    keeper.printed("scale", "app=2")
    keeper.printed("run", "--", "rm", "/keep/data")
    assert [of_service, of_service] == keeper.contents()  # the clone filled its own
    assert 4 == len(of_runs)
    keeper.printed("down", "--history", "--yes")
    assert set() == keeper.all_volumes() & of_runs
