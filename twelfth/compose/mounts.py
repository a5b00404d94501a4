"""Read the mounts of a service: volumes, configuration files, secrets and tmpfs."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from twelfth.compose.schema import Table, Value, as_is, matching, nested, only
from twelfth.model.service import Mount, as_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.compose.schema import Reader


def target_path(home: str, entry: Mapping[str, Any]) -> str:
    """Return the path of a config or secret in the container; a relative target is in `home`."""
    return clean_path(posixpath.join(home, entry.get("target") or entry["source"]))


def volume_mount(at: Value) -> Mount:
    """Read an entry of `volumes`."""
    values = at.read(MOUNT)
    kind = values["type"]
    options = as_options(values.get(kind) or {})
    return Mount(
        kind, clean_path(values["target"]), values.get("source", ""), values.get("read_only", False), options=options
    )


def tmpfs_mount(text: str) -> Mount:
    """Convert an entry of `tmpfs`, such as `/tmp:size=64m`."""
    target, _, options = text.partition(":")
    return Mount("tmpfs", clean_path(target), options=as_options({"options": options}) if options else ())


def file_mount(kind: str) -> Reader:
    """Return a reader of a configuration file or secret of a service."""
    home = HOMES[kind]

    def read(at: Value) -> Mount:
        values = at.read(FILE)
        file, content = declared_file(at, kind, values["source"])
        options = as_options({key: values[key] for key in ("uid", "gid", "mode") if key in values})
        return Mount(
            "config",
            target_path(home, values),
            file,
            read_only=True,
            content=content,
            options=options,
        )

    return read


def declared_file(at: Value, kind: str, name: str) -> tuple[str, str | None]:
    """Return the path of a config or secret, and its content if it has no file."""
    declared = (at.model.get(kind) or {}).get(name) or {}
    if declared.get("external"):
        at.refuse("", "is external, which only Swarm supports", "declare file, content or environment instead")
    if variable := declared.get("environment"):
        at.refuse("", f"is {name}, whose variable {variable} is not set", "set it in the environment or in .env")
    return declared.get("file", ""), None if "file" in declared else declared.get("content", "")


def clean_path(target: str) -> str:
    """Return a path as the engine shows it."""
    return "/" + posixpath.normpath(target).lstrip("/")


HOMES = {"configs": "/", "secrets": "/run/secrets"}
"""The directories of configs and secrets with a missing or relative target."""

BIND: Table = dict.fromkeys(("propagation", "create_host_path", "selinux", "recursive"), as_is)
VOLUME: Table = dict.fromkeys(("nocopy", "subpath", "labels"), as_is)
TMPFS: Table = dict.fromkeys(("size", "mode"), as_is)
MOUNT: Table = {
    "type": only("volume", "bind", "tmpfs"),
    "source": as_is,
    "target": matching("/.*", "write an absolute path"),
    "read_only": as_is,
    "bind": nested(BIND),
    "volume": nested(VOLUME),
    "tmpfs": nested(TMPFS),
    "consistency": None,
}
FILE: Table = {
    **dict.fromkeys(("source", "target", "mode"), as_is),
    **dict.fromkeys(("uid", "gid"), matching("[0-9]+", "write a number, such as 1000")),
}
