"""Releases on every engine: which ones are listed, and that none in use is removed."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import ON_THIS_MACHINE, Recorded, engine_at_hand, eventually, require
from twelfth.engines import choice
from twelfth.engines.contract import ServiceEngine
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.model.image_name import image_name
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.stack import deploy, lifecycle, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.engines.contract import Engine, ReplicaEngine
    from twelfth.model.stack import Stack

COMPOSE = """
services:
  app:
    image: ${IMAGE}
    build: {context: ., args: {BASE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    command: &command [sleep, "600"]
    init: true
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 100ms}}
    healthcheck: {test: [CMD, "true"], interval: 1s}
    x-local: {command: *command, healthcheck: ["true"]}
"""
DOCKERFILE = "ARG BASE\nFROM ${BASE}\nCOPY text /text\n"


@dataclass
class Checkout:
    """A directory with a project, whose release a test changes."""

    directory: Path
    image: str
    engine_name: str
    project: str

    def stack(self, text: str) -> Stack:
        """Return the stack of a release."""
        (self.directory / "text").write_text(f"{self.image} {text}")
        environment = dict(os.environ) | {"COMPOSE_PROJECT_NAME": self.project, "IMAGE": self.image}
        return load.of_current_release(load.load_stack(self.directory, environment))

    def engine(self, text: str) -> Engine:
        """Return the engine with a release."""
        return choice.choose(self.engine_name, self.stack(text))

    def up(self, text: str) -> str:
        """Deploy a release and return its name."""
        engine = self.engine(text)
        deploy.up(engine, Recorded())
        return engine.stack.release

    def releases(self) -> set[str]:
        """Return the releases that are listed."""
        return {each.id for each in self.engine("").releases()}

    def remove(self) -> None:
        """Remove the stack and its images."""
        engine = self.engine("")
        lifecycle.down(engine, Recorded(), volumes=True, history=True)
        if isinstance(engine, DaemonEngine):
            for name in tags(engine):
                if image_name(name).familiar == image_name(self.image).familiar:
                    engine.api.remove_image(name, force=True)


def tags(engine: DaemonEngine) -> list[str]:
    """Return the names of all images of the daemon."""
    return [tag for image in engine.api.images() for tag in image["RepoTags"] or []]


def checkout(directory: Path, engine_name: str, image: str = "") -> Checkout:
    """Return a project in a separate directory."""
    directory.mkdir()
    (directory / "compose.yaml").write_text(COMPOSE)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    project = f"t{secrets.token_hex(4)}"
    return Checkout(directory, image or project, engine_name, project)


@pytest.fixture(scope="module", params=[*ON_THIS_MACHINE, "swarm"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return each engine's name in turn."""
    with engine_at_hand(request) as name:
        require(name)
        yield name


@pytest.fixture
def first(name: str, tmp_path: Path) -> Iterator[Checkout]:
    """Return a project of which nothing exists yet."""
    made = checkout(tmp_path / "first", name)
    yield made
    made.remove()


@pytest.fixture
def second(first: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """Return another project whose image has the same name."""
    made = checkout(tmp_path / "second", first.engine_name, first.image)
    yield made
    made.remove()


sharing = pytest.mark.parametrize("name", ["docker"], indirect=True)
"""Runs a test of two stacks that have releases in common; on `local` each stack has separate copies."""


def test_running_release_is_not_removed(first: Checkout) -> None:
    """It stays when its replicas have exited, since they may be started again."""
    release = first.up("one")
    engine = first.engine("one")
    assert not engine.remove_release(release)
    if not isinstance(engine, ServiceEngine):
        (replica,) = engine.replicas("app")
        cast("ReplicaEngine", engine).stop_replica(replica)
        assert not engine.remove_release(release)
    assert {release} == first.releases()

    lifecycle.down(engine, Recorded())
    assert eventually(lambda: engine.remove_release(release))  # a Swarm removes containers a little later
    assert set() == first.releases()


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")  # as it detaches
def test_release_of_a_run_is_not_removed_before_the_run_has_exited(first: Checkout) -> None:
    """Its record needs no image."""
    one = first.up("one")
    engine = first.engine("one")
    request = new_request(("sleep", "600"), choose_source(engine), interactive=False)
    engine.runs.detach(request)
    first.up("two")
    assert not engine.remove_release(one)
    assert one in first.releases()

    engine.runs.stop(request.id, lambda _: None)
    assert eventually(lambda: engine.remove_release(one))
    assert one not in first.releases()


@pytest.mark.thorough
@sharing
def test_release_that_another_stack_runs_is_not_removed(second: Checkout, first: Checkout) -> None:
    """Both stacks use the same image."""
    one = first.up("one")
    assert one == second.up("one")
    first.up("two")

    assert not first.engine("two").remove_release(one)
    assert one in second.releases()


@pytest.mark.thorough
@sharing
def test_release_that_the_rollback_of_another_stack_needs_is_not_removed(second: Checkout, first: Checkout) -> None:
    """When it no longer needs the release, another stack can remove it."""
    one, two = first.up("one"), first.up("two")
    assert [one, two] == [second.up("one"), second.up("two")]
    first.up("three")
    lifecycle.prune(first.engine("three"), Recorded(), 0)
    assert {one, two} < second.releases()

    second.up("three")
    second.up("four")
    lifecycle.prune(first.engine("three"), Recorded(), 0)
    assert one not in second.releases()


@pytest.mark.parametrize(
    "registry",
    ["localhost:5000/", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("docker.io/me/", "localhost/"))],
)
def test_releases_of_an_image_in_a_registry_are_listed(tmp_path: Path, registry: str) -> None:
    """The registry may have a port."""
    require("docker")
    made = checkout(tmp_path / "it", "docker", f"{registry}t{secrets.token_hex(4)}")
    try:
        engine = made.engine("one")
        (service,) = engine.stack.services
        engine.ensure_image(service, lambda _: None)

        assert {service.release} == made.releases()
        assert {service.release} == {
            each.id for each in choice.choose("docker", replace(engine.stack, services=(service,))).releases()
        }
        assert engine.remove_release(service.release)
        assert set() == made.releases()
    finally:
        made.remove()


@pytest.mark.thorough
@pytest.mark.parametrize("engine_name", [each for each in ON_THIS_MACHINE if each != "local"])
def test_tags_that_keep_images_are_removed_with_the_stack(engine_name: str, tmp_path: Path) -> None:
    """Otherwise an image would stay forever."""
    require(engine_name)
    made = checkout(tmp_path / "it", engine_name)
    try:
        made.up("one")
        made.up("two")
        engine = made.engine("two")
        assert isinstance(engine, DaemonEngine)
        releases = made.releases()
        kept = [tag for tag in tags(engine) if image_name(tag).tag in releases and tag.startswith("twelfth-kept/")]
        assert 2 == len(kept)
    finally:
        made.remove()
    assert not {*kept} & {*tags(engine)}
