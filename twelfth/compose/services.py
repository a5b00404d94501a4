"""Compose's canonical model -> `Stack`: a line a key that is honoured; every other is refused by its full name.

The model is what `docker compose config` prints (https://docs.docker.com/reference/cli/docker/compose/config/): one
notation for each thing, checked by Compose, and everything that stands elsewhere resolved.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.compose.options import KEYS
from twelfth.compose.schema import Table, Value, as_is, cast, each, matching, nested, only, unchecked
from twelfth.errors import MisuseError
from twelfth.model.image_name import image_name
from twelfth.model.stack import (
    SERVICE_COMPLETED,
    SERVICE_HEALTHY,
    Build,
    BuildSecret,
    Healthcheck,
    Limits,
    Local,
    Logging,
    Mount,
    Network,
    Port,
    Reload,
    Service,
    Stack,
    Volume,
    as_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.compose.schema import Reader
    from twelfth.model.stack import Options, Pairs

_NAMES = {
    "cpus": "limits.cpus",
    "mem_limit": "limits.memory",
    "pids_limit": "limits.pids",
    "scale": "replicas",
    "stop_grace_period": "stop_grace",
    "x-local": "local",
    "x-release": "release_command",
    "x-reload": "reload",
}
"""What the model calls a key of a service, where that is not Compose's name for it."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9.]+)(ms|µs|ns|h|m|s)")

BUILD_OPTIONS = frozenset("cache_from extra_hosts labels network no_cache platforms pull shm_size tags".split())  # noqa: SIM905
"""Keys of a build that are the builder's to understand (engines/docker_api/images.py)."""


def stack(model: Mapping[str, Any], files: tuple[Path, ...]) -> Stack:
    """Return the stack that Compose's model of these files describes, what others depend on first, else by name.

    What is built has no release yet; `with_release` names it. Raise MisuseError with all that is not honoured, a line
    for each.
    """
    top = Value("", model, model, [])
    found = top.read(_TOP)
    if not found.get("services"):
        top.refuse("services", "has none that is enabled; declare one, or enable its profile in COMPOSE_PROFILES")
    if top.refusals:
        names = ", ".join(file.name for file in files)
        raise MisuseError("\n".join(f"{names}: {refusal}" for refusal in top.refusals))
    return Stack(
        project=found["name"],
        directory=files[0].parent,
        services=_in_start_order(found["services"]),
        networks=tuple(Network(name, **said) for name, said in found.get("networks", {}).items()),
        volumes=tuple(Volume(name, **said) for name, said in found.get("volumes", {}).items()),
        files=files,
        **_said_to_the_tool(found),
    )


def names(model: Mapping[str, Any], files: tuple[Path, ...]) -> Stack:
    """Return a stack with the names of services, networks and volumes, which is all that a run needs from the files.

    Unsupported keys are not refused, except in `x-` settings of this tool. A service without an image, such as one with
    a `provider`, has no containers and is left out.
    """
    top = Value("", {key: model.get(key) for key in _TO_THE_TOOL}, model, [])
    found = top.read(_TO_THE_TOOL)
    if top.refusals:
        raise MisuseError("\n".join(f"{files[0].name}: {refusal}" for refusal in top.refusals))
    all_declared = {name: each or {} for name, each in (model.get("services") or {}).items()}
    declared = {name: each for name, each in all_declared.items() if {"image", "build"} & each.keys()}
    services = {
        name: Service(
            name,
            _untagged(each.get("image"), model, name) if "build" in each else each["image"],
            build=Build(Path()) if "build" in each else None,
            depends_on=tuple(sorted(set(each.get("depends_on") or ()) & set(declared))),
            conditions=_conditions(each.get("depends_on") or {}),
            replicas=each.get("scale", (each.get("deploy") or {}).get("replicas", 1)),
            local=Local(()) if "x-local" in each else None,
            mounts=_inline_files(each, model),
        )
        for name, each in declared.items()
    }
    return Stack(
        model["name"],
        files[0].parent,
        _in_start_order(services),
        networks=tuple(Network(name, **said) for name, said in _named(model, "networks").items()),
        volumes=tuple(Volume(name, **said) for name, said in _named(model, "volumes").items()),
        files=files,
        **_said_to_the_tool(found),
    )


