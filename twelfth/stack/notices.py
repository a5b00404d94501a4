"""Warnings about resources that differ from the Compose file and stay, with the command to type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.stack import pins, resources
from twelfth.stack.handover import former_proxies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Snapshot


def of_up(engine: Engine, snapshot: Snapshot, *, remove_orphans: bool) -> Iterator[str]:
    """Yield warnings about what `up` leaves unchanged."""
    if not remove_orphans:
        yield from _orphans(engine, snapshot, "invoke up --remove-orphans")
    for resource in snapshot.foreign_resources:
        name, key = engine.stack.engine_name(resource), f"{resource.kind}s.{resource.name}"
        hint = f"to declare that: {key}.external: true"
        yield f"the {resource.kind} {name} is used unchanged: this stack did not create it; {hint}"
    yield from _changed_volumes(engine, snapshot)
    yield from _superseded(engine, snapshot)
    yield from moved_tags(engine)
    yield from _directories_elsewhere(engine)


def of_status(engine: Engine, snapshot: Snapshot) -> Iterator[str]:
    """Yield warnings about differences from the Compose file that do not affect readiness."""
    yield from _orphans(engine, snapshot, "invoke up --remove-orphans")
    if former := _joined(replica.name for replica in former_proxies(engine.stack, snapshot.replicas)):
        yield f"{former} has the port until the next deploy: x-twelfth.proxy was removed. Try: invoke up"
    yield from _changed_volumes(engine, snapshot)
    yield from moved_tags(engine)


def of_down(engine: Engine, left: Snapshot, *, volumes: bool) -> Iterator[str]:
    """Yield warnings about what `down` has left."""
    yield from _orphans(engine, left, "invoke down --remove-orphans")
    for network in left.networks:
        name = engine.stack.engine_name(network)
        if names := ", ".join(user.container for user in left.users(name, ())):
            yield f"the network {name} stays: it is used by {names}"
    if volumes:
        yield from _superseded(engine, left)
        for volume in resources.undeclared_volumes(engine.stack, left):
            name = engine.stack.engine_name(volume)
            hint = f"to remove it with its data: {engine.removal(volume)}"
            yield f"the volume {name} stays: the Compose file does not declare it; {hint}"


def _directories_elsewhere(engine: Engine) -> Iterator[str]:
    project = engine.stack.directory
    for service in engine.stack.services if engine.machine else ():
        sources = [mount.source for mount in service.mounts if mount.kind == "bind"]
        if mounted := ", ".join(source for source in sources if project in (Path(source), *Path(source).parents)):
            yield f"{service.name} mounts {mounted} of {engine.machine}: files of this machine are not copied there"


def _orphans(engine: Engine, snapshot: Snapshot, command: str) -> Iterator[str]:
    known = {service.name for service in engine.stack.services}
    known |= {replica.service for replica in former_proxies(engine.stack, snapshot.replicas)}
    if names := _joined(replica.name for replica in snapshot.replicas if replica.service not in known):
        yield f"orphans stay: {names} (the Compose file does not declare their services). Try: {command}"


def _changed_volumes(engine: Engine, snapshot: Snapshot) -> Iterator[str]:
    for volume, changed in resources.changed_volumes(engine.stack, snapshot).items():
        name = engine.stack.engine_name(volume)
        hint = f"to apply this, give volumes.{volume.name} another name and copy the data"
        yield f"the volume {name} keeps its old settings: {', '.join(changed)} changed in the Compose file; {hint}"


def _superseded(engine: Engine, snapshot: Snapshot) -> Iterator[str]:
    for volume in resources.superseded_volumes(engine.stack, snapshot):
        old, new = engine.stack.engine_name(volume), engine.stack.known_as("volume", volume.name)
        hint = f"to remove it with its data: {engine.removal(volume)}"
        yield f"the volume {old} stays with its data: volumes.{volume.name} is now {new}; {hint}"


def moved_tags(engine: Engine) -> Iterator[str]:
    """Yield a warning if the engine has another image under the reference of the released services."""
    released = [service for service in engine.stack.released if service.pull_policy != pins.ALWAYS]
    service = released[0] if released and engine.has_images else None
    reference = (service.pin.reference if service.pin else service.image) if service else ""
    kept = pins.kept(engine, reference) if reference else None
    local = engine.resolve(reference) if kept else None
    if service and kept and local and local.image != kept.image:
        hint = f"invoke pull {service.name}" if local.digest else f"docker tag {reference} NEW, and declare that"
        yield f"{reference} is now {local.release} on the daemon; {service.name} keeps {kept.release}. Try: {hint}"


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
