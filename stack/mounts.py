"""What a service sees of the engine's and the operator's: its volumes, configs and tmpfs."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from stack.model import Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stack.node import Node, Scope

_VOLUME = re.compile(r"(?P<source>[a-zA-Z0-9_-][a-zA-Z0-9._-]+):(?P<target>/[^:]*)(?::(?P<mode>ro|rw))?")


def read_mounts(given: Mapping[str, Node], scope: Scope) -> tuple[Mount, ...]:
    """Return volumes, configs and tmpfs of a service, no two at one target."""
    found: dict[str, Mount] = {}
    for key, read in MOUNTS.items():
        for node, mount in read(given[key], scope) if key in given else ():
            if mount.target in found:
                raise node.refusal(f"mounts {mount.target} a second time; remove one")
            found[mount.target] = mount
    return tuple(found.values())


def _volumes(node: Node, scope: Scope) -> list[tuple[Node, Mount]]:
    found = []
    for entry in node.items():
        mount = _long_volume(entry) if isinstance(entry.value, dict) else _short_volume(entry)
        if mount.kind == "volume" and mount.source not in scope.volumes:
            raise entry.refusal(f"refers to the volume {mount.source}, which is not declared; declare it under volumes")
        found.append((entry, mount))
    return found


def _short_volume(node: Node) -> Mount:
    found = _VOLUME.fullmatch(node.text())
    if not found:
        raise node.refusal(
            f"is {node.text()}; only a named volume is honoured, NAME:/TARGET or NAME:/TARGET:ro; use configs for files"
        )
    return Mount("volume", _clean(found["target"]), found["source"], found["mode"] == "ro")


def _long_volume(node: Node) -> Mount:
    kind = node.field("type")
    if kind.text() == "tmpfs":
        node.fields("type", "target")
        return Mount("tmpfs", _target(node.field("target")))
    if kind.text() != "volume":
        raise kind.refusal(f"is {kind.text()}, which is not honoured by twelfth; use a volume, tmpfs or configs")
    given = node.fields("type", "source", "target", "read_only")
    read_only = "read_only" in given and given["read_only"].flag()
    return Mount("volume", _target(node.field("target")), node.field("source").filled(), read_only)


def _target(node: Node) -> str:
    if not node.text().startswith("/"):
        raise node.refusal(f"is {node.text()!r}; write an absolute path")
    return _clean(node.text())


def _clean(target: str) -> str:
    return "/" + posixpath.normpath(target).lstrip("/")


def _configs(node: Node, scope: Scope) -> list[tuple[Node, Mount]]:
    return [(entry, _config(entry, scope)) for entry in node.items()]


def _config(node: Node, scope: Scope) -> Mount:
    given = node.fields("source", "target") if isinstance(node.value, dict) else {}
    source = node.field("source").text() if given else node.text()
    if source not in scope.configs:
        raise node.refusal(f"refers to the config {source}, which is not declared; declare it under configs")
    target = given["target"].filled() if "target" in given else source
    return Mount("config", _clean("/" + target), scope.configs[source], read_only=True)


def _tmpfs(node: Node, _scope: Scope) -> list[tuple[Node, Mount]]:
    entries = [node] if isinstance(node.value, str) else node.items()
    for entry in entries:
        if not re.fullmatch("/[^:]*", entry.text()):
            raise entry.refusal(f"is {entry.text()!r}; write an absolute path without options")
    return [(entry, Mount("tmpfs", _clean(entry.text()))) for entry in entries]


MOUNTS: Mapping[str, Callable[[Node, Scope], list[tuple[Node, Mount]]]] = {
    "volumes": _volumes,
    "configs": _configs,
    "tmpfs": _tmpfs,
}
