"""Decide what happens to a stack's networks and volumes; pure.

Resources are matched by their names in the engine. External resources, which the Compose file declares as such or whose
labels name another owner, are never changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from twelfth.model.snapshot import missing_resources
from twelfth.model.stack import Network, Volume

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from twelfth.model.snapshot import Snapshot
    from twelfth.model.stack import Stack

Resource = TypeVar("Resource", Network, Volume)


def changed_networks(stack: Stack, snapshot: Snapshot) -> dict[str, Network]:
    """Return the stack's networks whose settings differ from their declaration, by the engine's name."""
    declared = _by_name(stack, stack.networks)
    existing = {stack.engine_name(network): network for network in _own(stack, snapshot.networks, stack.networks)}
    return {name: network for name, network in existing.items() if name in declared and network.differs(declared[name])}


def without_missing_networks(stack: Stack, snapshot: Snapshot) -> Snapshot:
    """Return a snapshot whose replicas have left their missing networks: they cannot be started on new ones.

    A container is bound to the id of a network.
    """
    missing = (resource for resource in missing_resources(stack, snapshot) if resource.kind == "network")
    keys = {f"network.{stack.engine_name(network)}" for network in missing}
    replicas = (
        replace(replica, recipe=replica.recipe | dict.fromkeys(keys & replica.recipe.keys(), "missing"))
        for replica in snapshot.replicas
    )
    return replace(snapshot, replicas=tuple(replicas))


def renamed_networks(stack: Stack, snapshot: Snapshot) -> frozenset[str]:
    """Return the keys of the networks that were renamed."""
    return frozenset(network.name for network in _superseded(stack, snapshot.networks, stack.networks))


def left_networks(stack: Stack, snapshot: Snapshot, gone: Collection[str]) -> tuple[Network, ...]:
    """Return the renamed networks that nothing uses once the replicas of the `gone` services are removed."""
    superseded = _superseded(stack, snapshot.networks, stack.networks)
    return tuple(network for network in superseded if not snapshot.users(stack.engine_name(network), gone))


def networks_to_remove(
    stack: Stack, snapshot: Snapshot, gone: Collection[str], *, orphans: bool
) -> tuple[Network, ...]:
    """Return the stack's networks that nothing uses once the replicas of the `gone` services are removed.

    With `orphans`, networks under keys that the stack does not declare are included.
    """
    keys, names = {network.name for network in stack.networks}, _by_name(stack, stack.networks)
    networks = [
        network
        for network in _own(stack, snapshot.networks, stack.networks)
        if orphans or network.name in keys or stack.engine_name(network) in names
    ]
    return tuple(network for network in networks if not snapshot.users(stack.engine_name(network), gone))


def own_volumes(stack: Stack, snapshot: Snapshot) -> tuple[Volume, ...]:
    """Return the volumes that the stack has created and declares."""
    declared = _by_name(stack, stack.volumes)
    volumes = _own(stack, snapshot.volumes, stack.volumes)
    return tuple(volume for volume in volumes if stack.engine_name(volume) in declared)


def superseded_volumes(stack: Stack, snapshot: Snapshot) -> tuple[Volume, ...]:
    """Return the volumes that the stack has created and that were renamed since."""
    return _superseded(stack, snapshot.volumes, stack.volumes)


def undeclared_volumes(stack: Stack, snapshot: Snapshot) -> tuple[Volume, ...]:
    """Return the volumes of the project that the stack declares neither by key nor by name."""
    declared, keys = own_volumes(stack, snapshot), {volume.name for volume in stack.volumes}
    return tuple(
        volume
        for volume in _own(stack, snapshot.volumes, stack.volumes)
        if volume not in declared and volume.name not in keys
    )


def changed_volumes(stack: Stack, snapshot: Snapshot) -> dict[Volume, tuple[str, ...]]:
    """Return the stack's volumes whose settings differ from their declaration, with the names of the settings."""
    declared = _by_name(stack, stack.volumes)
    volumes = own_volumes(stack, snapshot)
    changes = {volume: volume.changes(declared[stack.engine_name(volume)]) for volume in volumes}
    return {volume: names for volume, names in changes.items() if names}


def contradictions(stack: Stack) -> tuple[str, ...]:
    """Return a sentence for each pair of networks or volumes with the same name and different settings."""
    first: dict[tuple[str, str], Network | Volume] = {}
    sentences = []
    for resource in stack.resources:
        name = stack.engine_name(resource)
        earlier = first.setdefault((resource.kind, name), resource)
        if _settings(earlier) != _settings(resource):
            keys = f"{resource.kind}s.{earlier.name} and {resource.kind}s.{resource.name}"
            sentences.append(f"{keys} are both named {name} and have different settings")
    return tuple(sentences)


def _settings(resource: Network | Volume) -> tuple[object, ...]:
    return resource.external, resource.options, isinstance(resource, Network) and resource.internal


def _by_name(stack: Stack, declared: Iterable[Resource]) -> dict[str, Resource]:
    """Return the declared resources that are not external, by the engine's name; the first of each name."""
    resources: dict[str, Resource] = {}
    for resource in declared:
        if not resource.external:
            resources.setdefault(stack.engine_name(resource), resource)
    return resources


def _own(stack: Stack, existing: Iterable[Resource], declared: Iterable[Resource]) -> tuple[Resource, ...]:
    """Return the resources that the stack has created and does not declare as external."""
    external = {stack.engine_name(resource) for resource in declared if resource.external}
    resources = (resource for resource in existing if not resource.external)
    return tuple(resource for resource in resources if stack.engine_name(resource) not in external)


def _superseded(stack: Stack, existing: Iterable[Resource], declared: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Return the resources that the stack has created and renamed since, unless another key has their old name."""
    keys = {resource.name for resource in declared}
    names = {stack.engine_name(resource) for resource in declared}
    resources = (resource for resource in _own(stack, existing, declared) if resource.name in keys)
    return tuple(resource for resource in resources if stack.engine_name(resource) not in names)
