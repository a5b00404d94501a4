"""Two nodes: replicas on both, and one of them lost under load."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.scenarios.conftest import tell
from tests.scenarios.load import Load
from tests.swarm.conftest import UNCLOSED, OnSwarm, on_swarm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.alone, UNCLOSED]
__all__ = ["tell"]


def states(made: OnSwarm) -> dict[str, str]:
    """Return the state of each run by its id."""
    return {each["id"]: each["state"] for each in json.loads(made.project.invoke("history", "--json").stdout)}


def workers(made: OnSwarm) -> list[str]:
    """Return the node of each worker that runs."""
    api = made.swarm.nodes[0].api()
    names = {each["ID"]: each["Description"]["Hostname"] for each in api.nodes()}
    tasks = api.tasks(filters={"service": f"{made.project.name}_worker", "desired-state": "running"})
    api.close()
    return sorted(names[each["NodeID"]] for each in tasks if each["Status"]["State"] == "running")


def test_node_that_is_lost_doubles_no_number_and_its_run_is_known_to_be_lost(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Its replicas are back on the other node; a run is never said to be done because nobody can be asked."""
    with on_swarm(tmp_path, nodes=2) as made:
        invoke, (first, second) = made.project.invoke, made.swarm.nodes
        place = "{deploy: {placement: {constraints: ['node.labels.twelfth.data == true']}}}"
        text = f"services: {{web: {place}}}\nx-swarm: {{nodes: {{{second.name}: '{second.url}'}}}}\n"
        (made.project.directory / "docker-compose.override.yml").write_text(text, "utf-8")
        up = invoke("up", "--accept-weaker", "--scale", "worker=4")
        assert 0 == up.returncode, up.stderr
        assert {first.name, second.name} == set(workers(made))
        identity = invoke("run", "--node", second.name, "--detach", "--", "sleep", "600").stdout.strip()
        assert "running" == states(made)[identity]

        with Load(up.stdout.splitlines()[-1], visitors=4) as load:
            second.kill()
            killed = time.monotonic()
            assert eventually(lambda: "lost" == states(made)[identity], 60)
            lost = time.monotonic() - killed
            assert eventually(lambda: workers(made) == [first.name] * 4, 60)
            back = time.monotonic() - killed
        figures = load.figures()
        tell(f"a node killed: {figures}; its run lost after {lost:.0f} s, its replicas back after {back:.0f} s")

        assert 0 == figures.repeated
        assert len(set(figures.numbers)) <= figures.moved
        assert "lost" == states(made)[identity]
