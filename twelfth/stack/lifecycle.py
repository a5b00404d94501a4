"""Bring a stack up and down: observe, plan, execute. All decisions are the plan's; all effects are the engine's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from twelfth.errors import EngineError
from twelfth.operator_name import operator
from twelfth.stack import notices, plan, preflight
from twelfth.stack.deploy_record import forget_deploys, note_build, note_deploy, note_rollback, note_scale
from twelfth.stack.executor import execute
from twelfth.stack.lock import hold_lock
from twelfth.stack.readiness import HEALTHY, first_serving, healths, wait_until_all_serve
from twelfth.stack.release_history import needed, plan_prune
from twelfth.stack.resources import own_volumes
from twelfth.stack.stack_file import forget, is_elsewhere, remember
from twelfth.stack.status import address
from twelfth.stack.steps import CreateReplica, EnsureImage, ReloadReplica, ReplaceReplica, RollService

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Snapshot
    from twelfth.model.stack import Service, Stack
    from twelfth.stack.executor import Report
    from twelfth.stack.steps import Step


CHANGES = CreateReplica | ReplaceReplica | ReloadReplica | RollService
"""Steps that change a service."""


def plan_up(engine: Engine, *, remove_orphans: bool = False) -> tuple[Step, ...]:
    """Return what `up` would do now; changes nothing."""
    return _plan(engine, engine.observe(), {}, remove_orphans=remove_orphans)


def _plan(engine: Engine, found: Snapshot, checked: Mapping[str, Health], *, remove_orphans: bool) -> tuple[Step, ...]:
    preflight.refuse_idle(engine)
    preflight.refuse_contradictions(engine.stack)
    with ThreadPoolExecutor(1) as pool:  # a healthcheck takes as long as all the rest
        complaints = pool.submit(unready, engine, found, checked)
        recipes = {service.name: engine.recipe(service) for service in engine.stack.services}
        here = {name: recipe for name, recipe in recipes.items() if recipe is not None}
        steps = plan.up(
            engine.stack,
            found,
            here,
            unready=complaints.result(),
            remove_orphans=remove_orphans,
        )
    return preflight.without_networks_of_runs(engine, steps)


def unready(engine: Engine, found: Snapshot, checked: Mapping[str, Health]) -> dict[str, str]:
    """Return, by service, why the running replicas cannot serve now; one replica of each is checked."""
    names = {service.name for service in engine.stack.services} - engine.stack.completing
    first = first_serving(found.replicas)
    replicas = {first[name].id: first[name] for name in names & first.keys()}
    results = {identity: checked[identity] for identity in replicas if identity in checked}
    results |= healths(engine, [replica for identity, replica in replicas.items() if identity not in checked])
    return {replicas[identity].service: health.complaint for identity, health in results.items() if health.complaint}


@dataclass(frozen=True)
class UpOptions:
    """How to deploy: seconds that a replica has to get ready, whether runs that have not ended are waited for.

    Without `ready_within` each service has its default. The numbers of replicas of `scaled` services are remembered.
    `remove_orphans` removes services that the stack does not declare. `warn` is called with each line about what stays
    although the stack declares something else.
    """

    ready_within: float | None = None
    waits_for_runs: bool = False
    is_rollback: bool = False
    accepts_weaker: bool = False
    remove_orphans: bool = False
    warn: Callable[[str], None] = lambda _: None
    scaled: Collection[str] = ()


def up(
    engine: Engine,
    report: Report,
    options: UpOptions = UpOptions(),
    checked: Mapping[str, Health] = MappingProxyType({}),
) -> str:
    """Converge the stack and return its address (`http://host:port`), "" where it has none.

    `checked` has the results of healthchecks that this command has run already, by the replicas' ids.
    Images come first: only then is it known what replicas would be made from. Raises `EngineError` where a replica does
    not get ready, `BusyError` where another command changes the stack, or a run is on a network that would be removed.
    """
    with hold_lock(engine.stack, "deploying"):
        engine.refuse_stack()
        preflight.refuse_losses(engine, accepts=options.accepts_weaker)
        found = engine.observe()
        steps = _plan(engine, found, checked, remove_orphans=options.remove_orphans)
        preflight.refuse_taken_ports(engine, steps, found)
        preflight.refuse_disturbing_others(steps, engine.stack, found)
        preflight.refuse_disturbing_runs(engine, steps)
        for line in notices.of_up(engine, found, remove_orphans=options.remove_orphans):
            options.warn(line)
        remember(engine)
        if execute(engine, [step for step in steps if isinstance(step, EnsureImage)], report):
            note_build(engine.stack, engine.stack.release)
            steps = plan_up(engine, remove_orphans=options.remove_orphans)
        preflight.refuse_configuration(engine, steps)
        if steps and options.waits_for_runs:
            preflight.wait_for_runs(engine, report)
        within = options.ready_within
        if execute(engine, [step for step in steps if not isinstance(step, EnsureImage)], report, within):
            found = engine.observe()
            _note(engine.stack, is_rollback=options.is_rollback)
        for service in engine.stack.services:
            if service.name in options.scaled:
                note_scale(engine.stack, service.name, service.replicas)
        if steps or not all(engine.keeps_release(replica.release) for replica in found.replicas if replica.release):
            _keep_and_prune(engine, found, report, prunes=False)
        _wait_for_all(engine, found, steps, within)
        if steps:
            _keep_and_prune(engine, found, report, prunes=True)
        return address(engine.stack, found)


def _keep_and_prune(engine: Engine, found: Snapshot, report: Report, *, prunes: bool) -> None:
    """Keep the releases that this stack needs, and remove releases that no stack needs.

    A failure is reported, but does not fail the deploy.
    """
    try:
        engine.keep_releases(needed(engine, found))
        if prunes:
            execute(engine, plan_prune(engine), report)
    except EngineError as error:
        report.detail(str(error))


def _note(stack: Stack, *, is_rollback: bool) -> None:
    """Note what was deployed, or what was gone back to: from there, the next rollback goes back further."""
    if release := stack.release:
        (note_rollback if is_rollback else note_deploy)(stack, release, operator())


def _wait_for_all(engine: Engine, found: Snapshot, steps: Collection[Step], within: float | None) -> None:
    """Wait until every replica can serve, as `status` defines it: a change may have broken its dependents.

    If nothing changed, replicas that the engine reports as healthy are not asked.
    """
    names = {service.name for service in engine.stack.services} - engine.stack.completing
    here = [each for each in found.replicas if each.service in names]
    unsure = [each for each in here if steps or each.health != HEALTHY]
    changed = {step.service.name for step in steps if isinstance(step, CHANGES)}
    wait_until_all_serve(engine, unsure, within, changed)


def plan_scale(engine: Engine, service: Service) -> tuple[Step, ...]:
    """Return what `scale` would do now to give a service its replicas; changes nothing."""
    return plan.scale(service, engine.observe())


def scale(engine: Engine, service: Service, report: Report, within: float | None = None) -> bool:
    """Make or remove replicas of the release that runs, until there are as many as the service says.

    Return whether there was anything to do.
    """
    with hold_lock(engine.stack, "scaling"):
        done = execute(engine, plan_scale(engine, service), report, within)
        note_scale(engine.stack, service.name, service.replicas)
        return done


def prune(engine: Engine, report: Report, keep: int) -> bool:
    """Remove the releases that nothing needs; return whether there were any."""
    with hold_lock(engine.stack, "removing releases"):
        return execute(engine, plan_prune(engine, keep), report)


def plan_down(engine: Engine, **also: bool) -> tuple[Step, ...]:
    """Return what `down` would do now with the same arguments; changes nothing."""
    return plan.down(engine.stack, engine.observe(), engine.runs.records(), **also)


def down(
    engine: Engine, report: Report, *, volumes: bool = False, history: bool = False, remove_orphans: bool = False
) -> bool:
    """Remove the stack and, if requested, its data and record of runs; return whether anything was removed.

    Services that the stack does not declare stay, unless `remove_orphans`.
    """
    also = {"volumes": volumes, "history": history, "remove_orphans": remove_orphans}
    with hold_lock(engine.stack, "taking it down"):
        done = execute(engine, plan_down(engine, **also), report)
        left = engine.observe()
        if not left.replicas:
            engine.clean_up()
        if not left.replicas and not own_volumes(engine.stack, left) and not is_elsewhere(engine):
            forget_deploys(engine.stack)
            engine.keep_releases(())
            if volumes:
                forget(engine.stack)
        return done


def build(engine: Engine, report: Report) -> str:
    """Make available what the stack builds, where it is not, and return the release's name."""
    images = engine.observe().images
    missing = [each for each in engine.stack.services if each.build and each.image not in images]
    release = engine.stack.release
    if execute(engine, [EnsureImage(each, "not here yet") for each in missing], report):
        note_build(engine.stack, release)
    return release
