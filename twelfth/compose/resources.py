"""Leave out the networks and volumes that no container uses, as Compose does.

Compose itself would also leave out those that only jobs and release commands use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twelfth.compose.hooks import PRE_START
from twelfth.compose.jobs import DEFAULT_NETWORK, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Keys = Mapping[str, Any]

KINDS = ("networks", "volumes")


def with_used_resources(model: Keys) -> dict[str, Any]:
    """Return a model with those that are used, including the default network of a job that names no network."""
    containers = list(_containers(model))
    resources = {}
    for kind in KINDS:
        declared = model.get(kind) or {}
        used = {name for keys in containers for name in _used(kind, keys)}
        if kind == "networks" and "default" in used:
            declared = {"default": {}} | declared
        resources[kind] = {name: keys for name, keys in declared.items() if name in used}
    return dict(model) | {kind: names for kind, names in resources.items() if kind in model or names}


def _containers(model: Keys) -> Iterator[Keys]:
    for service in (model.get("services") or {}).values():
        yield service or {}
        yield from (service or {}).get(PRE_START) or ()
    for job in (model.get("jobs") or {}).values():
        keys = job or {}
        is_of_service = keys.get("networks") == DEFAULT_NETWORK and service_of(keys, model)
        yield {key: value for key, value in keys.items() if key != "networks"} if is_of_service else keys


def _used(kind: str, keys: Keys) -> list[str]:
    entries = keys.get(kind) or []
    if isinstance(entries, dict):
        return list(entries)
    return [entry["source"] for entry in entries if entry.get("source") and entry.get("type", "volume") == "volume"]
