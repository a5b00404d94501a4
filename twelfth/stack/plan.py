"""Decide, from what is wanted and what is there, the steps that lead from one to the other; change nothing.

The idea of one snapshot and printable steps with causes is Compose's
(https://github.com/docker/compose/blob/main/pkg/compose/plan.go).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError
from twelfth.model.snapshot import Replica, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from twelfth.model.run import Run
    from twelfth.model.snapshot import Recipe, Snapshot
    from twelfth.model.stack import Network, Service, Stack

from twelfth.stack.steps import (
    CreateReplica,
    CreateResource,
    DeleteRun,
    EnsureImage,
    RemoveReplica,
    RemoveResource,
    RunReleaseCommand,
    Step,
    StopRun,
)


def up(
    stack: Stack, found: Snapshot, recipes: Mapping[str, Recipe], *, unready: Mapping[str, str] = MappingProxyType({})
) -> tuple[Step, ...]:
    """Return the steps that make `found` into `stack`; none where it is that already.

    `recipes` tells, by service, what a replica would be made from now. A service without one does not run on this
    engine. `unready` is, by service, why what serves cannot serve. Every dependency is started before what depends on
    it; nothing is removed that is still wanted as it is.
    """
    wanted = [service for service in stack.services if service.name in recipes]
    changed = {network.name for network in found.networks if _differs(network, stack.networks)}
    return (
        *_prepare(wanted, found),
        *_remove_unwanted(wanted, found),
        *_cut_off(wanted, found, changed),
        *_provide(stack, found, changed),
        *(
            step
            for service in wanted
            for step in _service(service, found, recipes[service.name], changed, unready.get(service.name, ""))
        ),
    )


def down(
    stack: Stack, found: Snapshot, runs: tuple[Run, ...], *, volumes: bool = False, history: bool = False
) -> tuple[Step, ...]:
    """Return the steps that remove the stack: runs first, then dependants before what they depend on, then networks.

    Volumes and the record of runs stay unless they are named.
    """
    order = [service.name for service in stack.services]
    replicas = sorted(found.replicas, key=lambda one: order.index(one.service) if one.service in order else -1)
    return (
        *(StopRun(run, "down") for run in runs if run.is_running),
        *(RemoveReplica(replica, "down") for replica in reversed(replicas)),
        *(DeleteRun(run, "down --history") for run in runs if history),
        *(RemoveResource(network, "down") for network in found.networks),
        *(RemoveResource(volume, "down --volumes") for volume in found.volumes if volumes),
    )


def disturbed(steps: Iterable[Step], runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Return the runs that have not ended and whose network, or the release that they are of, the steps take away."""
    steps = tuple(steps)
    going = tuple(run for run in runs if run.is_running)
    if any(isinstance(step, RemoveResource) for step in steps):
        return going
    taken = {name for step in steps if isinstance(step, CreateReplica) and (name := _taken_away(step))}
    return tuple(run for run in going if (run.release or run.image) in taken)


def _taken_away(step: CreateReplica) -> str:
    """Return the release that a replacement takes away, or the image of one without a name; an empty string if none."""
    old, new = step.instead, step.service
    if old is None or not old.is_running or not new.build:
        return ""
    if old.release:
        return "" if new.image.rpartition(":")[2] == old.release else old.release
    return old.image if "image" in step.changed else ""


MOST = 100
"""How many replicas a service can have: `server-template` in web/haproxy.cfg."""


def scaled(stack: Stack, name: str, replicas: int) -> Service:
    """Return the service with that many replicas.

    Raises `MisuseError` where there is no such service, where replicas would fight over one port or one volume, or
    for a number below one.
    """
    service = stack.service(name)
    if service is None:
        names = ", ".join(each.name for each in stack.services)
        raise MisuseError(f"--scale {name}={replicas}: there is no service {name!r}; there are {names}")
    if replicas < 1:
        raise MisuseError(f"--scale {name}={replicas}: at least 1; to stop the stack: invoke down")
    if replicas > MOST:
        raise MisuseError(
            f"--scale {name}={replicas}: at most {MOST}, as many as the door has slots for (web/haproxy.cfg)"
        )
    if replicas > 1 and (why := _singleton(service)):
        raise MisuseError(f"--scale {name}={replicas}: {name} {why}, so there can be only one; try --scale {name}=1")
    return replace(service, replicas=replicas)


