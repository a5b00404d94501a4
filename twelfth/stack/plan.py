"""Decide the steps from a snapshot to the stack as it is declared; pure.

The idea of one snapshot and printable steps with causes is Compose's
(https://github.com/docker/compose/blob/main/pkg/compose/plan.go).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from twelfth.compose.proxy import is_former_proxy
from twelfth.errors import NoReleaseError, NotUpError
from twelfth.model.snapshot import UNHEALTHY, differences, missing_resources
from twelfth.stack import handover, resources
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
    StartReplica,
    Step,
    StopRun,
)
from twelfth.stack.watch import watched

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from twelfth.model.run import Run
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe, Replica, Snapshot
    from twelfth.model.stack import Network, Stack


def up(  # noqa: PLR0913 - most are passed by name
    stack: Stack,
    snapshot: Snapshot,
    recipes: Mapping[str, Recipe],
    *,
    unready: Mapping[str, str] = MappingProxyType({}),
    remove_orphans: bool = False,
    only: Collection[str] = (),
) -> tuple[Step, ...]:
    """Return the steps that turn a snapshot into the stack as it is declared.

    `recipes` has, by service, what a replica would be made from now; a service without one does not run on this engine.
    `unready` has, by service, why its running replicas are not ready. Services that the stack does not declare stay,
    unless `remove_orphans`. With `only`, these services and what they depend on are changed; nothing is removed, and no
    network is re-created. Raises `MisuseError` if a port cannot be handed over.
    """
    handover.refuse_moved_proxy(stack, snapshot.replicas)
    declared = [service for service in stack.services if service.name in recipes]
    recipes = {name: recipe for name, recipe in recipes.items() if name in stack.with_dependencies(only)}
    services = [service for service in stack.services if service.name in recipes]
    networks = {} if only else resources.changed_networks(stack, snapshot)
    disconnected = _disconnected(stack, snapshot, networks)
    rollouts = _rollouts(stack, snapshot, recipes, disconnected)
    commands = _release_commands(services, snapshot, recipes, rollouts, unready)
    needed = _needed(stack, snapshot, recipes, commands, unready)
    unwanted = [
        replica
        for replica in snapshot.replicas
        if not only and _is_unwanted(replica, stack, recipes, remove_orphans=remove_orphans)
    ]
    gone = {replica.service for replica in unwanted}.union(recipes)
    rollouts = handover.with_port_to_proxy(stack, snapshot, recipes, rollouts)
    if not networks:  # else the former proxy must leave its network first
        rollouts = handover.with_port_from_proxy(stack, snapshot, recipes, rollouts)
    removed = [step.replica for step in itertools.chain(*rollouts.values()) if isinstance(step, RemoveReplica)]
    recreations = (
        *_remove_unwanted(stack, snapshot, [replica for replica in unwanted if replica not in removed]),
        *_recreate_networks(stack, snapshot, disconnected, networks),
    )
    on_networks = {replica.service for replica in disconnected} | _members(stack, networks) - stack.completing
    left = () if only else resources.left_networks(stack, snapshot, gone)
    is_blocked = not on_networks.isdisjoint(needed)
    return (
        *_images(_with_bases(services, declared, snapshot), snapshot),
        *(CreateResource(resource, "missing") for resource in missing_resources(stack, snapshot)),
        *_with_commands(commands, needed, rollouts, snapshot, recreations, is_blocked=is_blocked),
        *(RemoveResource(network, "it was renamed") for network in left),
    )


def _with_commands(  # noqa: PLR0913 - they are the parts of one plan
    commands: Iterable[RunReleaseCommand],
    needed: Collection[str],
    rollouts: Mapping[str, tuple[Step, ...]],
    snapshot: Snapshot,
    recreations: tuple[Step, ...],
    *,
    is_blocked: bool,
) -> Iterator[Step]:
    # A release command runs before running services are changed, so a command that fails has changed nothing. It needs
    # its own dependencies; and if those are on networks that change, the networks.
    changed = tuple(name for name in needed if snapshot.replicas_of(name) and _makes_replica(rollouts.get(name, ())))
    yield from recreations if is_blocked else ()
    yield from (step for name in needed for step in rollouts.get(name, ()))
    yield from (replace(command, after=changed) for command in commands)
    yield from () if is_blocked else recreations
    yield from (step for name, steps in rollouts.items() if name not in needed for step in steps)


def down(  # noqa: PLR0913 - most are passed by name
    stack: Stack,
    snapshot: Snapshot,
    runs: tuple[Run, ...],
    *,
    volumes: bool = False,
    history: bool = False,
    remove_orphans: bool = False,
) -> tuple[Step, ...]:
    """Return the steps that remove the stack: runs first, then dependents before their dependencies, then networks.

    Volumes and the record of runs stay unless requested. Orphans stay, with the networks that they use;
    `remove_orphans` removes their services and networks, and never their volumes. A generated proxy is no orphan.
    """
    proxies = handover.former_proxies(stack, snapshot.replicas)
    order = [*(service.name for service in stack.services), *(proxy.service for proxy in proxies)]
    replicas = [replica for replica in snapshot.replicas if remove_orphans or replica.service in order]
    replicas.sort(key=lambda replica: order.index(replica.service) if replica.service in order else -1)
    gone = {replica.service for replica in replicas}
    networks = resources.networks_to_remove(stack, snapshot, gone, orphans=remove_orphans)
    return (
        *(StopRun(run, "down") for run in runs if run.is_running),
        *remove(snapshot, reversed(replicas), "down"),
        *(DeleteRun(run, "down --history") for run in runs if history),
        *(RemoveResource(network, "down") for network in networks),
        *(RemoveResource(volume, "down --volumes") for volume in resources.own_volumes(stack, snapshot) if volumes),
    )


def scale(service: Service, snapshot: Snapshot) -> tuple[Step, ...]:
    """Return the steps after which a service has its number of replicas; new ones are like a running one.

    Raises `NotUpError` if none is running.
    """
    serving = [replica for replica in snapshot.replicas_of(service.name) if replica.serves]
    if not serving:
        raise NotUpError(f"cannot scale {service.name}: none is running. Try: invoke up")
    if snapshot.rolls_services:
        cause = f"{len(serving)} running"
        return (ScaleService(service, cause),) if len(serving) != service.replicas else ()
    missing = max(service.replicas - len(serving), 0)
    replicas = snapshot.replicas_of(service.name)
    alike = [replica for replica in replicas if not differences(serving[0].recipe, replica.recipe)]
    left = [replica.number for replica in alike if replica.is_running and not replica.is_admitted][:missing]
    new = list(itertools.islice(free_numbers(replicas), missing - len(left)))
    cause = f"scale to {service.replicas}"
    return (
        *create(service, cause, new, serving[0], left),
        *(RemoveReplica(replica, cause) for replica in reversed(serving[service.replicas :])),
    )


def _rollouts(
    stack: Stack, snapshot: Snapshot, recipes: Mapping[str, Recipe], disconnected: Sequence[Replica]
) -> dict[str, tuple[Step, ...]]:
    rollouts: dict[str, tuple[Step, ...]] = {}
    snapshot = resources.without_missing_networks(stack, snapshot)
    remaining = replace(
        snapshot, replicas=tuple(replica for replica in snapshot.replicas if replica not in disconnected)
    )
    removed = {replica.service for replica in disconnected}
    for service in (service for service in stack.services if service.name in recipes):
        # A service that follows another is replaced with it. If it is not running, it can be started after the other.
        is_running = any(replica.is_running for replica in remaining.replicas_of(service.name))
        followed = [
            name
            for name in service.follows
            if _makes_replica(rollouts.get(name, ())) or (is_running and _starts_replica(rollouts.get(name, ())))
        ]
        recipe = recipes[service.name] | {f"service.{name}": "replaced" for name in followed}
        if service.name in stack.completing:
            steps = complete(service, remaining, recipe)
        elif service.name in removed:
            steps = _create_again(service, snapshot)
        else:
            steps = _roll(service, snapshot, recipe)
        rollouts[service.name] = tuple(steps)
    return rollouts


def _with_bases(services: list[Service], declared: list[Service], snapshot: Snapshot) -> list[Service]:
    """Add the declared services whose images are needed to build those that are missing."""
    needed = {service.name for service in services}
    for service in reversed(declared):  # an image is built after those that it is built from
        if service.name in needed and service.build and service.image not in snapshot.images:
            needed.update(service.build.services)
    return [service for service in declared if service.name in needed]


def _images(services: list[Service], snapshot: Snapshot) -> Iterator[Step]:
    _refuse_missing_release(services, snapshot)
    built = {service.image for service in services if service.build}
    commands = {command.container.image: command.container for service in services for command in service.pre_start}
    others = [commands[image] for image in commands.keys() - {"", *(service.image for service in services)}]
    pulled = set[str]()
    for service in (*services, *others):
        if service.image in built | pulled and not service.build:
            continue  # it is built or pulled for another service
        if service.image not in snapshot.images:
            yield EnsureImage(service, "missing")
            pulled.add(service.image)
        elif service.pull_policy == "always" and not (service.build or service.pin):
            yield EnsureImage(service, "pull_policy is always")
            pulled.add(service.image)


def _refuse_missing_release(services: list[Service], snapshot: Snapshot) -> None:
    """Refuse a named release without its image, since the current files may make another release."""
    named = [service for service in services if service.build and service.build.is_named]
    if missing := sorted({service.image for service in named if service.image not in snapshot.images}):
        raise NoReleaseError(
            f"cannot deploy release {named[0].release}: {', '.join(missing)} is missing. Try: invoke releases"
        )


NEW = CreateReplica | ReplaceReplica | RollService
"""Steps that make new replicas."""


def _makes_replica(steps: Iterable[Step]) -> bool:
    return any(isinstance(step, NEW) for step in steps)


def _starts_replica(steps: Iterable[Step]) -> bool:
    return any(isinstance(step, StartReplica) for step in steps)


def _create_again(service: Service, snapshot: Snapshot) -> Iterator[Step]:
    cause = "its network is re-created"
    if snapshot.rolls_services:
        return iter([RollService(service, cause)])
    return create(service, cause, range(1, service.replicas + 1))


def _roll(service: Service, snapshot: Snapshot, recipe: Recipe) -> Iterator[Step]:
    if snapshot.rolls_services:
        return roll_by_engine(service, snapshot, recipe)
    return watched(service, snapshot, recipe, roll(service, snapshot, recipe))


def _is_unwanted(replica: Replica, stack: Stack, recipes: Mapping[str, Recipe], *, remove_orphans: bool) -> bool:
    is_declared = stack.service(replica.service) is not None
    return replica.service not in recipes and (is_declared or remove_orphans or is_former_proxy(stack, replica))


def _remove_unwanted(stack: Stack, snapshot: Snapshot, unwanted: Iterable[Replica]) -> Iterator[Step]:
    proxies = handover.former_proxies(stack, unwanted)
    yield from remove(snapshot, proxies, handover.KEY_REMOVED)
    unwanted = [replica for replica in unwanted if replica not in proxies]
    orphans = [replica for replica in unwanted if stack.service(replica.service) is None]
    yield from remove(snapshot, orphans, "--remove-orphans")
    declared = (replica for replica in unwanted if replica not in orphans)
    yield from remove(snapshot, declared, "its service does not run on this engine")


def _disconnected(stack: Stack, snapshot: Snapshot, changed: Mapping[str, Network]) -> tuple[Replica, ...]:
    # A network can be removed only without containers. All replicas of a service on it are removed, also of a service
    # that is no longer declared there; one that has completed needs no network.
    keys = {f"network.{name}" for name in changed}
    names = {replica.service for replica in snapshot.replicas if keys.intersection(replica.recipe)}
    names |= _members(stack, changed)
    services = [service.name for service in stack.services if service.name in names]
    replicas = [replica for service in services for replica in snapshot.replicas_of(service)]
    return tuple(replica for replica in replicas if replica.is_running or replica.service not in stack.completing)


def _members(stack: Stack, changed: Mapping[str, Network]) -> set[str]:
    """Return the services that are declared on changed networks."""
    keys = {network.name for network in stack.networks if stack.engine_name(network) in changed}
    return {service.name for service in stack.services if keys.intersection(service.networks)}


def _recreate_networks(
    stack: Stack, snapshot: Snapshot, disconnected: Iterable[Replica], changed: Mapping[str, Network]
) -> Iterator[Step]:
    yield from remove(snapshot, disconnected, "its network is re-created")
    yield from (RemoveResource(network, "its settings changed") for network in changed.values())
    declared = {stack.engine_name(network): network for network in reversed(stack.networks)}
    yield from (CreateResource(declared[name], "its settings changed") for name in changed)


def _needed(
    stack: Stack,
    snapshot: Snapshot,
    recipes: Mapping[str, Recipe],
    commands: Iterable[RunReleaseCommand],
    unready: Mapping[str, str],
) -> list[str]:
    """Return the dependencies of the release commands that are changed before the commands run.

    Those are the ones that are not running or are unhealthy. The others are changed after the command, so a command
    that fails has changed nothing. If the stack is not ready, or the command needs the change, all are changed first.
    """
    serving = {replica.service for replica in snapshot.replicas if replica.serves and replica.health != UNHEALTHY}
    # The command runs on a renamed network under its new name, so its dependencies must be there, too.
    renamed = resources.renamed_networks(stack, snapshot)
    serving -= {service.name for service in stack.services if renamed.intersection(service.networks)}
    needed = set[str]()
    for service in (command.service for command in commands):
        dependencies = {dependency.name for dependency in stack.dependencies(service)}
        is_protected = not unready and _has_configuration(snapshot.replicas_of(service.name), recipes[service.name])
        needed |= dependencies - serving if is_protected else dependencies
    return [service.name for service in stack.services if service.name in needed]


def _has_configuration(replicas: Iterable[Replica], recipe: Recipe) -> bool:
    """Return whether a running replica has the configuration of a recipe, such as the same database password."""
    changes = [differences(recipe, replica.recipe) for replica in replicas if replica.serves]
    return any(not any(name.startswith(CONFIGURATION) for name in names) for names in changes)


def _release_commands(
    services: Iterable[Service],
    snapshot: Snapshot,
    recipes: Mapping[str, Recipe],
    rollouts: Mapping[str, Sequence[Step]],
    unready: Mapping[str, str],
) -> list[RunReleaseCommand]:
    """Return the release commands to run: for a new release or configuration, or if the running release is not ready.

    In the second case the command may fix the data that the release needs, or its error names the problem.
    """
    commands = []
    for service in (service for service in services if service.pre_start):
        has_news = not all(isinstance(step, StartReplica) for step in rollouts[service.name])
        new = _news(snapshot.replicas_of(service.name), recipes[service.name]) if has_news else ""
        cause = f"before the first {service.name} {new}" if new else ""
        if not new and (why := unready.get(service.name)):
            cause = f"the running release is not ready: {why}"
        if cause:
            commands += [RunReleaseCommand(service, cause, entry=entry) for entry in range(len(service.pre_start))]
    return commands


CONFIGURATION = ("environment.", "config.")
"""Prefixes of the keys of a recipe that a release command depends on: variables and configuration files."""


def _news(replicas: Iterable[Replica], recipe: Recipe) -> str:
    """Return what of the recipe is new to the running replicas: the release, the configuration, or nothing."""
    changes = [differences(recipe, replica.recipe) for replica in replicas if replica.serves]
    same_release = [names for names in changes if "image" not in names]
    if not same_release:
        return "of its release"
    configured = [names for names in same_release if not any(name.startswith(CONFIGURATION) for name in names)]
    return "" if configured else "with its configuration"
