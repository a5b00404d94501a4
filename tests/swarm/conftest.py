"""The project on a Swarm of the test's own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import swarms
from tests.conftest import Project, make_project, skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class OnSwarm:
    """A copy of the project, and the Swarm that it is on."""

    project: Project
    swarm: swarms.Swarm


@contextlib.contextmanager
def on_swarm(directory: Path, nodes: int, managers: int = 1, root: Path | None = None) -> Iterator[OnSwarm]:
    """Yield the project on a Swarm of `nodes` machines; nothing is up yet. Skip the test where Swarms are unavailable.

    `root` is the root file system of another Docker version.
    """
    if why := swarms.why_unavailable():
        skip_or_fail("swarm", why)
    with swarms.swarm(nodes, managers, root) as made:
        project = make_project("swarm", directory)
        project.environment |= made.environment
        if nodes > 1:
            project.environment["REGISTRY"] = made.registry
        yield OnSwarm(project, made)
        for client in project.clients:
            client.kill()
            client.communicate()


def place_door(made: OnSwarm) -> None:
    """Have the door on the first node, so that its address stays, and say where the nodes' daemons are."""
    place = "{deploy: {placement: {constraints: ['node.labels.twelfth.data == true']}}}"
    nodes = ", ".join(f"{node.name}: '{node.url}'" for node in made.swarm.nodes)
    text = f"services: {{web: {place}}}\nx-swarm: {{nodes: {{{nodes}}}}}\n"
    (made.project.directory / "docker-compose.override.yml").write_text(text, "utf-8")
