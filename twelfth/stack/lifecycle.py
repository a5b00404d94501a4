"""Bring a stack up and down: observe, plan, execute. All decisions are the plan's; all effects are the engine's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from twelfth.stack import plan, preflight
from twelfth.stack.executor import execute
from twelfth.stack.location import forget, remember
from twelfth.stack.lock import hold_lock
from twelfth.stack.readiness import HEALTHY, READY_WITHIN, wait_until_ready
from twelfth.stack.status import url
from twelfth.stack.steps import EnsureImage

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Snapshot
    from twelfth.stack.executor import Report
    from twelfth.stack.steps import Step


def plan_up(engine: Engine) -> tuple[Step, ...]:
    """Return what `up` would do now; changes nothing."""
    return _plan(engine, engine.observe())


def _plan(engine: Engine, found: Snapshot) -> tuple[Step, ...]:
    with ThreadPoolExecutor(1) as pool:  # a healthcheck takes as long as all the rest
        unready = pool.submit(_unready, engine, found)
        recipes = {service.name: engine.recipe(service) for service in engine.stack.services}
        here = {name: recipe for name, recipe in recipes.items() if recipe is not None}
        return plan.up(engine.stack, found, here, unready=unready.result())


def _unready(engine: Engine, found: Snapshot) -> dict[str, str]:
    """Return, by service, why what serves cannot serve at the moment, where a release command may cure that."""
    asked = [service.name for service in engine.stack.services if service.release_command]
    replicas = [each for name in asked for each in found.of(name) if each.serves]
    details = {each.service: engine.check_health(each).details for each in replicas[:1]}
    return {name: str(said["error"]) for name, said in details.items() if said.get("error")}


def up(engine: Engine, report: Report, within: float = READY_WITHIN) -> str:
    """Converge the stack and return its address (`http://host:port`), "" where it has none.

    Images come first: only then is it known what replicas would be made from. A replica has `within` seconds to get
    ready. Raises `EngineError` where one does not, `BusyError` where another `up` or `down` is at work, or a run whose
    network would be removed.
    """
    with hold_lock(engine.stack):
        found = engine.observe()
        steps = _plan(engine, found)
        preflight.refuse_taken_ports(engine, steps, found)
        preflight.refuse_disturbing_runs(engine, steps)
        remember(engine)
        if execute(engine, [step for step in steps if isinstance(step, EnsureImage)], report):
            steps = plan_up(engine)
        if execute(engine, [step for step in steps if not isinstance(step, EnsureImage)], report, within):
            found = engine.observe()
        for replica in found.replicas:
            if replica.health != HEALTHY:
                wait_until_ready(engine, replica, within)
        return url(found.address)


def plan_down(engine: Engine, *, volumes: bool = False, history: bool = False) -> tuple[Step, ...]:
    """Return what `down` would do now; changes nothing."""
    return plan.down(engine.stack, engine.observe(), engine.runs.records(), volumes=volumes, history=history)


def down(engine: Engine, report: Report, *, volumes: bool = False, history: bool = False) -> bool:
    """Remove the stack, and its data and record of runs where named; return whether there was anything to remove."""
    with hold_lock(engine.stack):
        done = execute(engine, plan_down(engine, volumes=volumes, history=history), report)
        if not engine.observe().volumes:
            forget(engine.stack.directory)
        return done


def build(engine: Engine, report: Report) -> str:
    """Make available what the stack builds, where it is not, and return the release's name."""
    images = engine.observe().images
    built = [service for service in engine.stack.services if service.build]
    execute(engine, [EnsureImage(each, "not here yet") for each in built if each.image not in images], report)
    return ", ".join(service.image.rpartition(":")[2] for service in built)
