"""Two nodes with replicas on both: good and bad releases are rolled out, and one node is lost under load."""

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
from tests.swarm.conftest import OnSwarm, on_swarm, place_ingress
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.run_spec import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.measures, pytest.mark.thorough]

HITS = 20_000 if FULL else 2_000


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSwarm]:
    """Return the project, up on a Swarm of two nodes whose daemons are known, with workers on both."""
    with on_swarm(tmp_path_factory.mktemp("swarm"), nodes=2) as on:
        place_ingress(on)
        up = on.project.invoke("up", "--accept-weaker", "--scale", "worker=4")
        assert 0 == up.returncode, up.stderr
        yield on


def address(on: OnSwarm) -> str:
    """Return the stack's address."""
    return str(json.loads(on.project.invoke("status", "--json").stdout)["address"])


def states(on: OnSwarm) -> dict[str, str]:
    """Return the state of each run by its id."""
    return {run["id"]: run["state"] for run in json.loads(on.project.invoke("history", "--json").stdout)}


def tasks(on: OnSwarm, **filters: str) -> list[dict[str, Any]]:
    """Return all tasks of the workers, including those that have exited."""
    with contextlib.closing(on.swarm.nodes[0].api()) as api:
        return list(api.tasks(filters={"service": f"{on.project.name}_worker", **filters}))


def workers(on: OnSwarm) -> list[str]:
    """Return the node of each running worker."""
    with contextlib.closing(on.swarm.nodes[0].api()) as api:
        names = {node["ID"]: node["Description"]["Hostname"] for node in api.nodes()}
    running = [task for task in tasks(on, **{"desired-state": "running"}) if task["Status"]["State"] == "running"]
    return sorted(names[task["NodeID"]] for task in running)


def are_on_both(on: OnSwarm) -> bool:
    """Return whether four workers are running, and some of them on each node."""
    nodes = workers(on)
    return (4, {node.name for node in on.swarm.nodes}) == (len(nodes), set(nodes))


def test_deploys_over_two_nodes_cost_no_request_and_a_bad_one_is_rolled_back(
    two_nodes: OnSwarm, tell: Callable[[str], None]
) -> None:
    """After a good release, one never gets ready: the previous release is still running on both nodes."""
    invoke = two_nodes.project.invoke
    app = two_nodes.project.directory / "service" / "app.py"
    assert are_on_both(two_nodes)
    with Load(address(two_nodes), visitors=8) as load:
        change(two_nodes.project, "\n# another release")
        good, text = invoke("up"), app.read_text("utf-8")
        assert 0 == good.returncode, good.stderr
        before, known = len(load.hits), {each["ID"] for each in tasks(two_nodes)}
        change(two_nodes.project, NEVER_READY)
        bad = invoke("up", "--ready-within", "3")
        app.write_text(text, "utf-8")
        load.reach(HITS)
    figures = load.figures()
    tell(f"a good release and a bad one over two nodes: {figures}; {bad.stderr.strip()}")

    assert 125 == bad.returncode
    assert "it was rolled back to what ran before" in bad.stderr
    assert_nobody_noticed(figures)
    assert {hit.replica for hit in figures.hits[before:] if hit.began > figures.hits[before].ended} <= known
    assert eventually(lambda: are_on_both(two_nodes), 30)


@pytest.mark.thorough
def test_attached_run_on_another_node_leaves_its_record_there_and_nothing_else(two_nodes: OnSwarm) -> None:
    """No container that would keep a network from being removed is left."""
    second = two_nodes.swarm.nodes[1]
    ended = two_nodes.project.invoke("run", "--node", second.name, "--", "true")
    api = second.api()
    left = [each["Labels"] for each in api.containers(all=True, filters={"label": f"{COMPOSE}oneoff=True"})]
    api.close()

    assert (0, "") == (ended.returncode, ended.stderr)
    assert left
    assert all(RUN in labels for labels in left)


@pytest.mark.thorough
def test_lost_node_repeats_no_number_and_its_run_is_recorded_as_lost(
    two_nodes: OnSwarm, tell: Callable[[str], None]
) -> None:
    """Its replicas are restarted on the other node; a run whose node does not answer is never recorded as done."""
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
