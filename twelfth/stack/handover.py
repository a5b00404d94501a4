"""Order the steps by which a published port moves between a service and its generated proxy; pure.

Docker publishes ports only when a container is created, so no one answers between the removal of the one and the start
of the other. Nothing else happens in between, and the one that gets the port is tried before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.compose.proxy import is_former_proxy
from twelfth.errors import MisuseError
from twelfth.model.stack import PROXY
from twelfth.stack.steps import CreateReplica, RemoveReplica, ReplaceReplica, StartReplica, TryReplica

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe, Replica, Snapshot
    from twelfth.model.stack import Stack
    from twelfth.stack.steps import Step

    Rollouts = dict[str, tuple[Step, ...]]

TAKING = CreateReplica | ReplaceReplica | StartReplica
"""Steps that publish the ports of their service."""

KEY_REMOVED = "x-twelfth.proxy was removed"


def with_port_to_proxy(stack: Stack, snapshot: Snapshot, recipes: Mapping[str, Recipe], rollouts: Rollouts) -> Rollouts:
    """Return the rollouts with the steps of a new proxy right after the removal of the replica that has its port."""
    proxy = stack.service(PROXY)
    if not (stack.proxy and proxy and {PROXY, stack.proxy.service} <= rollouts.keys()):
        return rollouts
    steps = rollouts[stack.proxy.service]
    gives = [place for place, step in enumerate(steps) if _ports(recipes[PROXY]) & _freed(step)]
    if not gives or snapshot.replicas_of(PROXY):
        return rollouts
    place = gives[0]
    trial = _trial(proxy, steps[place]) if snapshot.tries_replicas else ()
    together = (*steps[:place], *trial, steps[place], *rollouts[PROXY], *steps[place + 1 :])
    return {**rollouts, stack.proxy.service: together, PROXY: ()}


def with_port_from_proxy(
    stack: Stack, snapshot: Snapshot, recipes: Mapping[str, Recipe], rollouts: Rollouts
) -> Rollouts:
    """Return the rollouts with the removal of a former proxy right before the step of a service that gets its port."""
    for replica in former_proxies(stack, snapshot.replicas):
        for name, steps in rollouts.items():
            takes = [place for place, step in enumerate(steps) if isinstance(step, TAKING)]
            if takes and _ports(recipes[name]) & _ports(replica.recipe):
                removal = RemoveReplica(replica, KEY_REMOVED)
                rollouts = {**rollouts, name: (*steps[: takes[0]], removal, *steps[takes[0] :])}
    return rollouts


def refuse_moved_proxy(stack: Stack, replicas: Iterable[Replica]) -> None:
    """Raise `MisuseError` if a service gets a port of the proxy, which gets another one: neither could be first."""
    proxy = stack.service(PROXY)
    if not (stack.proxy and proxy):
        return
    left = {name for replica in replicas if replica.service == PROXY for name in _ports(replica.recipe)}
    left -= {f"port.{port.published}" for port in proxy.ports}
    for service in stack.services:
        for port in service.ports:
            if port.is_fixed and f"port.{port.published}" in left:
                why = f"the proxy has it until it is replaced in front of {stack.proxy.service}"
                hint = "remove x-twelfth.proxy, invoke up, and add it again"
                raise MisuseError(f"cannot publish port {port.published} of {service.name}: {why}. Try: {hint}")


def former_proxies(stack: Stack, replicas: Iterable[Replica]) -> list[Replica]:
    """Return the replicas of a proxy that the stack declared before."""
    return [replica for replica in replicas if is_former_proxy(stack, replica)]


def _trial(proxy: Service, step: Step) -> Sequence[Step]:
    # It is ready only if a replica of the service is, and the new one may not exist before a replacement in place.
    if not (isinstance(step, RemoveReplica) and step.replica.serves):
        return ()
    return (TryReplica(proxy, 1, f"before it gets the port of {step.replica.name}"),)


def _freed(step: Step) -> set[str]:
    match step:
        case RemoveReplica(replica) | ReplaceReplica(old=replica):
            return _ports(replica.recipe)
    return set()


def _ports(recipe: Recipe) -> set[str]:
    return {name for name in recipe if name.startswith("port.")}
