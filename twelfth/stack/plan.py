"""Decide, from what is wanted and what is there, the steps that lead from one to the other; change nothing.

The idea of one snapshot and printable steps with causes is Compose's
(https://github.com/docker/compose/blob/main/pkg/compose/plan.go).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from twelfth.errors import NoReleaseError, NotUpError
from twelfth.model.snapshot import UNHEALTHY, differences, missing_resources
from twelfth.stack import resources
from twelfth.stack.rollout import complete, create, free_numbers, remove, roll, roll_by_engine
from twelfth.stack.steps import (
    CreateReplica,
    CreateResource,
    DeleteRun,
    EnsureImage,
    RemoveReplica,
    RemoveResource,
    ReplaceReplica,
    RollService,
    RunReleaseCommand,
    ScaleService,
    Step,
    StopRun,
)
from twelfth.stack.watch import watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from twelfth.model.run import Run
    from twelfth.model.snapshot import Recipe, Replica, Snapshot
    from twelfth.model.stack import Network, Service, Stack


def up(
    stack: Stack,
    found: Snapshot,
    recipes: Mapping[str, Recipe],
    *,
    unready: Mapping[str, str] = MappingProxyType({}),
    remove_orphans: bool = False,
) -> tuple[Step, ...]:
    """Return the steps that make `found` into `stack`; none where it is that already.

    `recipes` has, by service, what a replica would be made from now; a service without one does not run on this engine.
    `unready` has, by service, why its running replicas cannot serve.

    A release command runs before running services are changed, so that one that fails has changed nothing. Its
    dependencies are changed before it only if they are not running, if `unready` is not empty, or if the command has
    another configuration than the running replicas; networks that this needs are re-created first. Then each service
    is changed after its dependencies. Services that the stack does not declare stay, unless `remove_orphans`.
    """
    wanted = [service for service in stack.services if service.name in recipes]
    changed = resources.changed_networks(stack, found)
    disconnected = _disconnected(stack, found, changed)
    rolls = _rolls(stack, found, recipes, disconnected)
    commands = [
        command
        for one in wanted
        if (command := _release_command(one, found, recipes[one.name], rolls[one.name], unready.get(one.name)))
    ]
    needed = _needed(stack, found, recipes, commands, unready)
    changed_before = tuple(name for name in needed if found.replicas_of(name) and any(map(_makes, rolls.get(name, ()))))
    unwanted = [each for each in found.replicas if _is_unwanted(each, stack, recipes, remove_orphans=remove_orphans)]
    gone = {service.name for service in wanted} | {replica.service for replica in unwanted}
    recreate = (
        *_remove_unwanted(stack, found, unwanted),
        *_recreate_networks(stack, found, disconnected, changed),
    )
    on_them = {replica.service for replica in disconnected} | _members(stack, changed) - stack.completing
    is_blocked = not on_them.isdisjoint(needed)
    first, later = (recreate, ()) if is_blocked else ((), recreate)
    return (
        *_images(wanted, found),
        *(CreateResource(resource, "not there") for resource in missing_resources(stack, found)),
        *first,
        *(step for name in needed for step in rolls.pop(name, ())),
        *(replace(command, after=changed_before) for command in commands),
        *later,
        *(step for steps in rolls.values() for step in steps),
        *(RemoveResource(each, "it was renamed") for each in resources.left_networks(stack, found, gone)),
    )


def down(  # noqa: PLR0913 - each is named where it is called
    stack: Stack,
    found: Snapshot,
    runs: tuple[Run, ...],
    *,
    volumes: bool = False,
    history: bool = False,
    remove_orphans: bool = False,
) -> tuple[Step, ...]:
    """Return the steps that remove the stack: runs first, then dependents before their dependencies, then networks.

    Volumes and the record of runs stay unless requested. Orphans stay, with the networks that they use;
    `remove_orphans` removes their services and networks, and never their volumes.
    """
    order = [service.name for service in stack.services]
    here = [each for each in found.replicas if remove_orphans or each.service in order]
    replicas = sorted(here, key=lambda one: order.index(one.service) if one.service in order else -1)
    networks = resources.networks_to_remove(stack, found, {each.service for each in here}, orphans=remove_orphans)
    return (
        *(StopRun(run, "down") for run in runs if run.is_running),
        *remove(found, reversed(replicas), "down"),
        *(DeleteRun(run, "down --history") for run in runs if history),
        *(RemoveResource(network, "down") for network in networks),
        *(RemoveResource(volume, "down --volumes") for volume in resources.own_volumes(stack, found) if volumes),
    )


def scale(service: Service, found: Snapshot) -> tuple[Step, ...]:
    """Return the steps that give a service its number of replicas, new ones just like one that serves.

    Raises `NotUpError` where none serves.
    """
    serving = [replica for replica in found.replicas_of(service.name) if replica.serves]
    if not serving:
        raise NotUpError(f"no {service.name} is running that could be scaled; try: invoke up")
    if found.rolls_services:
        cause = f"{len(serving)} serve"
        return (ScaleService(service, cause),) if len(serving) != service.replicas else ()
    missing = max(service.replicas - len(serving), 0)
    alike = [each for each in found.replicas_of(service.name) if not differences(serving[0].recipe, each.recipe)]
    left = [each.number for each in alike if each.is_running and not each.is_admitted][:missing]
    new = list(itertools.islice(free_numbers(found.replicas_of(service.name)), missing - len(left)))
    cause = f"{service.name} is scaled to {service.replicas}"
    return (
        *create(service, cause, new, serving[0], left),
        *(RemoveReplica(replica, cause) for replica in reversed(serving[service.replicas :])),
    )


def _rolls(
    stack: Stack, found: Snapshot, recipes: Mapping[str, Recipe], disconnected: Sequence[Replica]
) -> dict[str, tuple[Step, ...]]:
    """Return, by service, the steps that make it what is wanted; one that follows another goes where that does."""
    rolls: dict[str, tuple[Step, ...]] = {}
    left = replace(found, replicas=tuple(each for each in found.replicas if each not in disconnected))
    removed = {replica.service for replica in disconnected}
    for one in (service for service in stack.services if service.name in recipes):
        replaced = {f"service.{name}": "replaced" for name in one.follows if any(map(_makes, rolls.get(name, ())))}
        recipe = recipes[one.name] | replaced
        is_job = one.name in stack.completing
        if one.name in removed and not is_job:
            steps = _create_again(one, found)
        else:
            steps = complete(one, left, recipe) if is_job else _roll(one, found, recipe)
        rolls[one.name] = tuple(steps)
    return rolls


def _images(wanted: list[Service], found: Snapshot) -> Iterator[Step]:
    _refuse_missing_release(wanted, found)
    built = {service.image for service in wanted if service.build}  # which others may run, too
    for service in wanted:
        if service.image in built and not service.build:
            continue
        if service.image not in found.images:
            yield EnsureImage(service, "not here yet")
        elif service.pull_policy == "always" and not service.build:
            yield EnsureImage(service, "pull_policy is always")


def _refuse_missing_release(wanted: list[Service], found: Snapshot) -> None:
    """Refuse a named release without its image: the current files may make another release."""
    named = [service for service in wanted if service.build and service.build.is_named]
    if missing := sorted({service.image for service in named if service.image not in found.images}):
        raise NoReleaseError(
            f"cannot deploy release {named[0].release}: {', '.join(missing)} is missing. Try: invoke releases"
        )


def _makes(step: Step) -> bool:
    """Return whether a step makes another replica of a service."""
    return isinstance(step, CreateReplica | ReplaceReplica | RollService)


def _create_again(service: Service, found: Snapshot) -> Iterator[Step]:
    cause = "its network is created again"
    if found.rolls_services:
        return iter([RollService(service, cause)])
    return create(service, cause, range(1, service.replicas + 1))


def _roll(service: Service, found: Snapshot, recipe: Recipe) -> Iterator[Step]:
    if found.rolls_services:
        return roll_by_engine(service, found, recipe)
    return watched(service, found, recipe, roll(service, found, recipe))


def _is_unwanted(replica: Replica, stack: Stack, recipes: Mapping[str, Recipe], *, remove_orphans: bool) -> bool:
    """Return whether a replica must be removed: its service does not run on this engine, or is an orphan to remove."""
    is_declared = stack.service(replica.service) is not None
    return replica.service not in recipes and (is_declared or remove_orphans)


def _remove_unwanted(stack: Stack, found: Snapshot, unwanted: Iterable[Replica]) -> Iterator[Step]:
    orphans = [each for each in unwanted if stack.service(each.service) is None]
    yield from remove(found, orphans, "--remove-orphans")
    others = (each for each in unwanted if each not in orphans)
    yield from remove(found, others, "its service does not run on this engine")


def _disconnected(stack: Stack, found: Snapshot, changed: Mapping[str, Network]) -> tuple[Replica, ...]:
    """Return the replicas that have to go before changed networks can: those of each service that is on one of them.

    That a service is not declared there any more takes no replica from it. A job that has completed needs no network.
    """
    names = {f"network.{name}" for name in changed}
    on_them = {each.service for each in found.replicas if names.intersection(each.recipe)} | _members(stack, changed)
    there = [each for service in stack.services for each in found.replicas_of(service.name) if service.name in on_them]
    return tuple(each for each in there if each.is_running or each.service not in stack.completing)


def _members(stack: Stack, changed: Mapping[str, Network]) -> set[str]:
    """Return the services that are declared on changed networks."""
    keys = {network.name for network in stack.networks if stack.engine_name(network) in changed}
    return {service.name for service in stack.services if keys.intersection(service.networks)}


def _recreate_networks(
    stack: Stack, found: Snapshot, disconnected: Iterable[Replica], changed: Mapping[str, Network]
) -> Iterator[Step]:
    """Yield what makes a changed network again: all that is on it has to go first."""
    yield from remove(found, disconnected, "its network is created again")
    yield from (RemoveResource(network, "its settings changed") for network in changed.values())
    declared = {stack.engine_name(network): network for network in reversed(stack.networks)}
    yield from (CreateResource(declared[name], "its settings changed") for name in changed)


def _needed(
    stack: Stack,
    found: Snapshot,
    recipes: Mapping[str, Recipe],
    commands: Iterable[RunReleaseCommand],
    unready: Mapping[str, str],
) -> list[str]:
    """Return the dependencies of the release commands that are changed before the commands run.

    Those are the ones that are not running or unhealthy. The others are changed after the command, so that one that
    fails has changed nothing. If the stack is not ready, or the command needs the change, all are changed before it.
    """
    serving = {replica.service for replica in found.replicas if replica.serves and replica.health != UNHEALTHY}
    renamed = resources.renamed_networks(stack, found)  # the command runs on the new network, where it needs them
    serving -= {each.name for each in stack.services if renamed.intersection(each.networks)}
    needed = set[str]()
    for service in (command.service for command in commands):
        dependencies = {other.name for other in stack.dependencies(service)}
        is_protected = not unready and _has_configuration(found.replicas_of(service.name), recipes[service.name])
        needed |= dependencies - serving if is_protected else dependencies
    return [each.name for each in stack.services if each.name in needed]


def _has_configuration(replicas: Iterable[Replica], recipe: Recipe) -> bool:
    """Return whether a running replica has the configuration of a recipe, such as the same database password."""
    changes = [differences(recipe, each.recipe) for each in replicas if each.serves]
    return any(not any(name.startswith(CONFIGURATION) for name in names) for names in changes)


def _release_command(
    service: Service, found: Snapshot, recipe: Recipe, rolled: Sequence[Step], why: str | None
) -> RunReleaseCommand | None:
    """Return the release command where it is due: before anything of a new release, or configuration, serves.

    It is due, too, where what serves cannot serve: it brings the data to where it has to be, or says what is wrong.
    """
    if not service.release_command:
        return None
    if rolled and (new := _new(found.replicas_of(service.name), recipe)):
        return RunReleaseCommand(service, f"before the first {service.name} {new}")
    return RunReleaseCommand(service, f"what serves is not ready ({why})") if why else None


CONFIGURATION = ("environment.", "config.")
"""Beginnings of what of a recipe a release command may go by: variables and configuration files."""


def _new(replicas: Iterable[Replica], recipe: Recipe) -> str:
    """Return what of the recipe no replica that serves has, in words: its release, or its configuration, or nothing."""
    changes = [differences(recipe, each.recipe) for each in replicas if each.serves]
    of_release = [names for names in changes if "image" not in names]
    if not of_release:
        return "of its release"
    configured = [names for names in of_release if not any(name.startswith(CONFIGURATION) for name in names)]
    return "" if configured else "with its configuration"
