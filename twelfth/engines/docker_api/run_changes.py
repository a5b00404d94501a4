"""Overlay what a job or hook declares on the inspected container that its run is made from; pure.

A key that is declared replaces the fields of the container that it sets. Variables and labels are merged by name,
mounts by target. The rest is that of the container.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.compose import container_keys
from twelfth.compose.container_keys import BLKIO, FIELDS
from twelfth.engines.docker_api import container_spec, mounts
from twelfth.engines.docker_api.container_spec import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.job import Changes
    from twelfth.model.service import Service
    from twelfth.model.stack import Stack

OF_RUN = {"labels", "stdin_open", "tty"}
"""Keys whose fields depend on the run, not on the container that it is made from."""

ADDED: Mapping[str, str] = {"expose": "ExposedPorts", "mac_address": "MacAddress", "stop_signal": "StopSignal"}
"""Fields of a container's configuration that a run has only if they are declared for it, by key."""

CONFIG: Mapping[str, str] = {
    "stop_grace_period": "StopTimeout",
    "user": "User",
    **{key: field.name for key, field in FIELDS.items() if not field.is_of_host and key not in OF_RUN},
}
"""The fields of a container's configuration, by key."""

HOST: Mapping[str, tuple[str, ...]] = {
    "blkio_config": tuple(BLKIO.values()),
    "cap_drop": ("CapDrop",),
    "cpus": ("NanoCpus",),
    "init": ("Init",),
    "logging": ("LogConfig",),
    "mem_limit": ("Memory",),
    "pids_limit": ("PidsLimit",),
    "read_only": ("ReadonlyRootfs",),
    "security_opt": ("SecurityOpt",),
    **{key: (field.name,) for key, field in FIELDS.items() if field.is_of_host},
}
"""The fields of a container's HostConfig, by key."""

BY_DAEMON: Mapping[str, tuple[str, ...]] = {
    "ipc": ("SecurityOpt",),
    "mem_limit": ("MemorySwap",),
    "pid": ("SecurityOpt",),
    "privileged": ("MaskedPaths", "ReadonlyPaths", "SecurityOpt"),
}
"""Fields of HostConfig that the daemon changes with a key."""

CHOSEN = {"MaskedPaths", "MemorySwap", "ReadonlyPaths"}
"""Those of them that the daemon chooses if the body has none."""

MOUNTS = {"configs", "secrets", "tmpfs", "volumes"}


def changed(
    stack: Stack, worker: Body, changes: Changes | None, convert: Callable[[Body], Body] = lambda mount: mount
) -> Body:
    """Return an inspected container with these changes, as if it had been created with them.

    Configuration files are not mounted. `convert` is applied to each mount of a volume.
    """
    if changes is None:
        return worker
    container, keys = changes.container, changes.keys
    body = container_spec.body(stack, container, {})
    if keys & MOUNTS:
        worker = _with_mounts(worker, mounts.declared(stack, _without_files(container)), container, convert)
    if keys & {"networks", "network_mode"}:
        worker = _with_networks(stack, worker, container, body["HostConfig"]["NetworkMode"])
    return worker | {
        "Config": worker["Config"] | _config(worker["Config"], body, keys),
        "HostConfig": _host(worker["HostConfig"], body["HostConfig"], keys),
    }


def fields(changes: Changes | None) -> frozenset[str]:
    """Return the fields of HostConfig that the daemon may report in another notation than the declared one."""
    keys = changes.keys if changes else ()
    return frozenset(field for key in keys for field in (*HOST.get(key, ()), *BY_DAEMON.get(key, ())))


def added(worker: Body, changes: Changes | None) -> Body:
    """Return the fields of `ADDED` that are declared."""
    keys = changes.keys if changes else ()
    return {field: worker["Config"].get(field) for key, field in ADDED.items() if key in keys}


def labels(changes: Changes | None) -> dict[str, str]:
    """Return the declared labels."""
    declared: dict[str, str] = container_keys.values(changes.container.options).get("labels", {}) if changes else {}
    return declared


def variables(changes: Changes | None) -> frozenset[str]:
    """Return the names of the declared variables."""
    return frozenset(name for name, _ in changes.container.environment) if changes else frozenset()


