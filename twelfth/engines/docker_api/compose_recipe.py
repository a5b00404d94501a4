"""Compare a container that Compose made with its declaration, in one notation for both; pure.

A container of twelfth has a label with what was declared for it. Compose leaves no such record, so its containers are
compared by what the daemon reports. The daemon adds settings and changes the notation of others: `_NOTATIONS` removes
those differences on both sides (https://docs.docker.com/reference/api/engine/version/v1.41/).
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

from twelfth.compose.container_keys import BLKIO, FIELDS
from twelfth.engines.docker_api import mounts
from twelfth.engines.docker_api.container_spec import BUILT_IN, COMPOSE, declared_hostname, has_network_of_another
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from twelfth.model.snapshot import Recipe

    Body = dict[str, Any]
    Notation = Callable[[Any, Body], object]

_ELSEWHERE = {"Hostname", "Labels", "MacAddress"}
_CONFIG = [field.name for field in FIELDS.values() if not field.is_of_host and field.name not in _ELSEWHERE]
_OF_IMAGE = ("Entrypoint", "ExposedPorts", "StopSignal", "WorkingDir")
"""Settings of the process, and settings with defaults in the image."""

_HOST = [*(field.name for field in FIELDS.values() if field.is_of_host), *BLKIO.values(), "CapDrop", "SecurityOpt"]
"""Settings of HostConfig, except for those that a recipe has under Compose's names."""

_CHOSEN = ("CgroupnsMode", "Isolation", "Runtime", "ShmSize")
"""Settings whose default each daemon chooses."""

KINDS = ("setting", "label", "mount", "endpoint", "log")
"""Prefixes of these settings in a recipe."""

_TOOLS = ("com.docker.", "desktop.docker.io/", "twelfth.")
"""Prefixes of labels that tools add."""


def declared(body: Body, image: Body | None, endpoints: Mapping[str, Body], name: str, inline: Iterable[str]) -> Recipe:
    """Return the declared settings of a container.

    `body` is the body that creates it, completed from its image; `endpoints` are its networks; `name` is its declared
    name. `inline` has the targets of configuration files that Compose copies instead of mounting.
    """
    host, automatic_names = body["HostConfig"], {body.get("Hostname") or "", name}
    defaults = (image or {}).get("Config") or {}
    labels = {**(defaults.get("Labels") or {}), **(body.get("Labels") or {})}
    exposed = {**(defaults.get("ExposedPorts") or {}), **(body.get("ExposedPorts") or {})}
    settings = _settings(body | {"ExposedPorts": exposed}, host)
    chosen = {name: UNKNOWN for name in _CHOSEN if not settings[name]}
    return {
        **_named("setting", settings | chosen | ({} if image else dict.fromkeys(_OF_IMAGE, UNKNOWN))),
        "setting.Hostname": body.get("Hostname") or "",
        "setting.Name": name,
        **(_named("label", _declared_labels(labels)) if image else {"label": UNKNOWN}),
        **_named("mount", {name: text for name, text in mounts.descriptions(host).items() if name not in inline}),
        **_named(
            "endpoint",
            {
                name: _endpoint(endpoint, automatic_names)
                for name, endpoint in endpoints.items()
                if name not in BUILT_IN
            },
        ),
        "log": UNKNOWN,
        **_named("log", _log(host)),
    }


def reported(inspected: Body) -> Recipe:
    """Return the settings of a container as the daemon reports them."""
    config, host, networks = inspected["Config"], inspected["HostConfig"], inspected["NetworkSettings"]["Networks"]
    missing = {name: UNKNOWN for name in ("Annotations",) if name not in host}  # before API 1.43
    missing |= {"Domainname": UNKNOWN} if has_network_of_another(host) else {}  # it belongs to that one
    anonymous = mounts.anonymous_volumes(inspected)
    mounted = {name: text for name, text in mounts.descriptions(host).items() if name not in anonymous}
    automatic_names = {inspected.get("Name", "").lstrip("/"), inspected["Id"][:12], config.get("Hostname") or ""}
    return {
        **_named("setting", _settings(config, host) | missing),
        "setting.Hostname": declared_hostname(inspected),
        "setting.Name": _name(inspected),
        **_named("label", _declared_labels(config.get("Labels") or {})),
        **_named("mount", mounted),
        **_named(
            "endpoint",
            {name: _endpoint(endpoint, automatic_names) for name, endpoint in networks.items() if name not in BUILT_IN},
        ),
        **_named("log", _log(host)),
    }


