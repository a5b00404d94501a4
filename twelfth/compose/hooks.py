"""Read `pre_start`: the release commands of a service, each as its differences from the service.

Compose merges each entry with its service (https://docs.docker.com/reference/compose-file/services/#pre_start), except
for volumes, which its containers take from the service's container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twelfth.compose.schema import Value, texts
from twelfth.model.job import Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twelfth.model.service import Service

    Keys = Mapping[str, Any]

PRE_START, RELEASE = "pre_start", "x-release"
"""The key of Compose, and the key of one command for Compose before 5.3, which rejects the first."""


def release_commands(at: Value, container: Callable[[Value], Service]) -> tuple[Changes, ...]:
    """Return the release commands of a service, in order; `container` converts the keys of a container."""
    service = at.value or {}
    entries, command = service.get(PRE_START) or [], service.get(RELEASE)
    if entries and command:
        at.refuse(RELEASE, f"and {PRE_START} are both set", "remove one of them")
    if command is not None:
        below = Value(f"{at.path}.{RELEASE}", command, at.model, at.refusals)
        words = texts(below)
        entries = [{"command": words}] if words else entries
    return tuple(
        _changes(Value(f"{at.path}.{PRE_START}[{index}]", entry, at.model, at.refusals), service, container)
        for index, entry in enumerate(entries)
    )


def _changes(at: Value, service: Keys, container: Callable[[Value], Service]) -> Changes:
    if at.value.get("per_replica"):
        at.refuse("per_replica", "is true, which is unsupported", "remove it, or do it in the service's command")
    if not at.value.get("command"):
        at.refuse("command", "is missing", "write [program, argument, ...]")
    changed = {key: value for key, value in at.value.items() if key == "command" or value != service.get(key)}
    changed.pop("per_replica", None)
    if "environment" in changed:
        changed["environment"] = _changed_variables(at, service.get("environment") or {})
    return Changes(container(Value(at.path, changed, at.model, at.refusals)), frozenset(changed))


def _changed_variables(at: Value, inherited: Keys) -> dict[str, Any]:
    variables = at.value["environment"]
    for name, value in variables.items():
        if value is None and inherited.get(name) is not None:
            at.refuse(f"environment.{name}", "has no value", f'write a value, or {name}: ""')
    return {name: value for name, value in variables.items() if value != inherited.get(name)}
