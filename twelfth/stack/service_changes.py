"""Stop, start and restart services as they exist: take the lock, record the change, execute the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.stack import selection
from twelfth.stack.changes import Change, recorded
from twelfth.stack.executor import execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth.engines.contract import Engine
    from twelfth.stack.report import Report
    from twelfth.stack.steps import Step

PLANS = {"stop": selection.stop, "start": selection.start, "restart": selection.restart}
ACTIONS = {"stop": "stopping services", "start": "starting services", "restart": "restarting services"}
"""The steps, and what the holder of the lock does, by command."""


def plan_change(engine: Engine, command: str, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps of a command for these services, all of them if there are none, without executing them."""
    return PLANS[command](engine.stack, engine.observe(), names)


def change(engine: Engine, command: str, names: Sequence[str], report: Report, within: float | None = None) -> bool:
    """Execute a command for these services, all of them if there are none; return whether any replica changed."""
    with engine.state.lock(ACTIONS[command]):
        steps = plan_change(engine, command, names)
        with recorded(engine, report, Change(command, " ".join(names)), steps):
            return execute(engine, steps, report, within)


def restarts_with_daemon(engine: Engine, names: Sequence[str]) -> tuple[str, ...]:
    """Return the services that the engine starts again when it restarts itself, although they were stopped."""
    replicas = engine.replicas_of(names)
    return tuple(dict.fromkeys(replica.service for replica in replicas if engine.restarts_with_daemon(replica)))