def _named(model: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the networks or volumes of a model, with their names and whether they are external."""
    declared = {key: each or {} for key, each in (model.get(kind) or {}).items()}
    return {
        key: _resource({name: each[name] for name in ("name", "external") if name in each}, f"{model['name']}_{key}")
        | {"options": None}
        for key, each in declared.items()
    }


def _inline_files(service: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[Mount, ...]:
    """Return the targets of configs and secrets without a file, which Compose copies into its containers."""
    entries = [(kind, home, entry) for kind, home in _HOMES.items() for entry in service.get(kind) or ()]
    declared = [
        (_target(home, entry), (model.get(kind) or {}).get(entry["source"]) or {}) for kind, home, entry in entries
    ]
    inline = [(target, each) for target, each in declared if not {"file", "external"} & each.keys()]
    return tuple(
        Mount("config", target, read_only=True, content=str(each.get("content", ""))) for target, each in inline
    )


def _target(home: str, entry: Mapping[str, Any]) -> str:
    return _clean(posixpath.join(home, entry.get("target") or entry["source"]))


def _in_start_order(services: Mapping[str, Service]) -> tuple[Service, ...]:
    sorter = TopologicalSorter({name: service.depends_on for name, service in services.items()})
    sorter.prepare()
    found: list[str] = []
    while ready := sorted(sorter.get_ready()):
        found += ready
        sorter.done(*ready)
    return tuple(services[name] for name in found)


def _service(name: str, at: Value) -> Service:
    read = {_NAMES.get(key, key): value for key, value in at.read(_SERVICE).items()}
    limits = {key.partition(".")[2]: read.pop(key) for key in [*read] if key.startswith("limits.")}
    found = read | read.pop("deploy", {})
    found["limits"] = Limits(**limits | found.get("limits", {}))
    found |= found.pop("depends_on", {})
    found["networks"], found["endpoints"] = found.pop("networks", ((), ()))
    tmpfs = (_tmpfs(each) for each in found.pop("tmpfs", ()))
    mounts = [*found.pop("volumes", ()), *found.pop("configs", ()), *found.pop("secrets", ()), *tmpfs]
    if "build" in found:  # its release takes the place of a tag
        found["build"] = replace(found["build"], tag=found.get("image", ""))
        found["image"] = _untagged(found.get("image"), at.model, name)
    options = {key: found.pop(key) for key in KEYS & found.keys()}
    return Service(**{"image": "", **found}, name=name, mounts=tuple(mounts), options=as_options(options))


def _untagged(image: str | None, model: Mapping[str, Any], service: str) -> str:
    """Return the name of an image that is built, which is Compose's where the file has none."""
    return image_name(image or f"{model.get('name')}-{service}").repository


def _build(at: Value) -> Build:
    found = at.read(_BUILD)
    context = found.pop("context", "")
    if not posixpath.isabs(context):
        at.refuse("context", f"is {context}, which twelfth does not follow; write a path")
    own = {key: found.pop(key) for key in ("args", "dockerfile", "target", "secrets") if key in found}
    return Build(Path(context), inline=found.pop("dockerfile_inline", ""), options=as_options(found), **own)


def _pairs(at: Value) -> Pairs:
    """Return names and values, without the variables that the operator has not set."""
    for name, below in at.below():
        if name.startswith("#"):  # where Compose puts keys that begin so
            below.refuse("", "stands for names that begin with x-, which no variable may for Compose; rename them")
    return tuple(sorted((name, str(value)) for name, value in at.value.items() if value is not None))


def _port(at: Value) -> Port:
    found = at.read(_PORT)
    first, _, last = str(found.get("published", "")).partition("-")
    protocol = found.get("protocol", "tcp")
    return Port(found["target"], int(first or 0), found.get("host_ip", ""), protocol, int(last or 0))


def _volume(at: Value) -> Mount:
    found = at.read(_MOUNT)
    kind = found["type"]
    options = as_options(found.get(kind) or {})
    return Mount(kind, _clean(found["target"]), found.get("source", ""), found.get("read_only", False), options=options)


def _tmpfs(text: str) -> Mount:
    target, _, options = text.partition(":")
    return Mount("tmpfs", _clean(target), options=as_options({"options": options}) if options else ())


def _file(kind: str) -> Reader:
    """Return a reader of a configuration file or secret of a service."""
    home = _HOMES[kind]

    def read(at: Value) -> Mount:
        found = at.read(_FILE)
        file, content = _declared_file(at, kind, found["source"])
        own = as_options({key: found[key] for key in ("uid", "gid", "mode") if key in found})
        return Mount(
            "config",
            _target(home, found),
            file,
            read_only=True,
            content=content,
            options=own,
        )

    return read


def _build_secret(at: Value) -> BuildSecret:
    found = at.read(_BUILD_SECRET)
    return BuildSecret(found.get("target") or found["source"], *_declared_file(at, "secrets", found["source"]))


def _declared_file(at: Value, kind: str, name: str) -> tuple[str, str | None]:
    """Return the path of a config or secret, or its content if it has no file."""
    declared = (at.model.get(kind) or {}).get(name) or {}
    if declared.get("external"):
        at.refuse("", "is external, which only Swarm supports; declare file, content or environment instead")
    if variable := declared.get("environment"):
        at.refuse("", f"is {name}, whose variable {variable} is not set; set it in the environment or in .env")
    return declared.get("file", ""), None if "file" in declared else declared.get("content", "")


def _networks(at: Value) -> tuple[tuple[str, ...], Options]:
    """Return the networks of a service, and what is said of it there."""
    settings = {name: below.read(_ENDPOINT) for name, below in at.below()}
    return tuple(settings), as_options({name: said for name, said in settings.items() if said})


def _depends_on(at: Value) -> dict[str, Any]:
    """Return what a service depends on; what is not needed counts only where it is enabled."""
    said = {name: below.read(_DEPENDENCY) for name, below in at.below() if name in at.model["services"]}
    return {
        "depends_on": tuple(said),
        "conditions": _conditions(said),
        "follows": tuple(sorted(name for name, each in said.items() if each.get("restart"))),
    }


def _conditions(said: Mapping[str, Any]) -> Pairs:
    """Return the condition of each dependency that is more than `service_started`."""
    conditions = {name: (each or {}).get("condition", _STARTED) for name, each in said.items()}
    return tuple(sorted((name, each) for name, each in conditions.items() if each != _STARTED))


def _clean(target: str) -> str:
    return "/" + posixpath.normpath(target).lstrip("/")


def _healthcheck(at: Value) -> Healthcheck:
    found = at.read(_HEALTHCHECK)
    if at.value.get("disable"):
        return Healthcheck(("NONE",))
    if "test" not in found:
        at.refuse("test", "has no command; write [CMD, program, ...], or remove the healthcheck")
    return Healthcheck(**{"test": (), **found})


def _seconds(at: Value) -> float:
    """Return the seconds of a duration as Go prints it, such as `1m30s`."""
    parts = _DURATION.findall(at.value)
    if "".join(map("".join, parts)) != at.value:
        at.refuse("", f"is {at.value}; write a duration such as 90s or 1m30s")
    return float(sum(round(float(amount) * _SECONDS[unit] * 10**9) for amount, unit in parts) / 10**9)


def _deploy(at: Value) -> dict[str, Any]:
    """Return what Compose takes of it outside of a Swarm, and where a Swarm may place it."""
    found = at.read(_DEPLOY)
    resources, policy = found.pop("resources", {}), found.pop("restart_policy", {})
    reserved, limits = resources.get("reservations", {}), resources.get("limits", {})
    reservations = {"mem_reservation": reserved.get("memory"), "gpus": reserved.get("devices")}
    if policy:
        condition = _CONDITIONS.get(policy.get("condition", "any"), policy.get("condition"))
        found["restart"] = f"{condition}:{policy['max_attempts']}" if "max_attempts" in policy else condition
    return {
        **found.pop("placement", {}),
        **found.pop("update_config", {}),
        **found,
        **({"limits": limits} if limits else {}),
        **{key: value for key, value in reservations.items() if value},
    }


def _local(at: Value) -> Local | None:
    """Return how a service runs without containers; Compose has not looked at what is under an `x-` key."""
    if not isinstance(at.value, dict) or "command" not in at.value:
        at.refuse("command", "is missing; add it")
        return None
    found = at.read(_LOCAL)
    port = str(found.pop("port", ""))
    return Local(**{"command": (), **found}, port=int(port) if port.isdecimal() else None)


def _reload(at: Value) -> Reload | None:
    if not isinstance(at.value, dict) or "signal" not in at.value:
        at.refuse("signal", "is missing; add it, such as SIGHUP")
        return None
    return Reload(**{"signal": "", **at.read(_RELOAD)})


def _texts(at: Value) -> tuple[str, ...]:
    if isinstance(at.value, list) and all(isinstance(text, str) for text in at.value):
        return tuple(at.value)
    at.refuse("", "must be a list of texts; write [program, argument, ...], and quote numbers")
    return ()


def _text_mapping(at: Value) -> Pairs:
    if not isinstance(at.value, dict):
        at.refuse("", "must be a mapping; write NAME: value")
        return ()
    for name, below in at.below():
        if not isinstance(below.value, str | int):
            below.refuse("", f"must be text; quote it, or write ${{{name}}} for the operator's own")
    return tuple(sorted((name, _shown(value)) for name, value in at.value.items()))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _declared(at: Value) -> dict[str, dict[str, Any]]:
    """Return the networks or volumes that the top level declares, by key, as the model has them."""
    found = {key: below.read(_RESOURCE) for key, below in at.below()}
    return {key: _resource(said, f"{at.model.get('name')}_{key}") for key, said in found.items()}


def _resource(said: dict[str, Any], usual: str) -> dict[str, Any]:
    name = said.pop("name", usual)
    own: dict[str, Any] = {key: bool(said.pop(key)) for key in ("internal", "external") if key in said}
    return {**own, "known_as": name if name != usual or own.get("external") else "", "options": as_options(said)}


def _said_to_the_tool(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the model that are said under the `x-` keys of the top level."""
    said = found.get("x-swarm", {}) | found.get("x-twelfth", {})
    return {"ingress" if key in _INGRESS else key.replace("-", "_"): value for key, value in said.items()}


def _service_name(at: Value) -> str:
    names = list(at.model["services"])
    if at.value not in names:
        at.refuse("", f"is {at.value}, and there is no such service; write one of {', '.join(names)}")
    return str(at.value)


def _max_replicas(at: Value) -> tuple[tuple[str, int], ...]:
    if not isinstance(at.value, dict) or not all(isinstance(most, int) for most in at.value.values()):
        at.refuse("", "must be a mapping; write SERVICE: NUMBER")
        return ()
    for name, below in at.below():
        if name not in at.model["services"]:
            below.refuse("", f"is of no service; write one of {', '.join(at.model['services'])}")
    return tuple(sorted(at.value.items()))


_HOMES = {"configs": "/", "secrets": "/run/secrets"}
"""The directories of configs and secrets whose target is missing or relative."""

_STARTED = "service_started"
_CONDITIONS = {"any": "always", "none": "no"}
"""What a restart policy of `deploy` is called where a service has one."""

_RESTART = "no|always|unless-stopped|on-failure(:[0-9]+)?"
_LIMITS: Table = {"cpus": cast(float), "memory": cast(int), "pids": cast(int)}
_PLACEMENT: Table = {"constraints": cast(tuple), "preferences": None, "max_replicas_per_node": None}
_RESERVATIONS: Table = {"cpus": None, "memory": as_is, "devices": as_is, "generic_resources": None}
_RESTART_POLICY: Table = {"condition": as_is, "max_attempts": as_is, "delay": None, "window": None}
_UPDATE_CONFIG: Table = {
    "monitor": _seconds,
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
_BUILD_SECRET: Table = dict.fromkeys(("source", "target"), as_is)  # BuildKit gives it to root, whatever is declared
_BUILD: Table = {
    "context": as_is,
    "args": _pairs,
    "secrets": each(_build_secret),
    **dict.fromkeys(BUILD_OPTIONS | {"dockerfile", "dockerfile_inline", "target"}, as_is),
    **dict.fromkeys(("provenance", "sbom", "cache_to")),  # nothing of these is in the image
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
_BIND: Table = dict.fromkeys(("propagation", "create_host_path", "selinux", "recursive"), as_is)
_VOLUME: Table = dict.fromkeys(("nocopy", "subpath", "labels"), as_is)
_TMPFS: Table = dict.fromkeys(("size", "mode"), as_is)
_MOUNT: Table = {
    "type": only("volume", "bind", "tmpfs"),
    "source": as_is,
    "target": matching("/.*", "write an absolute path"),
    "read_only": as_is,
    "bind": nested(_BIND),
    "volume": nested(_VOLUME),
    "tmpfs": nested(_TMPFS),
    "consistency": None,
}
_FILE: Table = {
    **dict.fromkeys(("source", "target", "mode"), as_is),
    **dict.fromkeys(("uid", "gid"), matching("[0-9]+", "write a number, such as 1000")),
}
_ENDPOINT: Table = {
    **dict.fromkeys(("aliases", "ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "driver_opts"), as_is),
    **dict.fromkeys(("priority", "gw_priority"), as_is),
}
_HEALTHCHECK: Table = {
    "test": cast(tuple),
    "interval": _seconds,
    "timeout": _seconds,
    "start_period": _seconds,
    "retries": as_is,
    "start_interval": _seconds,
    "disable": None,
}
_LOGGING: Table = {"driver": as_is, "options": _pairs}
_LOCAL: Table = {
    "command": _texts,
    "environment": _text_mapping,
    "port": matching("[0-9]+", "write a port, such as 8000"),
    "healthcheck": _texts,
}
_RELOAD: Table = {"signal": matching("SIG[A-Z0-9]+", "write a signal, such as SIGHUP"), "check": _texts}
_SERVICE: Table = {
    **dict.fromkeys(KEYS, as_is),
    "image": as_is,
    "build": _build,
    "command": cast(tuple),
    "container_name": as_is,
    "environment": _pairs,
    "networks": _networks,
    "ports": each(_port),
    "volumes": each(_volume),
    "configs": each(_file("configs")),
    "secrets": each(_file("secrets")),
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
    "stop_grace_period": _seconds,
    "x-local": _local,
    "x-release": _texts,
    "x-reload": _reload,
    **dict.fromkeys(("attach", "develop", "profiles")),
}
TABLES: Mapping[str, Table] = {
    "": _SERVICE,
    "configs": _FILE,
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
    "volumes": _MOUNT,
    "volumes.bind": _BIND,
    "volumes.tmpfs": _TMPFS,
    "volumes.volume": _VOLUME,
}
"""The keys of a service and of its nested mappings; each has an example and a change in the tests."""

_RESOURCE: Table = dict.fromkeys(
    (
        "name",
        "internal",
        "external",
        "driver",
        "driver_opts",
        "labels",
        "ipam",
        "attachable",
        "enable_ipv4",
        "enable_ipv6",
    ),
    as_is,
)
_INGRESS = ("ingress", "door")
"""The key of the service that gets the requests of clients, and its former name."""

_TO_THE_TOOL: Table = {
    "x-twelfth": unchecked(
        {"runs-from": _service_name, **dict.fromkeys(_INGRESS, _service_name), "max-replicas": _max_replicas},
        "runs-from: SERVICE, ingress: SERVICE, max-replicas: {SERVICE: NUMBER}",
    ),
    "x-swarm": unchecked({"nodes": _text_mapping}, "nodes: {NAME: tcp://HOST:2375}"),
}
_TOP: Table = {
    **_TO_THE_TOOL,
    "name": as_is,
    "services": lambda at: {name: _service(name, below) for name, below in at.below()},
    "networks": _declared,
    "volumes": _declared,
    **dict.fromkeys(("configs", "secrets")),  # read with the services that have them
}
