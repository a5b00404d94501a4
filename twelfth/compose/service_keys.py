"""Convert the keys of a service; each supported key has a line in a table here, all others are refused."""

from __future__ import annotations

import functools
import posixpath
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.compose import hooks
from twelfth.compose.container_keys import KEYS
from twelfth.compose.mounts import (
    BIND,
    FILE,
    MOUNT,
    TMPFS,
    VOLUME,
    declared_file,
    file_mount,
    tmpfs_mount,
    volume_mount,
)
from twelfth.compose.schema import Table, Value, as_is, cast, each, matching, nested, only, seconds, text_mapping, texts
from twelfth.model.hook import Hook
from twelfth.model.image_name import image_name
from twelfth.model.service import (
    SERVICE_COMPLETED,
    SERVICE_HEALTHY,
    Build,
    BuildSecret,
    Healthcheck,
    Limits,
    Local,
    Logging,
    Port,
    Reload,
    Service,
    as_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.model.service import Options, Pairs

_NAMES = {
    "cpus": "limits.cpus",
    "mem_limit": "limits.memory",
    "pids_limit": "limits.pids",
    "scale": "replicas",
    "stop_grace_period": "stop_grace",
    "x-local": "local",
    "x-reload": "reload",
}
"""The fields of `Service` whose names differ from Compose's keys."""

BUILD_OPTIONS = frozenset("cache_from extra_hosts labels network no_cache platforms pull shm_size tags".split())  # noqa: SIM905
"""Keys of a build that are passed to the builder (engines/docker_api/images.py)."""


def read_service(name: str, at: Value) -> Service:
    """Convert a service with its release commands."""
    commands = hooks.release_commands(at, functools.partial(container, name))
    return replace(container(name, at), pre_start=commands)


def container(name: str, at: Value) -> Service:
    """Convert what a service, job or hook declares of its container."""
    values = {_NAMES.get(key, key): value for key, value in at.read(_SERVICE).items()}
    limits = {key.partition(".")[2]: values.pop(key) for key in [*values] if key.startswith("limits.")}
    fields = values | values.pop("deploy", {})
    fields["limits"] = Limits(**limits | fields.get("limits", {}))
    fields |= fields.pop("depends_on", {})
    fields["networks"], fields["endpoints"] = fields.pop("networks", ((), ()))
    tmpfs = (tmpfs_mount(text) for text in fields.pop("tmpfs", ()))
    mounts = [*fields.pop("volumes", ()), *fields.pop("configs", ()), *fields.pop("secrets", ()), *tmpfs]
    if "build" in fields:  # its release replaces the tag
        fields["build"] = replace(fields["build"], tag=fields.get("image", ""))
        fields["image"] = image_repository(fields.get("image"), at.model, name)
    options = {key: fields.pop(key) for key in KEYS & fields.keys()}
    return Service(**{"image": "", **fields}, name=name, mounts=tuple(mounts), options=as_options(options))


def image_repository(image: str | None, model: Mapping[str, Any], service: str) -> str:
    """Return the name of a built image, without a tag; Compose's name if the file has none."""
    return image_name(image or f"{model.get('name')}-{service}").repository


def _build(at: Value) -> Build:
    options = at.read(_BUILD)
    context = options.pop("context", "")
    if not posixpath.isabs(context):
        at.refuse("context", f"is {context}, which is unsupported", "write a path")
    names = ("args", "dockerfile", "target", "secrets", "ssh", "additional_contexts")
    fields = {key: options.pop(key) for key in names if key in options}
    return Build(Path(context), inline=options.pop("dockerfile_inline", ""), options=as_options(options), **fields)


def _pairs(at: Value) -> Pairs:
    """Return names and values, without unset variables."""
    for name, below in at.below():
        if name.startswith("#"):  # Compose moves such keys there
            below.refuse("", "has names that start with x-, which Compose does not allow for variables", "rename them")
    return tuple(sorted((name, str(value)) for name, value in at.value.items() if value is not None))


def _port(at: Value) -> Port:
    values = at.read(_PORT)
    first, _, last = str(values.get("published", "")).partition("-")
    protocol = values.get("protocol", "tcp")
    return Port(values["target"], int(first or 0), values.get("host_ip", ""), protocol, int(last or 0))


def _build_secret(at: Value) -> BuildSecret:
    values = at.read(_BUILD_SECRET)
    return BuildSecret(values.get("target") or values["source"], *declared_file(at, "secrets", values["source"]))


def _ssh(at: Value) -> tuple[str, ...]:
    """Return agents and keys as buildx takes them; Compose prints `ID` or `ID: PATH`, in random order."""
    return tuple(sorted(re.sub("^([^:=]+): ", r"\1=", agent) for agent in at.value))


def _additional_contexts(at: Value) -> Pairs:
    enabled = ", ".join(at.model["services"])
    for _, below in at.below():
        kind, _, name = str(below.value).partition(":")
        if kind == "oci-layout":
            below.refuse("", f"is {below.value}, which is unsupported", "write a path, docker-image://IMAGE or a URL")
        if kind == "service" and name not in at.model["services"]:
            below.refuse("", f"is {below.value}, which is not enabled", f"write service: and one of {enabled}")
    return tuple(sorted((name, str(context)) for name, context in at.value.items()))


def _networks(at: Value) -> tuple[tuple[str, ...], Options]:
    settings = {name: below.read(_ENDPOINT) for name, below in at.below()}
    return tuple(settings), as_options({name: options for name, options in settings.items() if options})


def _depends_on(at: Value) -> dict[str, Any]:
    """Return the dependencies of a service; an optional one (`required: false`) only if it is enabled."""
    dependencies = {name: below.read(_DEPENDENCY) for name, below in at.below() if name in at.model["services"]}
    return {
        "depends_on": tuple(dependencies),
        "conditions": start_conditions(dependencies),
        "follows": tuple(sorted(name for name, keys in dependencies.items() if keys.get("restart"))),
    }


def start_conditions(dependencies: Mapping[str, Any]) -> Pairs:
    """Return the conditions other than `service_started`."""
    conditions = {name: (keys or {}).get("condition", _STARTED) for name, keys in dependencies.items()}
    return tuple(sorted((name, condition) for name, condition in conditions.items() if condition != _STARTED))


def _hook(at: Value) -> Hook:
    values = at.read(_HOOK)
    if not values.get("command"):
        at.refuse("command", "is missing", "write [program, argument, ...]")
    return Hook(**{"command": (), **values})


def _healthcheck(at: Value) -> Healthcheck:
    values = at.read(_HEALTHCHECK)
    if at.value.get("disable"):
        return Healthcheck(("NONE",))
    if "test" not in values:
        at.refuse("test", "has no command", "write [CMD, program, ...], or remove the healthcheck")
    return Healthcheck(**{"test": (), **values})


def _deploy(at: Value) -> dict[str, Any]:
    """Read what Compose uses without a Swarm, and the placement for a Swarm."""
    fields = at.read(_DEPLOY)
    resources, policy = fields.pop("resources", {}), fields.pop("restart_policy", {})
    reserved, limits = resources.get("reservations", {}), resources.get("limits", {})
    reservations = {"mem_reservation": reserved.get("memory"), "gpus": reserved.get("devices")}
    if policy:
        condition = _CONDITIONS.get(policy.get("condition", "any"), policy.get("condition"))
        fields["restart"] = f"{condition}:{policy['max_attempts']}" if "max_attempts" in policy else condition
    return {
        **fields.pop("placement", {}),
        **fields.pop("update_config", {}),
        **fields,
        **({"limits": limits} if limits else {}),
        **{key: value for key, value in reservations.items() if value},
    }


def _local(at: Value) -> Local | None:
    """Read how a service runs without containers; Compose does not check `x-` keys."""
    if not isinstance(at.value, dict) or "command" not in at.value:
        at.refuse("command", "is missing", "add it")
        return None
    values = at.read(_LOCAL)
    port = str(values.pop("port", ""))
    return Local(**{"command": (), **values}, port=int(port) if port.isdecimal() else None)


def _reload(at: Value) -> Reload | None:
    if not isinstance(at.value, dict) or "signal" not in at.value:
        at.refuse("signal", "is missing", "add it, such as SIGHUP")
        return None
    return Reload(**{"signal": "", **at.read(_RELOAD)})


_STARTED = "service_started"
_CONDITIONS = {"any": "always", "none": "no"}
"""Restart policies of `deploy` and their names in `restart`."""

_RESTART = "no|always|unless-stopped|on-failure(:[0-9]+)?"
_LIMITS: Table = {"cpus": cast(float), "memory": cast(int), "pids": cast(int)}
_PLACEMENT: Table = {"constraints": cast(tuple), "preferences": None, "max_replicas_per_node": None}
_RESERVATIONS: Table = {"cpus": None, "memory": as_is, "devices": as_is, "generic_resources": None}
_RESTART_POLICY: Table = {"condition": as_is, "max_attempts": as_is, "delay": None, "window": None}
_UPDATE_CONFIG: Table = {
    "monitor": seconds,
    **dict.fromkeys(("parallelism", "delay", "failure_action", "max_failure_ratio", "order")),
}
_DEPLOY: Table = {
    "replicas": as_is,
    "placement": nested(_PLACEMENT),
    "resources": nested(
        {
            "limits": nested(_LIMITS),
            "reservations": nested(_RESERVATIONS),
        }
    ),
    "restart_policy": nested(_RESTART_POLICY),
    "update_config": nested(_UPDATE_CONFIG),
    **dict.fromkeys(("mode", "labels", "rollback_config", "endpoint_mode")),  # for a Swarm
}
_BUILD_SECRET: Table = dict.fromkeys(("source", "target"), as_is)  # BuildKit makes root its owner, whatever is declared
_BUILD: Table = {
    "context": as_is,
    "args": _pairs,
    "secrets": each(_build_secret),
    "ssh": _ssh,
    "additional_contexts": _additional_contexts,
    **dict.fromkeys(BUILD_OPTIONS | {"dockerfile", "dockerfile_inline", "target"}, as_is),
    **dict.fromkeys(("provenance", "sbom", "cache_to")),  # these do not change the image
}
_DEPENDENCY: Table = {
    "condition": only(_STARTED, SERVICE_HEALTHY, SERVICE_COMPLETED),
    "restart": as_is,
    "required": None,
}
_PORT: Table = {
    "target": as_is,
    "published": matching("[0-9]+(-[0-9]+)?", "write a port, such as 8000"),
    "host_ip": as_is,
    "protocol": only("tcp", "udp", "sctp"),
    **dict.fromkeys(("mode", "name", "app_protocol")),
}
_ENDPOINT: Table = {
    **dict.fromkeys(("aliases", "ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "driver_opts"), as_is),
    **dict.fromkeys(("priority", "gw_priority"), as_is),
}
_HEALTHCHECK: Table = {
    "test": cast(tuple),
    "interval": seconds,
    "timeout": seconds,
    "start_period": seconds,
    "retries": as_is,
    "start_interval": seconds,
    "disable": None,
}
_HOOK: Table = {
    "command": cast(tuple),
    "environment": _pairs,
    **dict.fromkeys(("user", "privileged", "working_dir"), as_is),
}
_LOGGING: Table = {"driver": as_is, "options": _pairs}
_LOCAL: Table = {
    "command": texts,
    "environment": text_mapping,
    "port": matching("[0-9]+", "write a port, such as 8000"),
    "healthcheck": texts,
}
_RELOAD: Table = {"signal": matching("SIG[A-Z0-9]+", "write a signal, such as SIGHUP"), "check": texts}
_SERVICE: Table = {
    **dict.fromkeys(KEYS, as_is),
    "image": as_is,
    "build": _build,
    "command": cast(tuple),
    "container_name": as_is,
    "environment": _pairs,
    "networks": _networks,
    "ports": each(_port),
    "volumes": each(volume_mount),
    "configs": each(file_mount("configs")),
    "secrets": each(file_mount("secrets")),
    "tmpfs": each(matching("/.*", "write an absolute path")),
    "depends_on": _depends_on,
    "scale": as_is,
    "deploy": _deploy,
    "cpus": cast(float),
    "mem_limit": cast(int),
    "pids_limit": cast(int),
    "platform": as_is,
    "pull_policy": only("missing", "if_not_present", "always", "never", "build"),
    "user": as_is,
    "init": as_is,
    "read_only": as_is,
    "cap_drop": cast(tuple),
    "security_opt": cast(tuple),
    "healthcheck": _healthcheck,
    "logging": lambda at: Logging(**at.read(_LOGGING)),
    "restart": matching(_RESTART, 'write "no", always, unless-stopped or on-failure'),
    "stop_grace_period": seconds,
    "x-local": _local,
    "x-reload": _reload,
    **dict.fromkeys(("attach", "develop", "profiles")),
    **dict.fromkeys(("pre_start", "x-release")),  # read by hooks.py
    **dict.fromkeys(("post_start", "pre_stop"), each(_hook)),
}

TABLES: Mapping[str, Table] = {
    "": _SERVICE,
    "configs": FILE,
    "depends_on": _DEPENDENCY,
    "deploy": _DEPLOY,
    "deploy.placement": _PLACEMENT,
    "deploy.resources.limits": _LIMITS,
    "deploy.resources.reservations": _RESERVATIONS,
    "deploy.restart_policy": _RESTART_POLICY,
    "deploy.update_config": _UPDATE_CONFIG,
    "healthcheck": _HEALTHCHECK,
    "logging": _LOGGING,
    "networks": _ENDPOINT,
    "ports": _PORT,
    "volumes": MOUNT,
    "volumes.bind": BIND,
    "volumes.tmpfs": TMPFS,
    "volumes.volume": VOLUME,
}
"""The keys of a service and of its nested mappings; the tests have an example and a change of each."""
