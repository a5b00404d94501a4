"""Compare the containers that `docker compose` and twelfth create from one file, as reported by one daemon."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from tests.conftest import DOCKER_COMPOSE
from twelfth.compose import cli, services
from twelfth.engines.docker.engine import Docker
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.mounts import without_hidden_volume

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    Body = dict[str, Any]

OURS = ("twelfth.", COMPOSE)
"""Beginnings of labels that tell who made a container."""

GIVEN = {"Hostname", "Image", "Labels", "AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "OnBuild"}
"""What of a container's configuration the daemon gives, or is compared apart."""


def made_by_compose(directory: Path, environment: Mapping[str, str]) -> dict[str, Body]:
    """Return the first container of each service, as the daemon reports it; remove everything afterwards."""
    engine = engine_of(directory, environment)
    try:
        _compose(directory, environment, "create", "--no-build", "--pull", "never")
        return _inspected(engine)
    finally:
        _compose(directory, environment, "down", "--volumes", "--timeout", "0")


def made_by_twelfth(directory: Path, environment: Mapping[str, str]) -> dict[str, Body]:
    """Return the same, created by the engine; nothing is started."""
    engine = engine_of(directory, environment)
    engine.api.start = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        for resource in engine.stack.resources:
            if not resource.external:
                engine.create_resource(resource)
        for service in engine.stack.services:
            engine.admit_replica(engine.create_replica(service, 1))
        return _inspected(engine)
    finally:
        _compose(directory, environment, "down", "--volumes", "--timeout", "0")
        engine.state.remove()


def both(
    directory: Path, environment: Mapping[str, str], networks: Sequence[str] = (), volumes: Sequence[str] = ()
) -> tuple[dict[str, Body], dict[str, Body], dict[str, set[str]]]:
    """Return what both make, and the targets of the configuration files of each service.

    The networks and volumes are external; they exist inside the block.
    """
    environment = {**os.environ, **environment}
    engine = engine_of(directory, environment)
    made = [*map(engine.api.create_network, networks), *map(engine.api.create_volume, volumes)]
    try:
        theirs, ours = made_by_compose(directory, environment), made_by_twelfth(directory, environment)
    finally:
        for each in made:
            (engine.api.remove_network if "Id" in each else engine.api.remove_volume)(each.get("Id") or each["Name"])
    files = {one.name: {each.target for each in one.mounts if each.kind == "config"} for one in engine.stack.services}
    return theirs, ours, files


def comparable(container: Body, files: Collection[str] = ()) -> Body:
    """Return what a container is, without what tells one container from another, and who made it.

    The targets of configuration files and secrets are left out: Compose mounts or copies them, and we mount copies,
    with the volume that has them.
    """
    container = without_hidden_volume(container)
    settings, host, labels = container["Config"], container["HostConfig"], container["Config"]["Labels"] or {}
    mounts = [*map(_bind, host["Binds"] or []), *map(_mount, host.get("Mounts") or [])]
    mounts = [each for each in mounts if each.split()[2] not in files]
    own = settings["Hostname"] if not container["Id"].startswith(settings["Hostname"]) else ""
    return {
        **{f"Config.{name}": value or None for name, value in settings.items() if name not in GIVEN},
        **{f"HostConfig.{name}": _value(name, host[name]) for name in host if name not in {"Binds", "Mounts"}},
        "HostConfig.NetworkMode": _network_mode(container),
        "Config.Hostname": own,
        "Config.StopTimeout": settings.get("StopTimeout") or 10,
        "Config.Env": sorted(settings["Env"] or []),
        "labels": {name: value for name, value in labels.items() if not name.startswith(OURS)},
        "mounts": sorted(mounts),
        "networks": {
            name: _network(container, each) for name, each in container["NetworkSettings"]["Networks"].items()
        },
    }


def _network_mode(container: Body) -> object:
    """Return the network mode of a container that has no networks of the stack, which are compared by themselves."""
    mode = container["HostConfig"]["NetworkMode"]
    return None if mode in container["NetworkSettings"]["Networks"] else _value("NetworkMode", mode)


def _value(name: str, value: Any) -> object:
    if name in {"NetworkMode", "IpcMode", "PidMode"} and str(value).startswith("container:"):
        return "container"
    if name in {"CapAdd", "CapDrop"}:
        return sorted(each.upper().removeprefix("CAP_") for each in value or [])
    if name == "RestartPolicy":
        return value if value != {"Name": "", "MaximumRetryCount": 0} else {"Name": "no", "MaximumRetryCount": 0}
    if isinstance(value, list):
        return sorted(value, key=str) or None
    return value or None


def _bind(bind: str) -> str:
    source, target, *mode = bind.split(":")
    return _described("bind" if source.startswith("/") else "volume", source, target, {*",".join(mode).split(",")})


def _mount(mount: Body) -> str:
    mode = {"ro"} if mount.get("ReadOnly") else set()
    more = {key: mount[key] for key in mount if key.endswith("Options") and mount[key]}
    nocopy = more.pop("VolumeOptions", {})
    mode |= {"nocopy"} if nocopy.get("NoCopy") else set()
    text = _described(mount["Type"], mount.get("Source", ""), mount["Target"], mode)
    return text + (json.dumps(more, sort_keys=True) if more else "")


def _described(kind: str, source: str, target: str, mode: set[str]) -> str:
    return " ".join([kind, source or "-", target, *sorted(mode - {"rw", ""})])


def _network(container: Body, endpoint: Body) -> Body:
    own = {container["Name"].lstrip("/"), container["Id"][:12]}
    return {
        "aliases": sorted(set(endpoint["Aliases"] or []) - own),
        "addresses": endpoint["IPAMConfig"] or None,
        "options": endpoint["DriverOpts"] or None,
        "links": sorted(name for link in endpoint["Links"] or [] if (name := _other_name(link))),
    }


def _other_name(link: str) -> str:
    """Return the name of a link by which the container would not be found without it, an empty one for any other."""
    container, _, name = link.partition(":")
    return "" if name in container else name


def engine_of(directory: Path, environment: Mapping[str, str]) -> Docker:
    """Return an engine with the stack of a directory, without a release."""
    found = cli.read(directory, environment)
    return Docker(services.stack(found.model, found.files))


def _inspected(engine: Docker) -> dict[str, Body]:
    listed = engine.api.containers(all=True, filters={"label": f"{COMPOSE}project={engine.stack.project}"})
    found = [engine.api.inspect_container(each["Id"]) for each in listed]
    return {each["Config"]["Labels"][f"{COMPOSE}service"]: each for each in reversed(found)}


def _compose(directory: Path, environment: Mapping[str, str], *words: str) -> None:
    done = subprocess.run(
        [DOCKER_COMPOSE, *words],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
