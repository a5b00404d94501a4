"""The mounts of a container: as declared, in a recipe, and taken over by another container; pure.

Paths of the daemon's machine are `Binds`, with which the daemon creates missing ones; others are `Mounts` or `Tmpfs`
(https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from twelfth.compose import container_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twelfth.model.service import Mount, Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Stack

    Body = dict[str, Any]

STATE_VOLUME = "twelfth-state-"
"""Prefix of the name of a stack's state volume, before the project."""


def declared(stack: Stack, service: Service) -> Body:
    """Return the mounts of a service as settings of HostConfig."""
    return {
        "Binds": [_bind(mount) for mount in service.mounts if _is_bind(mount)],
        "Mounts": [_mount(stack, mount) for mount in service.mounts if _is_mount(mount)],
        "Tmpfs": {mount.target: _tmpfs_options(mount) for mount in service.mounts if _is_plain_tmpfs(mount)},
    }


def recipe(host: Body) -> Recipe:
    """Return the mounts of a HostConfig by target, without volumes."""
    binds = (_bound(bind) for bind in host.get("Binds") or [] if bind.startswith("/"))
    return dict([*binds, *(_mounted(mount) for mount in host.get("Mounts") or [] if mount["Type"] != "volume")])


def _bound(bind: str) -> tuple[str, str]:
    source, target, *mode = bind.split(":")
    return f"bind.{target}", " ".join([source, *sorted({*",".join(mode).split(",")} - {"rw", ""})])


def _mounted(mount: Body) -> tuple[str, str]:
    how = "ro" if mount.get("ReadOnly") else ""
    bind = {name: value for name, value in mount.get("BindOptions", {}).items() if name != CREATE}
    settings = [json.dumps(options_, sort_keys=True) for options_ in (mount.get("TmpfsOptions"), bind) if options_]
    return f"{mount['Type']}.{mount['Target']}", " ".join(filter(None, [mount.get("Source", ""), how, *settings]))


def descriptions(host: Body) -> dict[str, str]:
    """Return the mounts of a HostConfig, by target, in one notation.

    Names of volumes and anonymous volumes are not part of it.
    """
    tmpfs = {f"tmpfs.{target}": settings for target, settings in (host.get("Tmpfs") or {}).items()}
    named = [(name.partition("."), text) for name, text in {**recipe(host), **tmpfs}.items()]
    volumes = [mount for mount in host.get("Mounts") or [] if mount["Type"] == "volume" and mount.get("Source")]
    return {
        **dict(_bound_volume(bind) for bind in host.get("Binds") or [] if ":" in bind and not bind.startswith("/")),
        **{mount["Target"]: _volume(mount.get("VolumeOptions") or {}) for mount in volumes},
        **{target: f"{kind} {text}" for (kind, _, target), text in named},
    }


def _bound_volume(bind: str) -> tuple[str, str]:
    _, target, *mode = bind.split(":")
    return target, _volume({"NoCopy": "nocopy" in ",".join(mode).split(",")})


def _volume(settings: Body) -> str:
    subpath, labels = settings.get("Subpath"), settings.get("Labels")
    words = ["nocopy" if settings.get("NoCopy") else "", subpath, labels and json.dumps(labels, sort_keys=True)]
    return " ".join(["volume", *filter(None, words)])


CREATE = "CreateMountpoint"
"""The option of a bind mount that makes the daemon create a missing path (from API 1.42, ignored before)."""

ANONYMOUS_VOLUMES = "twelfth.anonymous-volumes"
"""Label: the targets of anonymous volumes that were taken over from the previous replica, as JSON."""

_GENERATED = re.compile("[0-9a-f]{64}")
"""A name that the daemon generates for an anonymous volume."""


