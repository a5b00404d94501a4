"""Convert Compose's canonical model to a `Stack`; each supported key has a line here, all others are refused.

The model is the output of `docker compose config` (https://docs.docker.com/reference/cli/docker/compose/config/): one
notation for each thing, checked by Compose, with variables, `extends` and includes resolved.
"""

from __future__ import annotations

import functools
import posixpath
import re
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.compose import hooks, proxy
from twelfth.compose.container_keys import KEYS
from twelfth.compose.notify import notify
from twelfth.compose.schema import (
    Table,
    Value,
    as_is,
    cast,
    each,
    matching,
    nested,
    number,
    only,
    service_name,
    texts,
    unchecked,
)
from twelfth.errors import MisuseError
from twelfth.model.hook import Hook
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
    Proxy,
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
    "x-reload": "reload",
}
"""The fields of `Service` whose names differ from Compose's keys."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9.]+)(ms|µs|ns|h|m|s)")

BUILD_OPTIONS = frozenset("cache_from extra_hosts labels network no_cache platforms pull shm_size tags".split())  # noqa: SIM905
"""Keys of a build that are passed to the builder (engines/docker_api/images.py)."""


def stack(model: Mapping[str, Any], files: tuple[Path, ...]) -> Stack:
    """Convert Compose's model of these files to a stack, dependencies first, else by name.

    Built services have no release yet; `with_release` adds it. Raises MisuseError with one line for each unsupported
    key.
    """
    top = Value("", model, model, [])
    values = top.read(_TOP)
    if not values.get("services"):
        top.refuse("services", "has no enabled service", "declare one, or enable its profile in COMPOSE_PROFILES")
    services = _with_shared(top, values, files[0].parent)
    if top.refusals:
        names = ", ".join(file.name for file in files)
        raise MisuseError("\n".join(f"{names}: {refusal}" for refusal in top.refusals))
    declared = Stack(
        project=values["name"],
        directory=files[0].parent,
        services=_in_start_order(services),
        networks=tuple(Network(name, **fields) for name, fields in values.get("networks", {}).items()),
        volumes=tuple(Volume(name, **fields) for name, fields in values.get("volumes", {}).items()),
        files=files,
        **_extension_values(values),
    )
    if why := proxy.why_refused(declared):
        raise MisuseError(f"{files[0].name}: x-twelfth.proxy: {why}")
    return proxy.with_proxy(declared)


def _with_shared(top: Value, values: Mapping[str, Any], directory: Path) -> dict[str, Service]:
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


def names(model: Mapping[str, Any], files: tuple[Path, ...] = (Path("compose.yaml"),)) -> Stack:
    """Return a stack with the names of services, networks and volumes, which is all a run needs from the files.

    Unsupported keys are not refused, except in `x-` settings of this tool. A service without an image, such as one with
    a `provider`, has no containers and is left out.
    """
    top = Value("", {key: model.get(key) for key in _EXTENSIONS}, model, [])
    values = top.read(_EXTENSIONS)
    if top.refusals:
        raise MisuseError("\n".join(f"{files[0].name}: {refusal}" for refusal in top.refusals))
    all_declared = {name: keys or {} for name, keys in (model.get("services") or {}).items()}
    declared = {name: keys for name, keys in all_declared.items() if {"image", "build"} & keys.keys()}
    services = {
        name: Service(
            name,
            _untagged(keys.get("image"), model, name) if "build" in keys else keys["image"],
            build=Build(Path()) if "build" in keys else None,
            depends_on=tuple(sorted(set(keys.get("depends_on") or ()) & set(declared))),
            conditions=_conditions(keys.get("depends_on") or {}),
            replicas=keys.get("scale", (keys.get("deploy") or {}).get("replicas", 1)),
            local=Local(()) if "x-local" in keys else None,
            mounts=_inline_files(keys, model),
        )
        for name, keys in declared.items()
    }
    return Stack(
        model["name"],
        files[0].parent,
        _in_start_order(services),
        networks=tuple(Network(name, **fields) for name, fields in _named(model, "networks").items()),
        volumes=tuple(Volume(name, **fields) for name, fields in _named(model, "volumes").items()),
        files=files,
        **_extension_values(values),
    )


def _named(model: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the networks or volumes of a model: their names and whether they are external."""
    declared = {key: keys or {} for key, keys in (model.get(kind) or {}).items()}
    return {
        key: _resource({name: keys[name] for name in ("name", "external") if name in keys}, f"{model['name']}_{key}")
        | {"options": None}
        for key, keys in declared.items()
    }


