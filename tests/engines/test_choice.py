"""Which engine `auto` chooses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from twelfth.engines import choice
from twelfth.errors import EngineError
from twelfth.model.snapshot import Replica, Snapshot
from twelfth.model.stack import Service, Stack, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable


def engine(name: str, states: Iterable[str], why: str = "") -> SimpleNamespace:
    """Return an engine with replicas in these states, or only with data; `why` is the reason if it is unavailable."""
    there = [state for state in states if state != "data"]
    running = tuple(Replica("worker", number, "id", state, {}) for number, state in enumerate(there, 1))
    found = Snapshot(running, volumes=(Volume("data"),) if there != [*states] else ())
    return SimpleNamespace(name=name, why_unavailable=lambda: why, observe=lambda: found)


@pytest.mark.parametrize(
    ("local", "docker", "chosen"),
    [
        (["running"], ["running"], "local"),
        (["stopped", "starting"], [], "local"),
        (["stopped"], ["running"], "docker"),
        ([], ["running"], "docker"),
        ([], [], "docker"),
        (["stopped"], [], "local"),
        (["stopped"], None, "local"),
        (["data"], [], "local"),
        (["data"], ["running"], "docker"),
        ([], None, "local"),
    ],
)
def test_auto_is_where_something_runs_then_where_it_ran(
    local: list[str], docker: list[str] | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot the processes of the local engine are known but not running; None: no daemon answers."""
    made = {
        "local": engine("local", local),
        "docker": engine("docker", docker or [], "" if docker is not None else "-"),
        "swarm": engine("swarm", [], "no manager"),
    }
    monkeypatch.setattr(choice, "_make", lambda name, _: made[name])

    assert chosen == choice.choose("auto", Stack("p", Path(), ())).name


@pytest.mark.parametrize("name", ["auto", "docker"])
def test_error_does_not_suggest_local_for_a_stack_without_x_local(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local engine would suggest docker."""
    local = engine("local", [])
    local.runs_here = lambda service: bool(service.local)
    made = {"local": local, "docker": engine("docker", [], "no daemon answers; start it, or: INVOKE_ENGINE=local")}
    monkeypatch.setattr(choice, "_make", lambda name, _: made[name])

    with pytest.raises(EngineError) as refused:
        choice.choose(name, Stack("p", Path(), (Service("app", "app"),)))
    hint = "start it: no service of p has an x-local, so none runs without containers"
    assert f"no daemon answers; {hint}" == str(refused.value)


@pytest.mark.parametrize(("states", "chosen"), [(["running"], "swarm"), ([], "docker")])
def test_auto_is_a_swarm_where_the_stack_runs_there(
    states: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that manages a Swarm is a Docker daemon, too."""
    made = {"local": engine("local", []), "docker": engine("docker", []), "swarm": engine("swarm", states)}
    monkeypatch.setattr(choice, "_make", lambda name, _: made[name])

    assert chosen == choice.choose("auto", Stack("p", Path(), ())).name