def names(stack: Stack, worker: Body, changes: Changes | None) -> tuple[str, ...]:
    """Return the names of the declared settings that differ from the container's; files always count as different."""
    if changes is None:
        return ()
    variables = _variables(worker["Config"].get("Env") or [])
    environment = [name for name, value in changes.container.environment if variables.get(name) != f"{name}={value}"]
    others = [key for key in sorted(changes.keys - {"environment"}) if _is_different(stack, worker, changes, key)]
    return (*(f"environment.{name}" for name in environment), *others)


def _is_different(stack: Stack, worker: Body, changes: Changes, key: str) -> bool:
    has_files = key in {"configs", "secrets"} and any(mount.kind == "config" for mount in changes.container.mounts)
    has_labels = key == "labels" and bool(labels(changes))
    return (
        has_files or has_labels or _set(changed(stack, worker, replace(changes, keys=frozenset({key})))) != _set(worker)
    )


def _set(container: Body) -> Body:
    """Return the settings of a container that are not empty."""
    settings = {**container["Config"], **container["HostConfig"], "": container["NetworkSettings"]["Networks"]}
    return {name: value for name, value in settings.items() if value}


def _config(worker: Body, body: Body, keys: Collection[str]) -> Body:
    config = {CONFIG[key]: body.get(CONFIG[key]) for key in keys if key in CONFIG}
    if "entrypoint" in keys:  # the command of the image, or of the service, is one of another entrypoint
        config["Cmd"] = body["Cmd"]
    if "environment" in keys:
        config["Env"] = list((_variables(worker.get("Env") or []) | _variables(body["Env"])).values())
    if directory := config.get("WorkingDir"):
        config["WorkingDir"] = posixpath.normpath(directory)
    return config


def _host(worker: Body, declared: Body, keys: Collection[str]) -> Body:
    chosen = CHOSEN.intersection(field for key in keys for field in BY_DAEMON.get(key, ()))
    return {name: value for name, value in worker.items() if name not in chosen} | {
        name: declared.get(name) for key in keys for name in HOST.get(key, ())
    }


def _variables(pairs: Iterable[str]) -> dict[str, str]:
    return {pair.partition("=")[0]: pair for pair in pairs}


def _without_files(service: Service) -> Service:
    return replace(service, mounts=tuple(mount for mount in service.mounts if mount.kind != "config"))


def _with_mounts(worker: Body, declared: Body, service: Service, convert: Callable[[Body], Body]) -> Body:
    targets = {mount.target for mount in service.mounts}
    host, labels = worker["HostConfig"], worker["Config"]["Labels"]
    added = list(map(convert, declared["Mounts"]))
    anonymous = [target for target in json.loads(labels.get(mounts.ANONYMOUS_VOLUMES) or "[]") if target not in targets]
    kept = {name: text for name, text in labels.items() if name.removeprefix(CONFIGS) not in targets}
    kept |= {mounts.ANONYMOUS_VOLUMES: json.dumps(anonymous)} if mounts.ANONYMOUS_VOLUMES in labels else {}
    replaced = {
        "Binds": [*(bind for bind in host.get("Binds") or [] if _target(bind) not in targets), *declared["Binds"]],
        "Mounts": [*(mount for mount in host.get("Mounts") or [] if mount["Target"] not in targets), *added],
        "Tmpfs": _without(host.get("Tmpfs") or {}, targets) | declared["Tmpfs"],
    }
    reports = [mount for mount in worker["Mounts"] if mount["Destination"] not in targets]
    return worker | {
        "Config": worker["Config"] | {"Labels": kept},
        "HostConfig": host | {name: value for name, value in replaced.items() if value or host.get(name)},
        "Mounts": [*reports, *map(mounts.reported, added)],
    }


def _target(bind: str) -> str:
    return bind.split(":")[1] if ":" in bind else bind


def _without(values: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in names}


def _with_networks(stack: Stack, worker: Body, service: Service, mode: str) -> Body:
    endpoints = container_spec.attached_networks(stack, service)
    aliases = {name: {"Aliases": _aliases(settings, service)} for name, settings in endpoints.items() if settings}
    declared = {name: settings | aliases.get(name, {}) for name, settings in endpoints.items()}
    return worker | {
        "HostConfig": worker["HostConfig"] | {"NetworkMode": mode},
        "NetworkSettings": {"Networks": declared},
    }


def _aliases(settings: Body, service: Service) -> list[str]:
    return [alias for alias in settings.get("Aliases", ()) if alias != service.name]
