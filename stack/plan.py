"""Decide, from what is wanted and what is there, the steps that lead from one to the other; change nothing.

The idea of one snapshot and printable steps with causes is Compose's
(https://github.com/docker/compose/blob/main/pkg/compose/plan.go).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stack.errors import MisuseError
from stack.model import Network, Run, Running, Service, Volume, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stack.model import Recipe, Snapshot, Stack


@dataclass(frozen=True)
class Prepare:
    """Make a service's image available: build it, or pull it."""

    service: Service
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        verb = "build" if self.service.build else "pull"
        return f"{verb} {self.service.image}: {self.cause}"


@dataclass(frozen=True)
class Provide:
    """Make a network or volume."""

    resource: Network | Volume
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        return f"create {kind(self.resource)} {self.resource.name}: {self.cause}"


@dataclass(frozen=True)
class Withdraw:
    """Remove a network or volume."""

    resource: Network | Volume
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        return f"remove {kind(self.resource)} {self.resource.name}: {self.cause}"


@dataclass(frozen=True)
class Create:
    """Make and start a replica, in the place of `instead` where that is given."""

    service: Service
    number: int
    cause: str
    instead: Running | None = None
    changed: tuple[str, ...] = ()
    """The names of what the recipe has otherwise than what is replaced."""

    def __str__(self) -> str:
        """Return the step and why."""
        return f"{'replace' if self.instead else 'create'} {self.service.name}-{self.number}: {self.cause}"


@dataclass(frozen=True)
class Remove:
    """Stop a replica, with its grace period, and remove it."""

    replica: Running
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        return f"remove {self.replica.name}: {self.cause}"


@dataclass(frozen=True)
class End:
    """End a run, with its grace period."""

    run: Run
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        return f"end run {self.run.id}: {self.cause}"


@dataclass(frozen=True)
class Forget:
    """Remove the record of a run."""

    run: Run
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        return f"forget run {self.run.id}: {self.cause}"


@dataclass(frozen=True)
class Release:
    """Run the release command of a service, from the release that is to serve."""

    service: Service
    cause: str

    def __str__(self) -> str:
        """Return the step and why."""
        return f"run {shlex.join(self.service.release_command)}: {self.cause}"


Step = Prepare | Provide | Withdraw | Create | Remove | End | Forget | Release


def kind(resource: Network | Volume) -> str:
    """Return `network` or `volume`."""
    return type(resource).__name__.lower()


def up(stack: Stack, found: Snapshot, recipes: Mapping[str, Recipe], *, unready: str = "") -> tuple[Step, ...]:
    """Return the steps that make `found` into `stack`; none where it is that already.

    `recipes` tells, by service, what a replica would be made from now. A service without one does not run on this
    engine. `unready` is why what serves is not ready, as far as it says so. Every dependency is started before what
    depends on it; nothing is removed that is still wanted as it is.
    """
    wanted = [service for service in stack.services if service.name in recipes]
    changed = {network.name for network in found.networks if _differs(network, stack.networks)}
    return (
        *_prepare(wanted, found),
        *_remove_unwanted(wanted, found),
        *_cut_off(wanted, found, changed),
        *_provide(stack, found, changed),
        *(step for service in wanted for step in _service(service, found, recipes[service.name], changed, unready)),
    )


def down(
    stack: Stack, found: Snapshot, runs: tuple[Run, ...], *, volumes: bool = False, history: bool = False
) -> tuple[Step, ...]:
    """Return the steps that remove the stack: runs first, then dependants before what they depend on, then networks.

    Volumes and the record of runs stay unless they are named.
    """
    order = [service.name for service in stack.services]
    replicas = sorted(found.running, key=lambda one: order.index(one.service) if one.service in order else -1)
    return (
        *(End(run, "down") for run in runs if run.is_running),
        *(Remove(replica, "down") for replica in reversed(replicas)),
        *(Forget(run, "down --history") for run in runs if history),
        *(Withdraw(network, "down") for network in found.networks),
        *(Withdraw(volume, "down --volumes") for volume in found.volumes if volumes),
    )


def disturbed(steps: Iterable[Step], runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Return the runs that have not ended and whose network, or the release that they are of, the steps take away."""
    steps = tuple(steps)
    going = tuple(run for run in runs if run.is_running)
    if any(isinstance(step, Withdraw) for step in steps):
        return going
    taken = {name for step in steps if isinstance(step, Create) and (name := _taken_away(step))}
    return tuple(run for run in going if (run.release or run.image) in taken)


def _taken_away(step: Create) -> str:
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
            yield Prepare(service, "not here yet")


def _remove_unwanted(wanted: list[Service], found: Snapshot) -> Iterator[Step]:
    replicas = {service.name: service.replicas for service in wanted}
    for replica in found.running:
        if replica.service not in replicas:
            yield Remove(replica, "no such service in docker-compose.yml")
        elif replica.number > replicas[replica.service]:
            yield Remove(replica, f"{replica.service} is scaled to {replicas[replica.service]}")


def _cut_off(wanted: list[Service], found: Snapshot, changed: set[str]) -> Iterator[Step]:
    for service in wanted:
        for replica in found.of(service.name)[: service.replicas]:
            if changed.intersection(service.networks):
                yield Remove(replica, "its network is made anew")


def _differs(network: Network, declared: tuple[Network, ...]) -> bool:
    return any(network.name == other.name and network != other for other in declared)


def _provide(stack: Stack, found: Snapshot, changed: set[str]) -> Iterator[Step]:
    for network in found.networks:
        if network.name in changed:
            yield Withdraw(network, "internal changed")
    there = {network.name for network in found.networks} - changed
    for network in stack.networks:
        if network.name not in there:
            yield Provide(network, "internal changed" if network.name in changed else "not there")
    for volume in stack.volumes:
        if volume not in found.volumes:
            yield Provide(volume, "not there")


def _service(service: Service, found: Snapshot, recipe: Recipe, changed: set[str], unready: str) -> tuple[Step, ...]:
    """Return the steps of one service: its release command comes before anything of a new release, or configuration.

    It comes, too, where what serves is not ready: it brings the data to where it has to be, or says what is wrong.
    """
    steps = tuple(_converge(service, found, recipe, changed))
    if not service.release_command:
        return steps
    if steps and (new := _new(found.of(service.name), recipe)):
        return (Release(service, f"before the first {service.name} {new}"), *steps)
    return (Release(service, unready), *steps) if unready else steps


def _new(replicas: Iterable[Running], recipe: Recipe) -> str:
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
            yield Create(service, number, "not there")
        elif changed.intersection(service.networks):
            yield Create(service, number, "its network is made anew")
        elif changed_here := differences(recipe, replica.recipe):
            yield Create(service, number, f"{', '.join(changed_here)} changed", replica, changed_here)
        elif not replica.is_running:
            yield Create(service, number, f"it is {replica.state}", replica)
