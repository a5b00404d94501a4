"""Convert Compose's canonical model to a `Stack`; each supported key has a line in a table, all others are refused.

The model is the output of `docker compose config` (https://docs.docker.com/reference/cli/docker/compose/config/): one
notation for each thing, checked by Compose, with variables, `extends` and includes resolved.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.compose import proxy
from twelfth.compose.extensions import EXTENSIONS, extension_fields, with_shared
from twelfth.compose.mounts import HOMES, target_path
from twelfth.compose.schema import Table, Value, as_is
from twelfth.compose.service_keys import image_repository, read_service, start_conditions
from twelfth.errors import MisuseError
from twelfth.model.service import Build, Local, Mount, Service, as_options
from twelfth.model.stack import Network, Stack, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping


def stack(model: Mapping[str, Any], files: tuple[Path, ...]) -> Stack:
    """Convert Compose's model of these files to a stack, dependencies first, else by name.

    Built services have no release yet; `with_release` adds it. Raises MisuseError with one line for each unsupported
    key.
    """
    top = Value("", model, model, [])
    values = top.read(_TOP)
    if not values.get("services"):
        top.refuse("services", "has no enabled service", "declare one, or enable its profile in COMPOSE_PROFILES")
    services = with_shared(top, values, files[0].parent)
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
        **extension_fields(values),
    )
    if why := proxy.why_refused(declared):
        raise MisuseError(f"{files[0].name}: x-twelfth.proxy: {why}")
    return proxy.with_proxy(declared)


def names(model: Mapping[str, Any], files: tuple[Path, ...] = (Path("compose.yaml"),)) -> Stack:
    """Return a stack with the names of services, networks and volumes, which is all a run needs from the files.

    Unsupported keys are not refused, except in `x-` settings of this tool. A service without an image, such as one with
    a `provider`, has no containers and is left out.
    """
    top = Value("", {key: model.get(key) for key in EXTENSIONS}, model, [])
    values = top.read(EXTENSIONS)
    if top.refusals:
        raise MisuseError("\n".join(f"{files[0].name}: {refusal}" for refusal in top.refusals))
    all_declared = {name: keys or {} for name, keys in (model.get("services") or {}).items()}
    declared = {name: keys for name, keys in all_declared.items() if {"image", "build"} & keys.keys()}
    services = {
        name: Service(
            name,
            image_repository(keys.get("image"), model, name) if "build" in keys else keys["image"],
            build=Build(Path()) if "build" in keys else None,
            depends_on=tuple(sorted(set(keys.get("depends_on") or ()) & set(declared))),
            conditions=start_conditions(keys.get("depends_on") or {}),
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
        **extension_fields(values),
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
    entries = [(kind, home, entry) for kind, home in HOMES.items() for entry in service.get(kind) or ()]
    declared = [
        (target_path(home, entry), (model.get(kind) or {}).get(entry["source"]) or {}) for kind, home, entry in entries
    ]
    inline = [(target, keys) for target, keys in declared if not {"file", "external"} & keys.keys()]
    return tuple(
        Mount("config", target, read_only=True, content=str(keys.get("content", ""))) for target, keys in inline
    )


def _in_start_order(services: Mapping[str, Service]) -> tuple[Service, ...]:
    sorter = TopologicalSorter({name: _preceding(service) for name, service in services.items()})
    try:
        sorter.prepare()
    except CycleError as error:  # Compose refuses one of depends_on alone
        names = ", ".join(sorted({*error.args[1]}))
        why = f"{names} depend on one another through build.additional_contexts"
        raise MisuseError(f"{why}. Try: write docker-image://IMAGE instead of service:NAME") from error
    order: list[str] = []
    while ready := sorted(sorter.get_ready()):
        order += ready
        sorter.done(*ready)
    return tuple(services[name] for name in order)


def _preceding(service: Service) -> tuple[str, ...]:
    """Return the services that start before a service, or whose images are built before its image."""
    return (*service.depends_on, *(service.build.services if service.build else ()))


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
_TOP: Table = {
    **EXTENSIONS,
    "name": as_is,
    "services": lambda at: {name: read_service(name, below) for name, below in at.below()},
    "networks": _declared,
    "volumes": _declared,
    **dict.fromkeys(("configs", "secrets")),  # read with the services that have them
    "jobs": None,  # read by jobs.py
}
