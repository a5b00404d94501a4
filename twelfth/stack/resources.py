"""Decide what happens to a stack's networks and volumes; pure.

An observed resource is a declared one if both have the same name in the engine. No step is planned for an external
resource, which the Compose file declares as such or whose labels name another owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from twelfth.model.stack import Network, Volume

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from twelfth.model.snapshot import Snapshot
    from twelfth.model.stack import Stack

Resource = TypeVar("Resource", Network, Volume)


def changed_networks(stack: Stack, found: Snapshot) -> dict[str, Network]:
    """Return the stack's networks whose settings differ from their declaration, by the engine's name."""
    declared = _by_name(stack, stack.networks)
    own = {stack.engine_name(each): each for each in _own(stack, found.networks, stack.networks)}
    return {name: each for name, each in own.items() if name in declared and each.differs(declared[name])}


def renamed_networks(stack: Stack, found: Snapshot) -> frozenset[str]:
    """Return the keys of the networks that were renamed."""
    return frozenset(each.name for each in _superseded(stack, found.networks, stack.networks))


def left_networks(stack: Stack, found: Snapshot, gone: Collection[str]) -> tuple[Network, ...]:
    """Return the renamed networks that nothing uses once the replicas of the `gone` services are removed."""
    superseded = _superseded(stack, found.networks, stack.networks)
    return tuple(each for each in superseded if not found.users(stack.engine_name(each), gone))


def networks_to_remove(stack: Stack, found: Snapshot, gone: Collection[str], *, orphans: bool) -> tuple[Network, ...]:
    """Return the stack's networks that nothing uses once the replicas of the `gone` services are removed.

    With `orphans`, networks under keys that the stack does not declare are included.
    """
    keys, names = {each.name for each in stack.networks}, _by_name(stack, stack.networks)
    own = (each for each in _own(stack, found.networks, stack.networks))
    mine = [each for each in own if orphans or each.name in keys or stack.engine_name(each) in names]
    return tuple(each for each in mine if not found.users(stack.engine_name(each), gone))


def own_volumes(stack: Stack, found: Snapshot) -> tuple[Volume, ...]:
    """Return the volumes that the stack has created and declares."""
    declared = _by_name(stack, stack.volumes)
    return tuple(each for each in _own(stack, found.volumes, stack.volumes) if stack.engine_name(each) in declared)


def superseded_volumes(stack: Stack, found: Snapshot) -> tuple[Volume, ...]:
    """Return the volumes that the stack has created and that were renamed since."""
    return _superseded(stack, found.volumes, stack.volumes)


def undeclared_volumes(stack: Stack, found: Snapshot) -> tuple[Volume, ...]:
    """Return the volumes of the project that the stack declares neither by key nor by name."""
    own, keys = own_volumes(stack, found), {each.name for each in stack.volumes}
    return tuple(
        each for each in _own(stack, found.volumes, stack.volumes) if each not in own and each.name not in keys
    )


def changed_volumes(stack: Stack, found: Snapshot) -> dict[Volume, tuple[str, ...]]:
    """Return the stack's volumes whose settings differ from their declaration, with the names of the settings."""
    declared = _by_name(stack, stack.volumes)
    own = {each: each.changes(declared[stack.engine_name(each)]) for each in own_volumes(stack, found)}
    return {volume: names for volume, names in own.items() if names}


def contradictions(stack: Stack) -> tuple[str, ...]:
    """Return a sentence for each pair of networks or volumes with the same name and different settings."""
    first: dict[tuple[str, str], Network | Volume] = {}
    found = []
    for each in stack.resources:
        name = stack.engine_name(each)
        other = first.setdefault((each.kind, name), each)
        if (other.external, other.options) != (each.external, each.options) or _internal(other) != _internal(each):
            keys = f"{each.kind}s.{other.name} and {each.kind}s.{each.name}"
            found.append(f"{keys} are both named {name} and have different settings")
    return tuple(found)


def _internal(resource: Network | Volume) -> bool:
    return isinstance(resource, Network) and resource.internal


def _by_name(stack: Stack, declared: Iterable[Resource]) -> dict[str, Resource]:
    """Return the declared resources that are not external, by the engine's name; the first of each name."""
    found: dict[str, Resource] = {}
    for each in declared:
        if not each.external:
            found.setdefault(stack.engine_name(each), each)
    return found


def _own(stack: Stack, there: Iterable[Resource], declared: Iterable[Resource]) -> tuple[Resource, ...]:
    """Return the resources that the stack has created and does not declare as external."""
    external = {stack.engine_name(each) for each in declared if each.external}
    return tuple(each for each in there if not each.external and stack.engine_name(each) not in external)


def _superseded(stack: Stack, there: Iterable[Resource], declared: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Return the resources that the stack has created and renamed since, unless another key has their old name."""
    keys, names = {each.name for each in declared}, {stack.engine_name(each) for each in declared}
    own = _own(stack, there, declared)
    return tuple(each for each in own if each.name in keys and stack.engine_name(each) not in names)