def _singleton(service: Service) -> str:
    volume = next((mount.source for mount in service.mounts if mount.kind == "volume"), "")
    if volume:
        return f"keeps its data in the volume {volume}"
    return f"publishes port {service.ports[0].published}" if service.ports else ""


def _prepare(wanted: list[Service], found: Snapshot) -> Iterator[Step]:
    for service in wanted:
        if service.image not in found.images:
            yield EnsureImage(service, "not here yet")


def _remove_unwanted(wanted: list[Service], found: Snapshot) -> Iterator[Step]:
    replicas = {service.name: service.replicas for service in wanted}
    for replica in found.replicas:
        if replica.service not in replicas:
            yield RemoveReplica(replica, "no such service in docker-compose.yml")
        elif replica.number > replicas[replica.service]:
            yield RemoveReplica(replica, f"{replica.service} is scaled to {replicas[replica.service]}")


def _cut_off(wanted: list[Service], found: Snapshot, changed: set[str]) -> Iterator[Step]:
    for service in wanted:
        for replica in found.of(service.name)[: service.replicas]:
            if changed.intersection(service.networks):
                yield RemoveReplica(replica, "its network is made anew")


def _differs(network: Network, declared: tuple[Network, ...]) -> bool:
    return any(network.name == other.name and network != other for other in declared)


def _provide(stack: Stack, found: Snapshot, changed: set[str]) -> Iterator[Step]:
    for network in found.networks:
        if network.name in changed:
            yield RemoveResource(network, "internal changed")
    there = {network.name for network in found.networks} - changed
    for network in stack.networks:
        if network.name not in there:
            yield CreateResource(network, "internal changed" if network.name in changed else "not there")
    for volume in stack.volumes:
        if volume not in found.volumes:
            yield CreateResource(volume, "not there")


def _service(service: Service, found: Snapshot, recipe: Recipe, changed: set[str], why: str) -> tuple[Step, ...]:
    """Return the steps of one service: its release command comes before anything of a new release, or configuration.

    It comes, too, where what serves cannot serve: it brings the data to where it has to be, or says what is wrong.
    """
    steps = tuple(_converge(service, found, recipe, changed))
    if not service.release_command:
        return steps
    if steps and (new := _new(found.of(service.name), recipe)):
        return (RunReleaseCommand(service, f"before the first {service.name} {new}"), *steps)
    return (RunReleaseCommand(service, f"what serves is not ready ({why})"), *steps) if why else steps


def _new(replicas: Iterable[Replica], recipe: Recipe) -> str:
    """Return what of the recipe no replica that runs has, in words: its release, or its configuration, or nothing."""
    changes = [differences(recipe, one.recipe) for one in replicas if one.is_running]
    of_release = [names for names in changes if "image" not in names]
    if not of_release:
        return "of its release"
    configured = [names for names in of_release if not any(name.startswith("environment.") for name in names)]
    return "" if configured else "with its configuration"


def _converge(service: Service, found: Snapshot, recipe: Recipe, changed: set[str]) -> Iterator[Step]:
    replicas = {replica.number: replica for replica in found.of(service.name)}
    for number in range(1, service.replicas + 1):
        replica = replicas.get(number)
        if replica is None:
            yield CreateReplica(service, number, "not there")
        elif changed.intersection(service.networks):
            yield CreateReplica(service, number, "its network is made anew")
        elif changed_here := differences(recipe, replica.recipe):
            yield CreateReplica(service, number, f"{', '.join(changed_here)} changed", replica, changed_here)
        elif not replica.is_running:
            yield CreateReplica(service, number, f"it is {replica.state}", replica)
