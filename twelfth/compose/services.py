"""Compose's canonical model -> `Stack`: a line a key that is honoured; every other is refused by its full name.

The model is what `docker compose config` prints (https://docs.docker.com/reference/cli/docker/compose/config/): one
notation for each thing, checked by Compose, and everything that stands elsewhere resolved.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.errors import MisuseError
from twelfth.model.stack import Build, Healthcheck, Limits, Local, Mount, Network, Port, Service, Stack, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twelfth.model.stack import Pairs

_INSTEAD = {
    "container_name": "remove it, replicas are numbered",
    "cpus": "write deploy.resources.limits.cpus",
    "entrypoint": "put the program first in command",
    "external": "remove it, a stack has its own",
    "mem_limit": "write deploy.resources.limits.memory",
    "pids_limit": "write deploy.resources.limits.pids",
    "scale": "write deploy.replicas",
    "secrets": "write configs, or a variable under environment",
}
"""What to write instead of a key that is not honoured."""

_NAMES = {"stop_grace_period": "stop_grace", "x-local": "local", "x-release": "release_command"}
"""What the model calls a key, where that is not Compose's name for it."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9.]+)(ms|µs|ns|h|m|s)")
_TAG = re.compile(r"(:[^/:@]+)?(@.+)?$")

_Reader = Callable[["_Value"], Any]
_Table = Mapping[str, _Reader | None]
"""The keys that are honoured, and what reads each; None for one that says nothing more."""


def stack(model: Mapping[str, Any], files: tuple[Path, ...]) -> Stack:
    """Return the stack that Compose's model of these files describes, what others depend on first, else by name.

    What is built has no release yet; `with_release` names it. Raise MisuseError with all that is not honoured, a line
    for each.
    """
    top = _Value("", model, model, [])
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
    )


def _in_start_order(services: Mapping[str, Service]) -> tuple[Service, ...]:
    sorter = TopologicalSorter({name: service.depends_on for name, service in services.items()})
    sorter.prepare()
    found: list[str] = []
    while ready := sorted(sorter.get_ready()):
        found += ready
        sorter.done(*ready)
    return tuple(services[name] for name in found)


@dataclass(frozen=True)
class _Value:
    """A value, the full name of its key, the whole model, and where the refusals are collected."""

    path: str
    value: Any
    model: Mapping[str, Any]
    refusals: list[str]

    def refuse(self, key: str, why: str) -> None:
        """Add that a key of this value, or this value itself where the key is empty, is not honoured."""
        self.refusals.append(f"{'.'.join(filter(None, (self.path, key)))} {why}")

    def below(self) -> Iterator[tuple[str, _Value]]:
        """Return what a mapping holds, by key."""
        for key, value in (self.value or {}).items():
            yield key, _Value(f"{self.path}.{key}".lstrip("."), value, self.model, self.refusals)

    def items(self) -> Iterator[_Value]:
        """Return what a list holds."""
        for index, value in enumerate(self.value):
            yield _Value(f"{self.path}[{index}]", value, self.model, self.refusals)

    def read(self, table: _Table) -> dict[str, Any]:
        """Return what the table makes of each key that is set, by the model's name for it; refuse any other key."""
        found = {}
        for key, below in self.below():
            if key not in table:
                below.refuse_unknown(key)
            elif below.value is not None and (reader := table[key]):
                found[_NAMES.get(key, key)] = reader(below)
        return found

    def refuse_unknown(self, key: str) -> None:
        """Refuse a key that is not honoured, unless it says nothing."""
        if not key.startswith("x-") and self.value not in (None, {}, []):
            self.refuse("", f"is not honoured by twelfth; {_INSTEAD.get(key, 'remove it')}")


def _same(at: _Value) -> object:
    return at.value


def _as(kind: Callable[[Any], object]) -> _Reader:
    return lambda at: kind(at.value)


def _nested(table: _Table) -> _Reader:
    return lambda at: at.read(table)


def _each(reader: _Reader) -> _Reader:
    return lambda at: tuple(map(reader, at.items()))


