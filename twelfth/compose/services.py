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
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9.]+)(ms|µs|ns|h|m|s)")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:[0-9]+)?")
_TAG = re.compile(r"(:[^/:@]+)?(@.+)?$")


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
        project=found["project"],
        directory=files[0].parent,
        services=_in_start_order(found["services"]),
        networks=found.get("networks", ()),
        volumes=found.get("volumes", ()),
        files=files,
    )


def _in_start_order(services: Mapping[str, Service]) -> tuple[Service, ...]:
    sorter = TopologicalSorter({name: service.depends_on for name, service in services.items()})
    sorter.prepare()
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
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
        """Return what the table makes of each key that is set, by the name that it gives it; refuse any other key."""
        found = {}
        for key, below in self.below():
            if key not in table:
                below.refuse_unknown(key)
            elif below.value is not None and (honoured := table[key]):
                name, reader = honoured
                found[name] = reader(below)
        return found

    def refuse_unknown(self, key: str) -> None:
        """Refuse a key that is not honoured, unless it says nothing."""
        if not key.startswith("x-") and self.value not in (None, {}, []):
            self.refuse("", f"is not honoured by twelfth; {_INSTEAD.get(key, 'remove it')}")


def _same(at: _Value) -> object:
    return at.value


def _only(*accepted: str, instead: str = "") -> Callable[[_Value], object]:
    """Return a reader of a key that may have only these values."""

    def read(at: _Value) -> object:
        if at.value not in accepted:
            at.refuse("", f"is {at.value}, which is not honoured by twelfth; {instead or f'write {accepted[0]}'}")
        return at.value

    return read


def _services(at: _Value) -> dict[str, Service]:
    return {name: _service(name, below) for name, below in at.below()}


def _service(name: str, at: _Value) -> Service:
    found = at.read(_SERVICE)
    found |= found.pop("deploy", {})
    mounts = [mount for key in ("volumes", "configs", "tmpfs") for mount in found.pop(key, ())]
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


def _networks(at: _Value) -> tuple[str, ...]:
    for _, below in at.below():
        below.read({})
    return tuple(at.value)


def _depends_on(at: _Value) -> tuple[str, ...]:
    for _, below in at.below():
        below.read(_DEPENDENCY)
    return tuple(at.value)


def _ports(at: _Value) -> tuple[Port, ...]:
    return tuple(map(_port, at.items()))


def _port(at: _Value) -> Port:
    found = at.read(_PORT)
    published = str(found.get("published", ""))
    if not published.isdecimal() or not int(published):
        at.refuse("published", f"is {published or 'missing'}; publish one port, such as 8000:{found['target']}")
        published = "0"
    return Port(found["target"], int(published), found.get("host", ""))


def _volumes(at: _Value) -> tuple[Mount, ...]:
    return tuple(map(_volume, at.items()))


def _volume(at: _Value) -> Mount:
    found = at.read(_MOUNT)
    if not found["target"].startswith("/"):
        at.refuse("target", f"is {found['target']}; write an absolute path")
    if found["kind"] == "volume" and "source" not in found:
        at.refuse("source", "is missing; name a volume that stands under volumes")
    return Mount(found["kind"], _clean(found["target"]), found.get("source", ""), found.get("read_only", False))


def _configs(at: _Value) -> tuple[Mount, ...]:
    return tuple(map(_config, at.items()))


def _config(at: _Value) -> Mount:
    found = at.read(_CONFIG)
    declared = at.model["configs"][found["source"]]
    target = found.get("target") or found["source"]
    return Mount("config", _clean(f"/{target}"), declared.get("file", ""), read_only=True)


def _tmpfs(at: _Value) -> tuple[Mount, ...]:
    for below in at.items():
        if not re.fullmatch("/[^:]*", below.value):
            below.refuse("", f"is {below.value}; write an absolute path without options")
    return tuple(Mount("tmpfs", _clean(target)) for target in at.value)


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


def _restart(at: _Value) -> str:
    if not _RESTART.fullmatch(at.value):
        at.refuse("", f'is {at.value}; write "no", always, unless-stopped or on-failure')
    return str(at.value)


def _deploy(at: _Value) -> dict[str, Any]:
    found = at.read(_DEPLOY)
    return found | {"limits": Limits(**found.get("limits", {}).get("limits", {}))}


def _local(at: _Value) -> Local | None:
    """Return how a service runs without containers; Compose has not looked at what is under an `x-` key."""
    if not isinstance(at.value, dict) or "command" not in at.value:
        at.refuse("command", "is missing; add it")
        return None
    return Local(**{"command": (), **at.read(_LOCAL)})


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


