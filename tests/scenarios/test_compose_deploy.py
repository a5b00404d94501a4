"""The same deploy under the same load, by `docker compose up -d` and by `invoke up` (docs/performance.md)."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import DOCKER_COMPOSE, make_project, require, require_program
from tests.sample import FULL
from tests.scenarios.load import Load, change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Project

pytestmark = [
    pytest.mark.measures,
    pytest.mark.skipif(not FULL, reason="TWELFTH_SCENARIOS=full measures the peer, too"),
]


def compose(project: Project, *words: str, release: str = "") -> None:
    """Run `docker compose` in the project."""
    environment = os.environ | project.environment | ({"RELEASE": release} if release else {})
    subprocess.run([DOCKER_COMPOSE, *words], cwd=project.directory, env=environment, capture_output=True, check=True)


def release(project: Project, number: int) -> str:
    """Build another release, and return its name."""
    change(project, f"\n# release {number}")
    return project.invoke("build").stdout.split()[-1]


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Project]:
    """Return a running stack that Compose created."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    project = make_project("docker", tmp_path, "5s")
    compose(project, "up", "-d", release=release(project, 0))
    project.up()  # the release command
    yield project
    compose(project, "down", "--volumes", "--remove-orphans")
    project.end()


def test_deploy_beside_compose(composed: Project, tell: Callable[[str], None]) -> None:
    """Images are built before; only the effect on clients is compared."""
    url = composed.up()
    ways: dict[str, Callable[[str], object]] = {
        "docker compose up -d": lambda name: compose(composed, "up", "-d", release=name),
        "invoke up": lambda _: composed.invoke("up"),
    }
    failed = {}
    for number, (way, deploy) in enumerate(ways.items(), 1):
        built = release(composed, number)
        with Load(url) as load:
            load.settle(30)
            deploy(built)
            load.settle(60)
        figures = load.figures()
        failed[way] = sum(figures.failures.values())
        tell(f"{way}: {figures}")

    assert 0 == failed["invoke up"] < failed["docker compose up -d"]
