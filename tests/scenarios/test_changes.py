"""Changes of one service that break its dependents: `up` reports them, and they can be reverted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench import hits
from tests.conftest import make_project, require
from tests.scenarios.load import WORD, guard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project


@pytest.fixture
def on_docker(tmp_path: Path) -> Iterator[Project]:
    """Return a running project on the engine with an ingress, which is watched only briefly after a reload."""
    require("docker")
    made = make_project("docker", tmp_path, monitor="3s")
    made.up()
    yield made
    made.end()


def url(project: Project) -> str:
    """Return the address of such a Redis for a worker."""
    where = "127.0.0.1:<redis.port>" if project.engine_name == "local" else "redis:6379"
    return f"redis://:{WORD}@{where}/0"


@pytest.mark.thorough
def test_dependency_that_its_dependents_cannot_use_any_more_is_reported(project: Project) -> None:
    """Its own healthcheck passes: `redis-cli ping` exits 0 on NOAUTH."""
    project.up()
    file = project.directory / "docker-compose.yml"
    before = file.read_text("utf-8")
    guard(project)
    broken, status = project.invoke("up", "--ready-within", "2"), project.invoke("status")

    assert (125, 1) == (broken.returncode, status.returncode), broken.stderr
    assert "is not ready after 2 s" in broken.stderr
    assert "it depends on redis, which changed" in broken.stderr
    file.write_text(before, "utf-8")
    cured = project.invoke("up")
    assert 0 == cured.returncode, cured.stderr
    assert "Hello World! 1 times." == hits.sentence(cured.stdout.split()[-1])


@pytest.mark.thorough
def test_both_sides_of_a_password_are_changed_at_once(project: Project) -> None:
    """Like `docker compose up -d`: Redis first, then the release command and the workers."""
    project.up()
    guard(project)
    done = project.invoke("up", REDIS_URL=url(project))

    assert 0 == done.returncode, done.stderr
    assert "Hello World! 1 times." == hits.sentence(done.stdout.split()[-1])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("right", "wrong"), [("worker:8000", "worker:8001"), ("bind :8000", "bind :8009")], ids=["backend", "address"]
)
def test_valid_configuration_that_is_wrong_is_taken_back(on_docker: Project, right: str, wrong: str) -> None:
    """The ingress loads it, and finds no worker, or no client finds the ingress."""
    file = on_docker.directory / "web" / "haproxy.cfg"
    file.write_text(file.read_text("utf-8").replace(right, wrong), "utf-8")
    done = on_docker.invoke("up", "--ready-within", "5")

    assert 125 == done.returncode, done.stderr
    assert "its previous configuration is restored" in done.stderr
    status = json.loads(on_docker.invoke("status", "--json").stdout)
    assert status["ready"], status
    assert "Hello World! 1 times." == hits.sentence(status["address"])