def anonymous_volumes(inspected: Body) -> dict[str, str]:
    """Return the names of a container's anonymous volumes, by target.

    A volume that was taken over from the previous replica is an ordinary mount for the daemon. So is a declared volume
    with a generated name, such as one that was rescued from a removed container; the label tells the two apart. Compose
    sets no label: it puts the volumes that it takes over into `Mounts`, and declared volumes into `Binds`.
    """
    host, taken = inspected["HostConfig"], (inspected["Config"].get("Labels") or {}).get(ANONYMOUS_VOLUMES)
    declared = {bind.split(":")[1] for bind in host.get("Binds") or [] if ":" in bind}
    if taken is not None:
        named = {mount["Target"] for mount in host.get("Mounts") or [] if mount.get("Source")}
        declared |= named.difference(json.loads(taken))
    volumes = {mount["Destination"]: mount["Name"] for mount in inspected["Mounts"] if mount["Type"] == "volume"}
    generated = {target: name for target, name in volumes.items() if not name or _GENERATED.fullmatch(name)}
    return {target: name for target, name in generated.items() if target not in declared}


def taking_over(body: Body, volumes: Mapping[str, str]) -> Body:
    """Return a body that mounts the anonymous volumes of another container, except where it mounts something else."""
    host = body["HostConfig"]
    occupied = {mount["Target"] for mount in host["Mounts"] if not _is_anonymous(mount)}
    occupied |= {bind.split(":")[1] for bind in host["Binds"]} | {*host["Tmpfs"]}
    taken = {target: name for target, name in volumes.items() if target not in occupied}
    declared = [_named(mount, taken) if _is_anonymous(mount) else mount for mount in host["Mounts"]]
    rest = taken.keys() - {mount["Target"] for mount in declared}
    added = [_named({"Type": "volume", "Target": target}, taken) for target in sorted(rest)]
    labels = body["Labels"] | {ANONYMOUS_VOLUMES: json.dumps(sorted(taken))}
    return body | {"Labels": labels, "HostConfig": host | {"Mounts": [*declared, *added]}}


def _is_anonymous(mount: Body) -> bool:
    return mount["Type"] == "volume" and "Source" not in mount


def _named(mount: Body, names: Mapping[str, str]) -> Body:
    return mount | {"Source": names[mount["Target"]]} if mount["Target"] in names else mount


def with_new_anonymous_volumes(inspected: Body) -> Body:
    """Return an inspected container without the names of its anonymous volumes, to create another container from.

    The daemon creates new volumes for the other one, fills them from the image, and removes them with it.
    """
    anonymous, host = anonymous_volumes(inspected), inspected["HostConfig"]
    mounts = [
        {key: value for key, value in mount.items() if key != "Source"} if mount["Target"] in anonymous else mount
        for mount in host.get("Mounts") or []
    ]
    return inspected | {"HostConfig": host | ({"Mounts": mounts} if mounts else {})}


def reported(mount: Body) -> Body:
    """Return a declared mount as the daemon would report it."""
    is_writable = not mount.get("ReadOnly")
    return {"Type": mount["Type"], "Destination": mount["Target"], "Name": mount.get("Source", ""), "RW": is_writable}


def with_files(container: Body, files: Iterable[Body]) -> Body:
    """Return an inspected container, or the body of one, with these mounts instead of those at their targets."""
    mounted = {mount["Target"]: mount for mount in files}
    host = container["HostConfig"]
    others = [mount for mount in host.get("Mounts") or [] if mount["Target"] not in mounted]
    reports = [mount for mount in container.get("Mounts", ()) if mount["Destination"] not in mounted]
    return container | {
        "HostConfig": host | {"Mounts": [*others, *mounted.values()]},
        **({"Mounts": [*reports, *map(reported, mounted.values())]} if "Mounts" in container else {}),
    }


def is_of_state(mount: Body) -> bool:
    """Return whether a reported mount is a file in the state volume of a stack."""
    return mount["Type"] == "volume" and str(mount["Name"]).startswith(STATE_VOLUME)


HIDDEN = "/.twelfth-state"
"""The mount point of a hidden volume."""


