"""Read the keys `x-twelfth` and `x-swarm` of the top level, which Compose does not check."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twelfth.compose.notify import notify
from twelfth.compose.schema import (
    Table,
    Value,
    matching,
    number,
    seconds,
    service_name,
    text_mapping,
    texts,
    unchecked,
)
from twelfth.model.stack import Proxy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from twelfth.model.service import Service


def with_shared(top: Value, values: Mapping[str, Any], directory: Path) -> dict[str, Service]:
    """Return the services with `x-twelfth.shared` mounts marked; refuse an entry that no service mounts."""
    services: dict[str, Service] = values.get("services") or {}
    entries = {entry: _shared_source(entry, directory) for entry in values.get("x-twelfth", {}).get("shared", ())}
    sources = set(entries.values())
    mounted = {mount.source for service in services.values() for mount in service.mounts}
    for entry in (entry for entry, source in entries.items() if source not in mounted):
        top.refuse("x-twelfth.shared", f"has {entry}, which no service mounts", "write the key of a volume, or a path")
    return {
        name: replace(
            service,
            mounts=tuple(
                replace(mount, is_shared=mount.kind in {"volume", "bind"} and mount.source in sources)
                for mount in service.mounts
            ),
        )
        for name, service in services.items()
    }


def _shared_source(entry: str, directory: Path) -> str:
    """Return a volume's key, or the path of a bind mount as Compose's model has it."""
    is_path = entry.startswith((".", "/"))
    return posixpath.normpath(posixpath.join(directory.as_posix(), entry)) if is_path else entry


def extension_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the stack from the `x-` keys of the top level."""
    settings = values.get("x-swarm", {}) | values.get("x-twelfth", {})
    return {"ingress" if key in _INGRESS else key.replace("-", "_"): value for key, value in settings.items()}


def _drain(at: Value) -> float:
    return seconds(replace(at, value=str(at.value)))


def _proxied_port(at: Value) -> int:
    is_text = isinstance(at.value, str) and at.value.isdecimal()  # an interpolated variable
    return number(replace(at, value=int(at.value)) if is_text else at)


def _proxy_image(at: Value) -> str:
    if not isinstance(at.value, str) or not at.value:
        at.refuse("", "is not the name of an image", "remove it, or write one")
    return str(at.value)


def _proxy(at: Value) -> Proxy | None:
    required = {"service", "port"}
    if not isinstance(at.value, dict) or not required <= at.value.keys():
        at.refuse("", "needs a service and its port", "write proxy: {service: SERVICE, port: PORT}")
        return None
    before, values = len(at.refusals), at.read(_PROXY)
    return Proxy(**values) if len(at.refusals) == before else None


def _max_replicas(at: Value) -> tuple[tuple[str, int], ...]:
    if not isinstance(at.value, dict) or not all(isinstance(limit, int) for limit in at.value.values()):
        at.refuse("", "must be a mapping", "write SERVICE: NUMBER")
        return ()
    for name, below in at.below():
        if name not in at.model["services"]:
            below.refuse("", "is not a service", f"write one of {', '.join(at.model['services'])}")
    return tuple(sorted(at.value.items()))


_INGRESS = ("ingress", "door")
"""The key of the service that gets the requests of clients, and its former name."""

_PROXY: Table = {
    "service": service_name,
    "port": _proxied_port,
    "drain": _drain,
    "health": matching(r"/[^\s\"'#\\]*", "write a path, such as /healthz"),
    "image": _proxy_image,
}

EXTENSIONS: Table = {
    "x-twelfth": unchecked(
        {
            "runs-from": service_name,
            **dict.fromkeys(_INGRESS, service_name),
            "max-replicas": _max_replicas,
            "notify": notify,
            "shared": texts,
            "proxy": _proxy,
        },
        "runs-from: SERVICE, ingress: SERVICE, max-replicas: {SERVICE: NUMBER}, shared: [VOLUME], "
        "proxy: {service: SERVICE, port: PORT}",
    ),
    "x-swarm": unchecked({"nodes": text_mapping}, "nodes: {NAME: tcp://HOST:2375}"),
}