def _keys(table: _Table) -> _Reader:
    """Return a reader of a mapping of which the keys count; what each holds says nothing more than the table has."""
    return lambda at: tuple(name for name, below in at.below() if below.read(table) is not None)


def _only(*accepted: str, instead: str = "") -> _Reader:
    """Return a reader of a key that may have only these values."""

    def read(at: _Value) -> object:
        if at.value not in accepted:
            at.refuse("", f"is {at.value}, which is not honoured by twelfth; {instead or f'write {accepted[0]}'}")
        return at.value

    return read


def _matching(pattern: str, instead: str) -> _Reader:
    """Return a reader of a key whose value has to match a pattern as a whole."""

    def read(at: _Value) -> object:
        if not re.fullmatch(pattern, str(at.value)):
            at.refuse("", f"is {at.value}; {instead}")
        return at.value

    return read


def _service(name: str, at: _Value) -> Service:
    found = at.read(_SERVICE)
    found |= found.pop("deploy", {})
    tmpfs = (Mount("tmpfs", _clean(target)) for target in found.pop("tmpfs", ()))
    mounts = [*found.pop("volumes", ()), *found.pop("configs", ()), *tmpfs]
    if "build" in found:  # its release takes the place of a tag
        found["image"] = _TAG.sub("", found.get("image") or f"{at.model.get('name')}-{name}")
    return Service(**{"image": "", **found}, name=name, mounts=tuple(mounts))


def _build(at: _Value) -> Build:
    found = at.read(_BUILD)
    context = found.get("context", "")
    if not posixpath.isabs(context):
        at.refuse("context", f"is {context}, which twelfth does not follow; write a path")
    return Build(Path(context), found.get("args", ()))


def _pairs(at: _Value) -> Pairs:
    """Return names and values, without the variables that the operator has not set."""
    for name, below in at.below():
        if name.startswith("#"):  # where Compose puts keys that begin so
            below.refuse("", "stands for names that begin with x-, which no variable may for Compose; rename them")
    return tuple(sorted((name, str(value)) for name, value in at.value.items() if value is not None))


def _port(at: _Value) -> Port:
    found = at.read(_PORT)
    published = str(found.get("published", ""))
    if not published.isdecimal() or not int(published):
        at.refuse("published", f"is {published or 'missing'}; publish one port, such as 8000:{found['target']}")
        published = "0"
    return Port(found["target"], int(published), found.get("host_ip", ""))


def _volume(at: _Value) -> Mount:
    found = at.read(_MOUNT)
    if found["type"] == "volume" and "source" not in found:
        at.refuse("source", "is missing; name a volume that stands under volumes")
    return Mount(found["type"], _clean(found["target"]), found.get("source", ""), found.get("read_only", False))


def _config(at: _Value) -> Mount:
    found = at.read(_CONFIG)
    declared = at.model["configs"][found["source"]]
    target = found.get("target") or found["source"]
    return Mount("config", _clean(f"/{target}"), declared.get("file", ""), read_only=True)


def _clean(target: str) -> str:
    return "/" + posixpath.normpath(target).lstrip("/")


def _healthcheck(at: _Value) -> Healthcheck:
    found = at.read(_HEALTHCHECK)
    if found.get("test", ("NONE",))[:1] == ("NONE",) and "disable" not in at.value:
        at.refuse("test", "has no command; write [CMD, program, ...], or remove the healthcheck")
    return Healthcheck(**{"test": (), **found})


def _seconds(at: _Value) -> float:
    """Return the seconds of a duration as Go prints it, such as `1m30s`."""
    parts = _DURATION.findall(at.value)
    if "".join(map("".join, parts)) != at.value:
        at.refuse("", f"is {at.value}; write a duration such as 90s or 1m30s")
    return float(sum(round(float(amount) * _SECONDS[unit] * 10**9) for amount, unit in parts) / 10**9)


def _deploy(at: _Value) -> dict[str, Any]:
    found = at.read(_DEPLOY)
    limits = found.pop("resources", {}).get("limits", {})
    return {**found, "limits": Limits(**limits)}