def _local_port(at: _Value) -> int | None:
    if str(at.value).isdecimal():
        return int(at.value)
    at.refuse("", f"is {at.value}; write a port, such as 8000")
    return None


def _declared(at: _Value, table: _Table) -> dict[str, dict[str, Any]]:
    """Return what the top level declares, by key; how the engine names it is not for the file to say."""
    for key, below in at.below():
        usual = f"{at.model.get('name')}_{key}"
        if "external" not in below.value and below.value.get("name", usual) != usual:
            below.refuse("name", f"is {below.value['name']}, which is not honoured by twelfth; remove it")
    return {key: below.read(table) for key, below in at.below()}


def _own_networks(at: _Value) -> tuple[Network, ...]:
    return tuple(Network(key, **found) for key, found in _declared(at, _NETWORK).items())


def _own_volumes(at: _Value) -> tuple[Volume, ...]:
    return tuple(map(Volume, _declared(at, _VOLUME)))


_Table = Mapping[str, tuple[str, Callable[[_Value], Any]] | None]
"""The honoured keys: the model's name for each, and what reads it; None for one that says nothing more."""

_LIMITS: _Table = {
    "cpus": ("cpus", lambda at: float(at.value)),
    "memory": ("memory", lambda at: int(at.value)),
    "pids": ("pids", lambda at: int(at.value)),
}
_RESOURCES: _Table = {"limits": ("limits", lambda at: at.read(_LIMITS))}
_DEPLOY: _Table = {"replicas": ("replicas", _same), "resources": ("limits", lambda at: at.read(_RESOURCES))}
_BUILD: _Table = {
    "context": ("context", _same),
    "args": ("args", _pairs),
    "dockerfile": ("dockerfile", _only("Dockerfile")),
}
_DEPENDENCY: _Table = {"condition": ("condition", _only("service_started")), "required": None}
_PORT: _Table = {
    "target": ("target", _same),
    "published": ("published", _same),
    "host_ip": ("host", _same),
    "protocol": ("protocol", _only("tcp")),
    "mode": ("mode", _only("ingress")),
}
_MOUNT: _Table = {
    "type": ("kind", _only("volume", "tmpfs", instead="use a named volume, tmpfs or configs")),
    "source": ("source", _same),
    "target": ("target", _same),
    "read_only": ("read_only", _same),
    "bind": None,
}
_CONFIG: _Table = {"source": ("source", _same), "target": ("target", _same)}
_HEALTHCHECK: _Table = {
    "test": ("test", lambda at: tuple(at.value)),
    "interval": ("interval", _seconds),
    "timeout": ("timeout", _seconds),
    "start_period": ("start_period", _seconds),
    "retries": ("retries", _same),
}
_LOCAL: _Table = {
    "command": ("command", _texts),
    "environment": ("environment", _local_environment),
    "port": ("port", _local_port),
    "healthcheck": ("healthcheck", _texts),
}
_SERVICE: _Table = {
    "image": ("image", _same),
    "build": ("build", _build),
    "command": ("command", lambda at: tuple(at.value)),
    "environment": ("environment", _pairs),
    "networks": ("networks", _networks),
    "ports": ("ports", _ports),
    "volumes": ("volumes", _volumes),
    "configs": ("configs", _configs),
    "tmpfs": ("tmpfs", _tmpfs),
    "depends_on": ("depends_on", _depends_on),
    "deploy": ("deploy", _deploy),
    "user": ("user", _same),
    "init": ("init", _same),
    "read_only": ("read_only", _same),
    "cap_drop": ("cap_drop", lambda at: tuple(at.value)),
    "security_opt": ("security_opt", lambda at: tuple(at.value)),
    "healthcheck": ("healthcheck", _healthcheck),
    "restart": ("restart", _restart),
    "stop_grace_period": ("stop_grace", _seconds),
    "profiles": None,
    "x-local": ("local", _local),
    "x-release": ("release_command", _texts),
}
_NETWORK: _Table = {"name": None, "internal": ("internal", _same)}
_VOLUME: _Table = {"name": None}
_CONFIG_FILE: _Table = {"name": None, "file": ("file", _same)}
_TOP: _Table = {
    "name": ("project", _same),
    "services": ("services", _services),
    "networks": ("networks", _own_networks),
    "volumes": ("volumes", _own_volumes),
    "configs": ("configs", lambda at: _declared(at, _CONFIG_FILE)),
}
