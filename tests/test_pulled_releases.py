"""Releases of pulled images, on a real daemon with a real registry: deploys by tag, rollback, moved tags, `pull`."""

from __future__ import annotations

import io
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests import tiny_image
from tests.conftest import Recorded, require, require_program
from tests.registry import push, registry, remove_images
from twelfth.engines import choice
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.errors import EngineError
from twelfth.stack import deploy, lifecycle, load, pins, release_choice
from twelfth.stack.pull import plan_pull, pull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPOSE = """
services:
  app:
    image: ${REPOSITORY}/app:${TAG}
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 300ms}}
  db:
    image: ${REPOSITORY}/db:1
    command: [sleep, "600"]
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 100ms}}
x-twelfth: {runs-from: app}
"""


@dataclass
class Project:
    """A stack, and the registry that it pulls from."""

    directory: Path
    repository: str
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")

    def engine(self, tag: str = "v1") -> DaemonEngine:
        """Return the engine with the stack as the Compose file declares it, with a tag."""
        variables = {"COMPOSE_PROJECT_NAME": self.name, "REPOSITORY": self.repository, "TAG": tag}
        engine = choice.choose("docker", load.load_stack(self.directory, os.environ | variables))
        assert isinstance(engine, DaemonEngine)
        return engine

    def up(self, tag: str, release: str = "") -> list[str]:
        """Deploy a tag, or roll back to a release; return the steps."""
        report = Recorded()
        options = deploy.UpOptions(10, is_rollback=bool(release))
        deploy.up(pins.with_pins(self.engine(tag), release), report, options)
        return report.steps

    def running(self) -> set[str]:
        """Return the running releases of the app."""
        return {replica.release for replica in self.engine().replicas("app") if replica.serves}

    def push(self, image: str, label: str, *, exits: bool = False) -> None:
        """Push an image that differs by its label, and leave nothing of it on the daemon."""
        engine, name = self.engine(), f"{self.repository}/{image}"
        lines = [
            f"FROM {self.name}-base:1",
            f"LABEL text={label}",
            'ENTRYPOINT ["sh", "-c", "exit 3"]' if exits else "",
        ]
        dockerfile = io.BytesIO("\n".join(lines).encode())
        [*engine.api.build(fileobj=dockerfile, tag=name, rm=True, decode=True)]
        push(engine.api, name)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return a project with images in a separate registry."""
    require("docker")
    require_program("docker-registry")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    with registry(tmp_path) as host:
        project = Project(tmp_path, host)
        engine = project.engine()
        tiny_image.put(engine.api, base := f"{project.name}-base:1")
        try:
            for image in ("db:1", "app:v1", "app:v2", "app:v3"):
                project.push(image, image, exits=image == "app:v3")
            yield project
        finally:
            lifecycle.down(engine, Recorded(), volumes=True, history=True)
            remove_images(engine.api, host, base)


def test_stack_is_deployed_by_tag_and_rolled_back_by_digest(project: Project) -> None:
    """A bad release, a moved tag and a rollback; the database has no release, and its image stays."""
    project.up("v1")
    (first,) = project.running()
    project.up("v2")
    (second,) = project.running()
    assert first != second

    with pytest.raises(EngineError, match=f"release {second} is still running"):
        project.up("v3")
    assert {second} == project.running()

    project.up("v2", release_choice.to_roll_back_to(project.engine("v2")))
    assert {first} == project.running()

    project.push("app:v2", "moved")
    project.up("v2")
    assert {second} == project.running()
    engine = project.engine("v2")
    before = {replica.id for replica in engine.replicas("")}
    (line, _) = pull(engine, plan_pull(engine, ["app"]), Recorded()).lines
    assert line.endswith(f", was {second}")
    assert before == {replica.id for replica in engine.replicas("")}
    project.up("v2")
    (moved,) = project.running()
    assert moved not in {first, second}

    lifecycle.prune(engine, Recorded(), 0)
    assert {moved, second} == {release.id for release in release_choice.releases(engine)}
    assert not engine.image_id(f"{project.repository}/app:v1")
    assert engine.image_id(f"{project.repository}/db:1")
    with pytest.raises(EngineError, match=r"app:v9: 127\.0\.0\.1:[0-9]+ does not have it"):
        project.up("v9")
