"""Compose's canonical model -> `Stack`: a line a key that is honoured; every other is refused by its full name.

The model is what `docker compose config` prints (https://docs.docker.com/reference/cli/docker/compose/config/): one
notation for each thing, checked by Compose, and everything that stands elsewhere resolved.
"""

from __future__ import annotations

import posixpath
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.compose.reader import Table, Value, as_is, cast, each, keys, matching, nested, only
from twelfth.errors import MisuseError
from twelfth.model.stack import (
    Build,
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
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.compose.reader import Reader
    from twelfth.model.stack import Pairs

_NAMES = {"stop_grace_period": "stop_grace", "x-local": "local", "x-release": "release_command", "x-reload": "reload"}
"""What the model calls a key of a service, where that is not Compose's name for it."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9.]+)(ms|µs|ns|h|m|s)")
_TAG = re.compile(r"(:[^/:@]+)?(@.+)?$")


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
        volumes=tuple(map(Volume, found.get("volumes", {}))),
        files=files,
        **_said_to_the_tool(found),
    )


def names(model: Mapping[str, Any], files: tuple[Path, ...]) -> Stack:
    """Return what the files name, which is all that a run needs of them: services without how they run.

    Nothing that is not honoured is refused, but for what is said to this tool.
    """
    table: Table = {"x-twelfth": _tool, "x-swarm": _swarm}
    top = Value("", {key: model.get(key) for key in table}, model, [])
    said = top.read(table)
    if top.refusals:
        raise MisuseError("\n".join(f"{files[0].name}: {refusal}" for refusal in top.refusals))
    declared = {name: each or {} for name, each in (model.get("services") or {}).items()}
    services = {
        name: Service(
            name,
            _untagged(each.get("image"), model, name) if "build" in each else each["image"],
            build=Build(Path()) if "build" in each else None,
            depends_on=tuple(set(each.get("depends_on") or ()) & set(declared)),
            replicas=(each.get("deploy") or {}).get("replicas", 1),
            local=Local(()) if "x-local" in each else None,
        )
        for name, each in declared.items()
    }
    return Stack(model["name"], files[0].parent, _in_start_order(services), files=files, **_said_to_the_tool(said))


def _in_start_order(services: Mapping[str, Service]) -> tuple[Service, ...]:
    sorter = TopologicalSorter({name: service.depends_on for name, service in services.items()})
    sorter.prepare()
    found: list[str] = []
    while ready := sorted(sorter.get_ready()):
        found += ready
        sorter.done(*ready)
    return tuple(services[name] for name in found)


def _service(name: str, at: Value) -> Service:
    found = {_NAMES.get(key, key): value for key, value in at.read(_SERVICE).items()}
    found |= found.pop("deploy", {})
    tmpfs = (Mount("tmpfs", _clean(target)) for target in found.pop("tmpfs", ()))
    mounts = [*found.pop("volumes", ()), *found.pop("configs", ()), *tmpfs]
    if "build" in found:  # its release takes the place of a tag
        found["image"] = _untagged(found.get("image"), at.model, name)
    return Service(**{"image": "", **found}, name=name, mounts=tuple(mounts))


def _untagged(image: str | None, model: Mapping[str, Any], service: str) -> str:
    """Return the name of an image that is built, which is Compose's where the file has none."""
    return _TAG.sub("", image or f"{model.get('name')}-{service}")


def _build(at: Value) -> Build:
    found = at.read(_BUILD)
    context = found.get("context", "")
    if not posixpath.isabs(context):
        at.refuse("context", f"is {context}, which twelfth does not follow; write a path")
    return Build(Path(context), found.get("args", ()))


def _pairs(at: Value) -> Pairs:
    """Return names and values, without the variables that the operator has not set."""
    for name, below in at.below():
        if name.startswith("#"):  # where Compose puts keys that begin so
            below.refuse("", "stands for names that begin with x-, which no variable may for Compose; rename them")
    return tuple(sorted((name, str(value)) for name, value in at.value.items() if value is not None))


def _port(at: Value) -> Port:
    found = at.read(_PORT)
    published = str(found.get("published", ""))
    if not published.isdecimal() or not int(published):
        at.refuse("published", f"is {published or 'missing'}; publish one port, such as 8000:{found['target']}")
        published = "0"
    return Port(found["target"], int(published), found.get("host_ip", ""))


def _volume(at: Value) -> Mount:
    found = at.read(_MOUNT)
    if found["type"] == "volume" and "source" not in found:
        at.refuse("source", "is missing; name a volume that stands under volumes")
    return Mount(found["type"], _clean(found["target"]), found.get("source", ""), found.get("read_only", False))


def _config(at: Value) -> Mount:
    found = at.read(_CONFIG)
    declared = at.model["configs"][found["source"]]
    target = found.get("target") or found["source"]
    return Mount("config", _clean(f"/{target}"), declared.get("file", ""), read_only=True)


def _clean(target: str) -> str:
    return "/" + posixpath.normpath(target).lstrip("/")


def _healthcheck(at: Value) -> Healthcheck:
    found = at.read(_HEALTHCHECK)
    if found.get("test", ("NONE",))[:1] == ("NONE",) and "disable" not in at.value:
        at.refuse("test", "has no command; write [CMD, program, ...], or remove the healthcheck")
    return Healthcheck(**{"test": (), **found})


def _seconds(at: Value) -> float:
    """Return the seconds of a duration as Go prints it, such as `1m30s`."""
    parts = _DURATION.findall(at.value)
    if "".join(map("".join, parts)) != at.value:
        at.refuse("", f"is {at.value}; write a duration such as 90s or 1m30s")
    return float(sum(round(float(amount) * _SECONDS[unit] * 10**9) for amount, unit in parts) / 10**9)


def _deploy(at: Value) -> dict[str, Any]:
    found = at.read(_DEPLOY)
    limits = found.pop("resources", {}).get("limits", {})
    return {**found.pop("placement", {}), **found, "limits": Limits(**limits)}


def _logging(at: Value) -> Logging:
    return Logging(**at.read(_LOGGING))


def _local(at: Value) -> Local | None:
    """Return how a service runs without containers; Compose has not looked at what is under an `x-` key."""
    if not isinstance(at.value, dict) or "command" not in at.value:
        at.refuse("command", "is missing; add it")
        return None
    found = at.read(_LOCAL)
    port = str(found.pop("port", ""))
    return Local(**{"command": (), **found}, port=int(port) if port.isdecimal() else None)


def _swarm(at: Value) -> dict[str, Any]:
    if not isinstance(at.value, dict):
        at.refuse("", "must be a mapping; write nodes: {NAME: tcp://HOST:2375}")
        return {}
    return at.read({"nodes": _text_mapping})


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


def _declared(table: Table) -> Reader:
    """Return a reader of what the top level declares, by key; how the engine names it is not for the file to say."""

    def read(at: Value) -> dict[str, dict[str, Any]]:
        for key, below in at.below():
            usual = f"{at.model.get('name')}_{key}"
            if "external" not in below.value and below.value.get("name", usual) != usual:
                below.refuse("name", f"is {below.value['name']}, which is not honoured by twelfth; remove it")
        return {key: below.read(table) for key, below in at.below()}

    return read


def _said_to_the_tool(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"nodes": found.get("x-swarm", {}).get("nodes", ()), **found.get("x-twelfth", {})}


def _tool(at: Value) -> dict[str, Any]:
    """Return what is said to this tool; Compose has not looked at what is under an `x-` key."""
    if not isinstance(at.value, dict):
        at.refuse("", "must be a mapping; write runs-from: SERVICE, door: SERVICE, max-replicas: {SERVICE: NUMBER}")
        return {}
    return {key.replace("-", "_"): value for key, value in at.read(_TOOL).items()}


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


_RESTART = "no|always|unless-stopped|on-failure(:[0-9]+)?"
_LIMITS: Table = {"cpus": cast(float), "memory": cast(int), "pids": cast(int)}
_PLACEMENT: Table = {"constraints": cast(tuple)}
_DEPLOY: Table = {"replicas": as_is, "placement": nested(_PLACEMENT), "resources": nested({"limits": nested(_LIMITS)})}
_BUILD: Table = {"context": as_is, "args": _pairs, "dockerfile": only("Dockerfile")}
_DEPENDENCY: Table = {"condition": only("service_started"), "required": None}
_PORT: Table = {
    "target": as_is,
    "published": as_is,
    "host_ip": as_is,
    "protocol": only("tcp"),
    "mode": only("ingress"),
}
_MOUNT: Table = {
    "type": only("volume", "tmpfs", instead="use a named volume, tmpfs or configs"),
    "source": as_is,
    "target": matching("/.*", "write an absolute path"),
    "read_only": as_is,
    "bind": None,
}
_CONFIG: Table = {"source": as_is, "target": as_is}
_HEALTHCHECK: Table = {
    "test": cast(tuple),
    "interval": _seconds,
    "timeout": _seconds,
    "start_period": _seconds,
    "retries": as_is,
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
    "image": as_is,
    "build": _build,
    "command": cast(tuple),
    "environment": _pairs,
    "networks": keys({}),
    "ports": each(_port),
    "volumes": each(_volume),
    "configs": each(_config),
    "tmpfs": each(matching("/[^:]*", "write an absolute path without options")),
    "depends_on": keys(_DEPENDENCY),
    "deploy": _deploy,
    "user": as_is,
    "init": as_is,
    "read_only": as_is,
    "cap_drop": cast(tuple),
    "security_opt": cast(tuple),
    "healthcheck": _healthcheck,
    "logging": _logging,
    "restart": matching(_RESTART, 'write "no", always, unless-stopped or on-failure'),
    "stop_grace_period": _seconds,
    "profiles": None,
    "x-local": _local,
    "x-release": _texts,
    "x-reload": _reload,
}
_TOOL: Table = {"runs-from": _service_name, "door": _service_name, "max-replicas": _max_replicas}
_TOP: Table = {
    "x-swarm": _swarm,
    "name": as_is,
    "services": lambda at: {name: _service(name, below) for name, below in at.below()},
    "networks": _declared({"name": None, "internal": as_is}),
    "volumes": _declared({"name": None}),
    "configs": _declared({"name": None, "file": as_is}),
    "x-twelfth": _tool,
}