def _inline_files(service: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[Mount, ...]:
    """Return configs and secrets without a file, which Compose copies into containers."""
    entries = [(kind, home, entry) for kind, home in _HOMES.items() for entry in service.get(kind) or ()]
    declared = [
        (_target(home, entry), (model.get(kind) or {}).get(entry["source"]) or {}) for kind, home, entry in entries
    ]
    inline = [(target, keys) for target, keys in declared if not {"file", "external"} & keys.keys()]
    return tuple(
        Mount("config", target, read_only=True, content=str(keys.get("content", ""))) for target, keys in inline
    )


def _target(home: str, entry: Mapping[str, Any]) -> str:
    return _clean(posixpath.join(home, entry.get("target") or entry["source"]))


def _in_start_order(services: Mapping[str, Service]) -> tuple[Service, ...]:
    sorter = TopologicalSorter({name: service.depends_on for name, service in services.items()})
    sorter.prepare()
    order: list[str] = []
    while ready := sorted(sorter.get_ready()):
        order += ready
        sorter.done(*ready)
    return tuple(services[name] for name in order)


def _service(name: str, at: Value) -> Service:
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
    tmpfs = (_tmpfs(text) for text in fields.pop("tmpfs", ()))
    mounts = [*fields.pop("volumes", ()), *fields.pop("configs", ()), *fields.pop("secrets", ()), *tmpfs]
    if "build" in fields:  # its release replaces the tag
        fields["build"] = replace(fields["build"], tag=fields.get("image", ""))
        fields["image"] = _untagged(fields.get("image"), at.model, name)
    options = {key: fields.pop(key) for key in KEYS & fields.keys()}
    return Service(**{"image": "", **fields}, name=name, mounts=tuple(mounts), options=as_options(options))


def _untagged(image: str | None, model: Mapping[str, Any], service: str) -> str:
    """Return the name of a built image, without a tag; Compose's name if the file has none."""
    return image_name(image or f"{model.get('name')}-{service}").repository


def _build(at: Value) -> Build:
    options = at.read(_BUILD)
    context = options.pop("context", "")
    if not posixpath.isabs(context):
        at.refuse("context", f"is {context}, which is unsupported", "write a path")
    fields = {key: options.pop(key) for key in ("args", "dockerfile", "target", "secrets") if key in options}
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


def _volume(at: Value) -> Mount:
    values = at.read(_MOUNT)
    kind = values["type"]
    options = as_options(values.get(kind) or {})
    return Mount(
        kind, _clean(values["target"]), values.get("source", ""), values.get("read_only", False), options=options
    )


def _tmpfs(text: str) -> Mount:
    target, _, options = text.partition(":")
    return Mount("tmpfs", _clean(target), options=as_options({"options": options}) if options else ())


def _file(kind: str) -> Reader:
    """Return a reader of a configuration file or secret of a service."""
    home = _HOMES[kind]

    def read(at: Value) -> Mount:
        values = at.read(_FILE)
        file, content = _declared_file(at, kind, values["source"])
        options = as_options({key: values[key] for key in ("uid", "gid", "mode") if key in values})
        return Mount(
            "config",
            _target(home, values),
            file,
            read_only=True,
            content=content,
            options=options,
        )

    return read


def _build_secret(at: Value) -> BuildSecret:
    values = at.read(_BUILD_SECRET)
    return BuildSecret(values.get("target") or values["source"], *_declared_file(at, "secrets", values["source"]))


def _declared_file(at: Value, kind: str, name: str) -> tuple[str, str | None]:
    """Return the path of a config or secret, and its content if it has no file."""
    declared = (at.model.get(kind) or {}).get(name) or {}
    if declared.get("external"):
        at.refuse("", "is external, which only Swarm supports", "declare file, content or environment instead")
    if variable := declared.get("environment"):
        at.refuse("", f"is {name}, whose variable {variable} is not set", "set it in the environment or in .env")
    return declared.get("file", ""), None if "file" in declared else declared.get("content", "")


def _networks(at: Value) -> tuple[tuple[str, ...], Options]:
    settings = {name: below.read(_ENDPOINT) for name, below in at.below()}
    return tuple(settings), as_options({name: options for name, options in settings.items() if options})


def _depends_on(at: Value) -> dict[str, Any]:
    """Return the dependencies of a service; an optional one (`required: false`) only if it is enabled."""
    dependencies = {name: below.read(_DEPENDENCY) for name, below in at.below() if name in at.model["services"]}
    return {
        "depends_on": tuple(dependencies),
        "conditions": _conditions(dependencies),
        "follows": tuple(sorted(name for name, keys in dependencies.items() if keys.get("restart"))),
    }


def _conditions(dependencies: Mapping[str, Any]) -> Pairs:
    """Return the conditions other than `service_started`."""
    conditions = {name: (keys or {}).get("condition", _STARTED) for name, keys in dependencies.items()}
    return tuple(sorted((name, condition) for name, condition in conditions.items() if condition != _STARTED))


def _clean(target: str) -> str:
    return "/" + posixpath.normpath(target).lstrip("/")


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


def _seconds(at: Value) -> float:
    """Read a duration as Go prints it, such as `1m30s`."""
    parts = _DURATION.findall(at.value)
    if "".join(map("".join, parts)) != at.value:
        at.refuse("", f"is {at.value}", "write a duration such as 90s or 1m30s")
    return float(sum(round(float(amount) * _SECONDS[unit] * 10**9) for amount, unit in parts) / 10**9)


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


def _text_mapping(at: Value) -> Pairs:
    if not isinstance(at.value, dict):
        at.refuse("", "must be a mapping", "write NAME: value")
        return ()
    for name, below in at.below():
        if not isinstance(below.value, str | int):
            below.refuse("", "must be text", f"quote it, or write ${{{name}}} for the operator's own")
    return tuple(sorted((name, _shown(value)) for name, value in at.value.items()))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _declared(at: Value) -> dict[str, dict[str, Any]]:
    """Read the networks or volumes of the top level, by key."""
    resources = {key: below.read(_RESOURCE) for key, below in at.below()}
    return {key: _resource(options, f"{at.model.get('name')}_{key}") for key, options in resources.items()}


def _resource(options: dict[str, Any], default: str) -> dict[str, Any]:
    name = options.pop("name", default)
    fields: dict[str, Any] = {key: bool(options.pop(key)) for key in ("internal", "external") if key in options}
    return {
        **fields,
        "known_as": name if name != default or fields.get("external") else "",
        "options": as_options(options),
    }


def _extension_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the stack from the `x-` keys of the top level."""
    settings = values.get("x-swarm", {}) | values.get("x-twelfth", {})
    return {"ingress" if key in _INGRESS else key.replace("-", "_"): value for key, value in settings.items()}


def _drain(at: Value) -> float:
    return _seconds(replace(at, value=str(at.value)))


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


_HOMES = {"configs": "/", "secrets": "/run/secrets"}
"""The directories of configs and secrets with a missing or relative target."""

_STARTED = "service_started"
_CONDITIONS = {"any": "always", "none": "no"}
"""Restart policies of `deploy` and their names in `restart`."""

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
_BUILD_SECRET: Table = dict.fromkeys(("source", "target"), as_is)  # BuildKit makes root its owner, whatever is declared
_BUILD: Table = {
    "context": as_is,
    "args": _pairs,
    "secrets": each(_build_secret),
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
_HOOK: Table = {
    "command": cast(tuple),
    "environment": _pairs,
    **dict.fromkeys(("user", "privileged", "working_dir"), as_is),
}
_LOGGING: Table = {"driver": as_is, "options": _pairs}
_LOCAL: Table = {
    "command": texts,
    "environment": _text_mapping,
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
    "x-reload": _reload,
    **dict.fromkeys(("attach", "develop", "profiles")),
    **dict.fromkeys(("pre_start", "x-release")),  # read by hooks.py
    **dict.fromkeys(("post_start", "pre_stop"), each(_hook)),
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
"""The keys of a service and of its nested mappings; the tests have an example and a change of each."""

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

_PROXY: Table = {
    "service": service_name,
    "port": number,
    "drain": _drain,
    "health": matching("/[^ ]*", "write a path, such as /healthz"),
    "image": as_is,
}

_EXTENSIONS: Table = {
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
    "x-swarm": unchecked({"nodes": _text_mapping}, "nodes: {NAME: tcp://HOST:2375}"),
}
_TOP: Table = {
    **_EXTENSIONS,
    "name": as_is,
    "services": lambda at: {name: _service(name, below) for name, below in at.below()},
    "networks": _declared,
    "volumes": _declared,
    **dict.fromkeys(("configs", "secrets")),  # read with the services that have them
    "jobs": None,  # read by jobs.py
}
