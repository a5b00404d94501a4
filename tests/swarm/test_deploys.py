"""Releases that are rolled over two nodes: visitors do not notice, whether they are good or bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.scenarios.load import FULL, Load, change
from tests.scenarios.test_deploys import NEVER_READY, assert_nobody_noticed
from tests.swarm.conftest import on_swarm, place_door
from tests.swarm.test_two_nodes import workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.alone

HITS = 20_000 if FULL else 2_000


def test_deploys_over_two_nodes_cost_no_request_and_a_bad_one_is_taken_back(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Replicas on both nodes; a good release, then one that never gets ready: what served serves on, on both."""
    with on_swarm(tmp_path, nodes=2) as made:
        place_door(made)
        invoke, both = made.project.invoke, {node.name for node in made.swarm.nodes}
        up = invoke("up", "--accept-weaker", "--scale", "worker=4")
        assert 0 == up.returncode, up.stderr
        assert both == set(workers(made))
        with Load(up.stdout.splitlines()[-1], visitors=8) as load:
            change(made.project, "\n# another release")
            good = invoke("up")
            assert 0 == good.returncode, good.stderr
            before, serving = len(load.hits), {hit.replica for hit in load.hits[-100:]}
            change(made.project, NEVER_READY)
            bad = invoke("up", "--ready-within", "5")
            load.reach(HITS)
        figures = load.figures()
        tell(f"a good release and a bad one over two nodes: {figures}; {bad.stderr.strip()}")

        assert 125 == bad.returncode
        assert "what served serves on" in bad.stderr
        assert_nobody_noticed(figures)
        assert {hit.replica for hit in figures.hits[before:] if hit.began > figures.hits[before].ended} <= serving
        assert eventually(lambda: len(workers(made)) == 4 and both == set(workers(made)), 30)
