"""Two nodes with replicas on both: releases that are rolled, good and bad, and one node that is lost under load."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import eventually
from tests.sample import FULL
from tests.scenarios.load import Load, change
from tests.scenarios.test_deploys import NEVER_READY, assert_nobody_noticed
from tests.swarm.conftest import OnSwarm, on_swarm, place_door
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.run_spec import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.measures

HITS = 20_000 if FULL else 2_000


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSwarm]:
    """Return the project, up on a Swarm of two nodes whose daemons are known, with workers on both."""
    with on_swarm(tmp_path_factory.mktemp("swarm"), nodes=2) as made:
        place_door(made)
        up = made.project.invoke("up", "--accept-weaker", "--scale", "worker=4")
        assert 0 == up.returncode, up.stderr
        yield made


def address(made: OnSwarm) -> str:
    """Return where the stack answers."""
    return str(json.loads(made.project.invoke("status", "--json").stdout)["address"])


def states(made: OnSwarm) -> dict[str, str]:
    """Return the state of each run by its id."""
    return {each["id"]: each["state"] for each in json.loads(made.project.invoke("history", "--json").stdout)}


def tasks(made: OnSwarm, **filters: str) -> list[dict[str, Any]]:
    """Return the tasks of the workers, those that have ended or are about to as well."""
    with contextlib.closing(made.swarm.nodes[0].api()) as api:
        return list(api.tasks(filters={"service": f"{made.project.name}_worker", **filters}))


def workers(made: OnSwarm) -> list[str]:
    """Return the node of each worker that runs."""
    with contextlib.closing(made.swarm.nodes[0].api()) as api:
        names = {each["ID"]: each["Description"]["Hostname"] for each in api.nodes()}
    running = [each for each in tasks(made, **{"desired-state": "running"}) if each["Status"]["State"] == "running"]
    return sorted(names[each["NodeID"]] for each in running)


def are_on_both(made: OnSwarm) -> bool:
    """Return whether four workers run, and some of them on each node."""
    found = workers(made)
    return (4, {node.name for node in made.swarm.nodes}) == (len(found), set(found))


def test_deploys_over_two_nodes_cost_no_request_and_a_bad_one_is_taken_back(
    two_nodes: OnSwarm, tell: Callable[[str], None]
) -> None:
    """A good release, then one that never gets ready: what served serves on, on both nodes."""
    invoke = two_nodes.project.invoke
    app = two_nodes.project.directory / "service" / "app.py"
    assert are_on_both(two_nodes)
    with Load(address(two_nodes), visitors=8) as load:
        change(two_nodes.project, "\n# another release")
        good, text = invoke("up"), app.read_text("utf-8")
        assert 0 == good.returncode, good.stderr
        before, known = len(load.hits), {each["ID"] for each in tasks(two_nodes)}
        change(two_nodes.project, NEVER_READY)
        bad = invoke("up", "--ready-within", "5")
        app.write_text(text, "utf-8")
        load.reach(HITS)
    figures = load.figures()
    tell(f"a good release and a bad one over two nodes: {figures}; {bad.stderr.strip()}")

    assert 125 == bad.returncode
    assert "what served serves on" in bad.stderr
    assert_nobody_noticed(figures)
    assert {hit.replica for hit in figures.hits[before:] if hit.began > figures.hits[before].ended} <= known
    assert eventually(lambda: are_on_both(two_nodes), 30)


def test_attached_run_on_another_node_leaves_its_record_there_and_nothing_else(two_nodes: OnSwarm) -> None:
    """A container that holds a network for the next run would keep that from being removed: `down` would fail."""
    second = two_nodes.swarm.nodes[1]
    ended = two_nodes.project.invoke("run", "--node", second.name, "--", "true")
    api = second.api()
    left = [each["Labels"] for each in api.containers(all=True, filters={"label": f"{COMPOSE}oneoff=True"})]
    api.close()

    assert (0, "") == (ended.returncode, ended.stderr)
    assert left
    assert all(RUN in labels for labels in left)


def test_node_that_is_lost_doubles_no_number_and_its_run_is_known_to_be_lost(
    two_nodes: OnSwarm, tell: Callable[[str], None]
) -> None:
    """Its replicas are back on the other node; a run is never said to be done because nobody can be asked."""
    first, second = two_nodes.swarm.nodes
    assert eventually(lambda: are_on_both(two_nodes), 30)
    detached = two_nodes.project.invoke("run", "--node", second.name, "--detach", "--", "sleep", "600")
    identity = detached.stdout.strip()
    assert "running" == states(two_nodes)[identity], detached.stderr

    with Load(address(two_nodes), visitors=4) as load:
        second.kill()
        killed = time.monotonic()
        assert eventually(lambda: "lost" == states(two_nodes)[identity], 60)
        lost = time.monotonic() - killed
        assert eventually(lambda: workers(two_nodes) == [first.name] * 4, 60)
        back = time.monotonic() - killed
    figures = load.figures()
    tell(f"a node killed: {figures}; its run lost after {lost:.0f} s, its replicas back after {back:.0f} s")

    assert 0 == figures.repeated
    assert len(set(figures.numbers)) <= figures.moved
    assert "lost" == states(two_nodes)[identity]
