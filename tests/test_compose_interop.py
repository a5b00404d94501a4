"""twelfth and the real `docker compose` on the same file and the same stack, in both directions."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from bench import hits
from tests.conftest import DOCKER_COMPOSE, eventually, make_project, require, require_program
from twelfth.runs.source import choose_source
from twelfth.stack.status import require_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project
    from twelfth.engines.docker.engine import Docker


@pytest.fixture
def docker_project(tmp_path: Path) -> Iterator[Project]:
    """Return a project on the engine that Compose has too."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    project = make_project("docker", tmp_path, "5s")  # which Compose waits for
    yield project
    compose(project, "down", "--volumes", "--remove-orphans")
    project.end()


@pytest.fixture(scope="module")
def docker_serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return such a project that is up, for the tests that leave it so."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    project = make_project("docker", tmp_path_factory.mktemp("serving"), "5s")
    project.up()
    yield project
    project.end()


def compose(project: Project, *words: str, **environment: str) -> str:
    """Run `docker compose` in the project and return what it printed."""
    done = subprocess.run(
        [DOCKER_COMPOSE, *words],
        cwd=project.directory,
        env=project.environment | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def containers(project: Project) -> dict[str, str]:
    """Return the ids of all containers of the project's services, by name; those of runs are the record of them."""
    engine: Docker = project.engine()  # type: ignore[assignment]
    wanted = {"label": [f"com.docker.compose.project={project.name}", "com.docker.compose.oneoff=False"]}
    return {each["Names"][0].lstrip("/"): each["Id"] for each in engine.api.containers(all=True, filters=wanted)}


@pytest.mark.thorough
def test_compose_lists_logs_and_removes_a_stack_of_twelfth(docker_project: Project) -> None:
    """`ps`, `logs` and `down` see it as their own, and nothing is left, even right after an attached run."""
    docker_project.up("worker=2")
    assert 0 == docker_project.invoke("reset").returncode
    listed = [json.loads(line) for line in compose(docker_project, "ps", "--format", "json").splitlines()]

    assert {"redis-1", "web-1", "worker-1", "worker-2"} == {
        each["Name"].removeprefix(f"{docker_project.name}-") for each in listed
    }
    assert '"event": "start"' in compose(docker_project, "logs", "worker")
    compose(docker_project, "down")
    assert {} == containers(docker_project)
    assert () == docker_project.engine().observe().networks


def test_stack_of_composes_is_adopted_as_it_is(docker_project: Project) -> None:
    """`docker compose up` of a release, then `up`: the data is migrated, nothing is touched, and runs work."""
    release = docker_project.invoke("build").stdout.split()[-1]
    compose(docker_project, "up", "-d", RELEASE=release)  # not --wait: no worker is ready before the data is migrated
    before = containers(docker_project)

    assert eventually(lambda: "not ready: The data lacks revision 0001, 0002; " in "\n".join(docker_project.plan()))
    assert 1 == len(docker_project.plan())
    url = docker_project.up()
    assert [] == docker_project.plan()
    assert before == containers(docker_project)
    assert release == choose_source(docker_project.engine()).release
    assert "Hello World! 1 times." == hits.sentence(url)
    assert "hits was 1, is 0 now\n" == docker_project.invoke("reset").stdout


@pytest.mark.thorough
def test_stack_of_composes_own_build_keeps_all_but_the_worker(docker_project: Project) -> None:
    """An image that names no release is replaced by one that does; data and door stay."""
    compose(docker_project, "up", "-d", "--build", RELEASE=f"by-{docker_project.name}")
    before = containers(docker_project)
    docker_project.up()

    after = containers(docker_project)
    assert [f"{docker_project.name}-worker-1"] == [name for name, each in before.items() if each not in after.values()]


def inspected_run(project: Project) -> dict[str, Any]:
    """Inspect the container of the last run."""
    engine: Docker = project.engine()  # type: ignore[assignment]
    return dict(engine.api.inspect_container(f"{project.name}-run-{engine.runs.records()[-1].id}"))


@pytest.mark.thorough
@pytest.mark.parametrize("detach", [False, True])
def test_run_is_of_the_workers_image_after_its_tag_was_moved(docker_serving: Project, detach: bool) -> None:  # noqa: FBT001
    """The tag names another image now; the run uses the image of the running replica."""
    engine: Docker = docker_serving.engine()  # type: ignore[assignment]
    worker = engine.api.inspect_container(f"{docker_serving.name}-worker-1")
    name, _, tag = worker["Config"]["Image"].partition(":")
    redis = engine.api.inspect_container(f"{docker_serving.name}-redis-1")["Image"]
    engine.api.tag(redis, name, tag)
    try:
        done = docker_serving.invoke("run", *(["--detach"] if detach else []), "--", "true")
        run = inspected_run(docker_serving)
    finally:
        engine.api.tag(worker["Image"], name, tag)

    assert 0 == done.returncode
    assert worker["Image"] == run["Image"]
    assert sorted(worker["Config"]["Env"]) == sorted(run["Config"]["Env"])
    assert tag == engine.runs.records()[-1].release


@pytest.mark.thorough
def test_detached_run_is_on_the_workers_own_networks(docker_serving: Project) -> None:
    """With separate interfaces, and without the worker's name."""
    docker_serving.invoke("run", "--detach", "--", "sleep", "30")
    engine: Docker = docker_serving.engine()  # type: ignore[assignment]
    worker = engine.api.inspect_container(f"{docker_serving.name}-worker-1")["NetworkSettings"]["Networks"]
    run = inspected_run(docker_serving)["NetworkSettings"]["Networks"]

    assert {name: each["NetworkID"] for name, each in worker.items()} == {
        name: each["NetworkID"] for name, each in run.items()
    }
    assert not [each for each in run.values() if "worker" in (each["Aliases"] or [])]


@pytest.mark.thorough
def test_compose_up_on_a_stack_of_twelfth_keeps_it_serving_and_counting(docker_serving: Project) -> None:
    """It re-creates containers without the label of a release, with the same names and data."""
    url = require_address(docker_serving.engine())
    assert "Hello World! 1 times." == hits.sentence(url)
    release = choose_source(docker_serving.engine()).release
    compose(docker_serving, "up", "-d", "--wait", RELEASE=release)

    assert "Hello World! 2 times." == hits.sentence(url)
    assert [] == docker_serving.plan()