def _local(at: _Value) -> Local | None:
    """Return how a service runs without containers; Compose has not looked at what is under an `x-` key."""
    if not isinstance(at.value, dict) or "command" not in at.value:
        at.refuse("command", "is missing; add it")
        return None
    found = at.read(_LOCAL)
    port = str(found.pop("port", ""))
    return Local(**{"command": (), **found}, port=int(port) if port.isdecimal() else None)


def _texts(at: _Value) -> tuple[str, ...]:
    if isinstance(at.value, list) and all(isinstance(text, str) for text in at.value):
        return tuple(at.value)
    at.refuse("", "must be a list of texts; write [program, argument, ...], and quote numbers")
    return ()


def _local_environment(at: _Value) -> Pairs:
    if not isinstance(at.value, dict):
        at.refuse("", "must be a mapping; write NAME: value")
        return ()
    for name, below in at.below():
        if not isinstance(below.value, str | int):
            below.refuse("", f"must be text; quote it, or write ${{{name}}} for the operator's own")
    return tuple(sorted((name, _shown(value)) for name, value in at.value.items()))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _declared(table: _Table) -> _Reader:
    """Return a reader of what the top level declares, by key; how the engine names it is not for the file to say."""

    def read(at: _Value) -> dict[str, dict[str, Any]]:
        for key, below in at.below():
            usual = f"{at.model.get('name')}_{key}"
            if "external" not in below.value and below.value.get("name", usual) != usual:
                below.refuse("name", f"is {below.value['name']}, which is not honoured by twelfth; remove it")
        return {key: below.read(table) for key, below in at.below()}

    return read


_RESTART = "no|always|unless-stopped|on-failure(:[0-9]+)?"
_LIMITS: _Table = {"cpus": _as(float), "memory": _as(int), "pids": _as(int)}
_DEPLOY: _Table = {"replicas": _same, "resources": _nested({"limits": _nested(_LIMITS)})}
_BUILD: _Table = {"context": _same, "args": _pairs, "dockerfile": _only("Dockerfile")}
_DEPENDENCY: _Table = {"condition": _only("service_started"), "required": None}
_PORT: _Table = {
    "target": _same,
    "published": _same,
    "host_ip": _same,
    "protocol": _only("tcp"),
    "mode": _only("ingress"),
}
_MOUNT: _Table = {
    "type": _only("volume", "tmpfs", instead="use a named volume, tmpfs or configs"),
    "source": _same,
    "target": _matching("/.*", "write an absolute path"),
    "read_only": _same,
    "bind": None,
}
_CONFIG: _Table = {"source": _same, "target": _same}
_HEALTHCHECK: _Table = {
    "test": _as(tuple),
    "interval": _seconds,
    "timeout": _seconds,
    "start_period": _seconds,
    "retries": _same,
}
_LOCAL: _Table = {
    "command": _texts,
    "environment": _local_environment,
    "port": _matching("[0-9]+", "write a port, such as 8000"),
    "healthcheck": _texts,
}
_SERVICE: _Table = {
    "image": _same,
    "build": _build,
    "command": _as(tuple),
    "environment": _pairs,
    "networks": _keys({}),
    "ports": _each(_port),
    "volumes": _each(_volume),
    "configs": _each(_config),
    "tmpfs": _each(_matching("/[^:]*", "write an absolute path without options")),
    "depends_on": _keys(_DEPENDENCY),
    "deploy": _deploy,
    "user": _same,
    "init": _same,
    "read_only": _same,
    "cap_drop": _as(tuple),
    "security_opt": _as(tuple),
    "healthcheck": _healthcheck,
    "restart": _matching(_RESTART, 'write "no", always, unless-stopped or on-failure'),
    "stop_grace_period": _seconds,
    "profiles": None,
    "x-local": _local,
    "x-release": _texts,
}
_TOP: _Table = {
    "name": _same,
    "services": lambda at: {name: _service(name, below) for name, below in at.below()},
    "networks": _declared({"name": None, "internal": _same}),
    "volumes": _declared({"name": None}),
    "configs": _declared({"name": None, "file": _same}),
}
