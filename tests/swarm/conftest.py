"""The project on a Swarm that is created for a test."""

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
    """A copy of the project, and its Swarm."""

    project: Project
    swarm: swarms.Swarm


@contextlib.contextmanager
def on_swarm(directory: Path, nodes: int, managers: int = 1, root: Path | None = None) -> Iterator[OnSwarm]:
    """Yield the project on a Swarm of `nodes` machines; nothing is up yet. Skip the test if Swarms are unavailable.

    `root` is the root file system of another Docker version.
    """
    if why := swarms.why_unavailable():
        skip_or_fail("swarm", why)
    with swarms.swarm(nodes, managers, root) as created:
        project = make_project("swarm", directory)
        project.environment |= created.environment
        if nodes > 1:
            project.environment["REGISTRY"] = created.registry
        yield OnSwarm(project, created)
        for client in project.clients:
            client.kill()
            client.communicate()


def place_ingress(on: OnSwarm) -> None:
    """Declare the ingress on the first node, so that its address stays, and the addresses of the nodes' daemons."""
    settings = "{deploy: {placement: {constraints: ['node.labels.twelfth.data == true']}}}"
    nodes = ", ".join(f"{node.name}: '{node.url}'" for node in on.swarm.nodes)
    text = f"services: {{web: {settings}}}\nx-swarm: {{nodes: {{{nodes}}}}}\n"
    (on.project.directory / "docker-compose.override.yml").write_text(text, "utf-8")