def _named(kind: str, values: Mapping[str, str]) -> Recipe:
    return {f"{kind}.{name}": value for name, value in values.items()}


def _settings(config: Body, host: Body) -> dict[str, str]:
    exposed: Body = {
        port: {} for port in config.get("ExposedPorts") or {} if port not in (host.get("PortBindings") or {})
    }
    of_config = {name: config.get(name) for name in _CONFIG} | {"ExposedPorts": exposed}
    of_config |= {"WorkingDir": posixpath.normpath(config["WorkingDir"]) if config.get("WorkingDir") else ""}
    values = of_config | {name: notation(name, host) for name in _HOST}
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    """Return a value as text, an empty string for an empty value."""
    is_empty = value is None or value is False or value in ("", [], {})
    return "" if is_empty else json.dumps(value, sort_keys=True)


def notation(name: str, host: Body) -> object:
    """Return a field of HostConfig in one notation, whether it is declared or reported."""
    value = host.get(name)
    return _NOTATIONS[name](value, host) if name in _NOTATIONS else value or None


def _capabilities(names: Iterable[str] | None, _: Body) -> object:
    return sorted(name.upper().removeprefix("CAP_") for name in names or [])


def _sorted(values: Iterable[Any] | None, _: Body) -> object:
    return sorted(values or [], key=str)


def _mode(mode: str | None, _: Body) -> object:
    """Return the mode of a namespace, without the container that it is shared with, which may be replaced."""
    kind = (mode or "").partition(":")[0]
    return "container" if kind in {"container", "service"} else mode


def _network_mode(mode: str | None, host: Body) -> object:
    """Return the network mode, "" for a network of the stack, which is compared by its name."""
    mode = str(_mode(mode, host) or "")
    return {"default": "bridge"}.get(mode, mode) if mode in BUILT_IN | {"container"} else ""


def _ipc_mode(mode: str | None, host: Body) -> object:
    return "" if mode == "private" else _mode(mode, host)


def _security_opt(options: Iterable[str] | None, host: Body) -> object:
    """Return the options without the one that the daemon adds to a privileged container."""
    is_added = host.get("Privileged") or "host" in (host.get("PidMode"), host.get("IpcMode"))
    added = {"label=disable", "label:disable"} if is_added else set()
    return sorted(set(options or []) - added)


def _swap(swap: int | None, host: Body) -> object:
    """Return the limit of memory and swap, nothing if it is the default for this memory limit."""
    return None if swap in (None, 0, 2 * (host.get("Memory") or 0)) else swap


def _swappiness(value: int | None, _: Body) -> object:
    return None if value == -1 else value


_NOTATIONS: dict[str, Notation] = {
    "CapAdd": _capabilities,
    "CapDrop": _capabilities,
    "ExtraHosts": _sorted,
    "IpcMode": _ipc_mode,
    "MemorySwap": _swap,
    "MemorySwappiness": _swappiness,
    "NetworkMode": _network_mode,
    "PidMode": _mode,
    "SecurityOpt": _security_opt,
    "Ulimits": _sorted,
}


def _name(inspected: Body) -> str:
    """Return the declared name, an empty string for the one that Compose generates."""
    labels, name = inspected["Config"].get("Labels") or {}, inspected.get("Name", "").lstrip("/")
    parts = [labels.get(f"{COMPOSE}{part}", "") for part in ("project", "service", "container-number")]
    return "" if name in {"-".join(parts), "_".join(parts)} else name


def _declared_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not name.startswith(_TOOLS)}


def _endpoint(settings: Body, automatic_names: set[str]) -> str:
    """Return a container's settings on a network, without its automatic names."""
    if "Aliases" not in settings:
        return UNKNOWN
    links = [name for link in settings.get("Links") or [] if (name := _linked_name(link))]
    return json.dumps(
        {
            "aliases": sorted({*(settings["Aliases"] or [])} - automatic_names),
            "addresses": settings.get("IPAMConfig") or None,
            "driver_opts": settings.get("DriverOpts") or None,
            "links": sorted(links),
        },
        sort_keys=True,
    )


def _linked_name(link: str) -> str:
    """Return the name of a link, an empty string for one that Compose adds from the container's name."""
    container, _, name = link.partition(":")
    return "" if name in container else name


def _log(host: Body) -> dict[str, str]:
    log = host.get("LogConfig") or {}
    return {name: value for name, value in {"driver": log.get("Type"), **(log.get("Config") or {})}.items() if value}
