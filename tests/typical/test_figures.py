"""What each kind of deploy costs the clients of typical projects, next to Compose (docs/performance.md)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import DOCKER_COMPOSE, require_program
from tests.typical.load import load
from tests.typical.setups import GOOD, RELEASED, SETUPS, Typical, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.measures, pytest.mark.thorough]

AFTERWARDS = 5.0
"""Seconds for which clients send requests after the command has returned."""


def measure(typical: Typical, deploy: Callable[[], object]) -> str:
    """Return what the clients noticed of a deploy."""
    with load(typical.port) as clients:
        deploy()
        time.sleep(AFTERWARDS)
    return str(clients)


def deploys(typical: Typical, *, by_compose: bool) -> dict[str, str]:
    """Deploy each kind of release and then go back; return what the clients noticed of each."""
    up = typical.compose if by_compose else lambda: typical.printed("up")
    up_bad = typical.compose if by_compose else lambda: typical.twelfth("up", "--ready-within", "10")
    rollback = typical.compose if by_compose else lambda: typical.printed("rollback")
    figures = {}
    up()
    for change in typical.changes:
        with typical.changed(change):
            figures[change] = measure(typical, up if change == GOOD else up_bad)
        if by_compose and change != GOOD:
            up()
    return figures | {"rollback": measure(typical, rollback)}


@pytest.mark.parametrize("name", SETUPS)
def test_figures(tmp_path: Path, tell: Callable[[str], None], name: str) -> None:
    """With twelfth no bad deploy fails a request, and with its proxy no good one."""
    require_program(DOCKER_COMPOSE)
    ways = ["docker compose", "twelfth", *(["with the proxy"] if name in RELEASED else [])]
    figures = {}
    for way in ways:
        (directory := tmp_path / way.replace(" ", "-")).mkdir()
        with project(name, directory, is_proxied=way == "with the proxy") as typical:
            figures[way] = deploys(typical, by_compose=way == "docker compose")
        tell(f"{name} | {way} | {' | '.join(f'{kind}: {cost}' for kind, cost in figures[way].items())}")

    bad = [kind for kind in SETUPS[name].changes if kind != GOOD]
    assert ["0"] * len(bad) == [figures["twelfth"][kind] for kind in bad]
    for kind in (GOOD, "rollback"):
        assert "0" == figures[ways[-1]][kind] or name == "mounted"