def with_hidden_volume(body: Body, volume: str, masked: Iterable[str]) -> Body:
    """Return a body that also mounts a volume where its process cannot see it: so no prune removes the volume.

    `masked` are the paths that the daemon hides by default. A process that may unmount or sees them gets no volume.
    """
    host = body["HostConfig"]
    added = {name.upper().removeprefix("CAP_") for name in host.get("CapAdd") or []}
    is_unconfined = any(option.startswith("systempaths") for option in host.get("SecurityOpt") or [])
    if host.get("Privileged") or is_unconfined or added & {"ALL", "SYS_ADMIN"}:
        return body
    mount = {"Type": "volume", "Source": volume, "Target": HIDDEN, "ReadOnly": True, "VolumeOptions": {"NoCopy": True}}
    return body | {"HostConfig": host | {"Mounts": [*host["Mounts"], mount], "MaskedPaths": [*masked, HIDDEN]}}


def without_hidden_volume(inspected: Body) -> Body:
    """Return an inspected container without a hidden volume, to create another one from."""
    host, mounted = inspected["HostConfig"], inspected["Mounts"]
    if all(mount["Destination"] != HIDDEN for mount in mounted):
        return inspected
    settings = {
        "Mounts": [mount for mount in host["Mounts"] if mount["Target"] != HIDDEN],
        "MaskedPaths": [path for path in host["MaskedPaths"] if path != HIDDEN],
    }
    others = [mount for mount in mounted if mount["Destination"] != HIDDEN]
    return inspected | {"HostConfig": host | settings, "Mounts": others}


def _is_bind(mount: Mount) -> bool:
    # `Binds` create a missing path, which `Mounts` do not.
    declared = container_keys.values(mount.options)
    return (
        mount.kind == "bind"
        and declared.get("create_host_path") is not False
        and not {"propagation", "recursive"} & declared.keys()
    )


def _bind(mount: Mount) -> str:
    declared = container_keys.values(mount.options)
    mode = ["ro" if mount.read_only else "rw", declared.get("selinux")]
    return f"{mount.source}:{mount.target}:{','.join(filter(None, mode))}"


def _is_plain_tmpfs(mount: Mount) -> bool:
    return mount.kind == "tmpfs" and not mount.read_only and not {"size", "mode"} & dict(mount.options).keys()


def _tmpfs_options(mount: Mount) -> str:
    return str(container_keys.values(mount.options).get("options", ""))


def _is_mount(mount: Mount) -> bool:
    """Return whether the API represents a mount in `Mounts`."""
    return not (_is_bind(mount) or _is_plain_tmpfs(mount))


def _mount(stack: Stack, mount: Mount) -> Body:
    settings: Body
    declared = container_keys.values(mount.options)
    if mount.kind == "config":
        return {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": True}
    read_only = {"ReadOnly": True} if mount.read_only else {}  # the daemon leaves out false values
    if mount.kind == "tmpfs":
        settings = {"SizeBytes": int(declared.get("size", 0)), "Mode": int(declared.get("mode", 0))}
        type_options = {"TmpfsOptions": _set(settings)} if _set(settings) else {}
        return {"Type": "tmpfs", "Target": mount.target, **type_options, **read_only}
    if mount.kind == "bind":
        settings = {
            "Propagation": declared.get("propagation"),
            "NonRecursive": declared.get("recursive") == "disabled",
            CREATE: declared.get("create_host_path") is not False,
        }
        type_options = {"BindOptions": _set(settings)} if _set(settings) else {}
        return {"Type": "bind", "Source": mount.source, "Target": mount.target, **type_options, **read_only}
    settings = {"NoCopy": declared.get("nocopy"), "Subpath": declared.get("subpath"), "Labels": declared.get("labels")}
    type_options = {"VolumeOptions": _set(settings)} if _set(settings) else {}
    source = {"Source": stack.known_as("volume", mount.source)} if mount.source else {}  # else it is anonymous
    return {"Type": "volume", "Target": mount.target, **source, **type_options, **read_only}


def _set(values: Body) -> Body:
    return {name: value for name, value in values.items() if value}
