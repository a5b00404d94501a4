"""A run's container as the Engine API makes it: the worker's own inspection with another command; pure.

Everything that the engine reports of the worker is taken over, and only what makes it a service is left behind: its
published ports, its restarts, its healthcheck, its names on the networks.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import container_spec, mounts, process_one
from twelfth.engines.docker_api.container_spec import COMPOSE, RELEASE, SOURCE_MOUNTED
from twelfth.engines.docker_api.process_one import KILL_AFTER
from twelfth.engines.docker_api.recipe import completed
from twelfth.errors import MisuseError
from twelfth.model.duration import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.run import RunRequest
    from twelfth.model.stack import Service, Stack

RUN = "twelfth.run"
NO_LOG = {"Type": "none", "Config": {}}
"""What keeps no output (https://docs.docker.com/engine/logging/configure/); it can be attached to all the same."""

OWN_SETTINGS: Body = {
    "AutoRemove": False,
    "ContainerIDFile": "",
    "Init": True,
    "Links": None,
    "LogConfig": {"Type": "json-file", "Config": {"max-file": "2", "max-size": "128m"}},
    "PortBindings": {},
    "PublishAllPorts": False,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}
"""Settings of the host's that a run has its own of, whatever the worker has."""

CONSOLE_SIZE = "ConsoleSize"
"""The setting that gives a run's terminal its size from the start; ignored below API 1.42."""


def body(worker: Body, request: RunRequest) -> Body:
    """Return the body that creates a run from an inspected worker, but for its networks."""
    config, host = worker["Config"], mounts.with_new_anonymous_volumes(worker)["HostConfig"]
    return {
        "Image": worker["Image"],
        "Entrypoint": process_one.entrypoint(worker, request),
        "Cmd": list(request.command),
        "Env": _environment(config.get("Env") or [], request.environment + request.identifying_environment),
        "User": config.get("User") or "",
        "WorkingDir": config.get("WorkingDir") or "",
        "Hostname": hostname(worker),
        "Domainname": config.get("Domainname") or "",
        "Labels": labels(worker, request),
        "Healthcheck": {"Test": ["NONE"]},
        "Volumes": config.get("Volumes") or {},
        "StopSignal": "SIGTERM",
        "StopTimeout": config.get("StopTimeout") or KILL_AFTER,
        "Tty": request.tty,
        "OpenStdin": request.interactive,
        "StdinOnce": request.interactive,
        "AttachStdin": request.interactive,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": host | own_settings(worker, request),
    }


def hostname(worker: Body) -> str:
    """Return the hostname that the service declares, "" if a run cannot have it.

    On a network, the hostname is also a DNS name of the container. A run never has a name by which clients find the
    service, since some of them would then reach the run.
    """
    labels, declared = worker["Config"]["Labels"], container_spec.declared_of(worker).get("networks", {})
    names = {labels.get(f"{COMPOSE}service"), worker.get("Name", "").lstrip("/")}
    names |= {alias for said in declared.values() for alias in said.get("aliases", ())}
    name = container_spec.inherited_hostname(worker)
    return "" if name in names or "{{" in name else name


def endpoints(worker: Body) -> dict[str, Body]:
    """Return a run's settings on each network: the worker's links, but not its names and addresses."""
    links = links_by_network(worker)
    return {name: {"Links": links[name]} if name in links else {} for name in networks(worker)}


def links_by_network(container: Body) -> dict[str, list[str]]:
    """Return the links of a container, by network."""
    there = container["NetworkSettings"]["Networks"].items()
    return {name: sorted(said["Links"]) for name, said in there if said.get("Links")}


def refuse_bytes(request: RunRequest) -> None:
    """Raise `MisuseError` for what is not text, which JSON is; the daemon would put other characters in its place."""
    for word in (*request.command, request.reason, request.operator, *itertools.chain(*request.environment)):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise MisuseError(f"{word!r} is not UTF-8, and Docker takes only that; hand it over as input") from error


def own_settings(worker: Body, request: RunRequest) -> Body:
    """Return the settings of the host's that the run has its own of."""
    log = {} if request.kept else {"LogConfig": NO_LOG}
    size = {CONSOLE_SIZE: [request.terminal.rows, request.terminal.columns]} if request.terminal else {}
    return OWN_SETTINGS | {"Init": process_one.init(worker, request)} | log | size


def template(stack: Stack, service: Service, image: Body) -> Body:
    """Return what the engine would report of a worker of an image with the stack's configuration, where none runs."""
    made = container_spec.body(stack, service, {})
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}service": service.name}
    return {
        "Image": image["Id"],
        "Config": completed(made, image) | {"Labels": labels},
        "HostConfig": made["HostConfig"],
        "Mounts": list(map(mounts.seen, made["HostConfig"]["Mounts"])),
        "NetworkSettings": {"Networks": container_spec.declared_endpoints(stack, service)},
    }


def networks(worker: Body) -> list[str]:
    """Return the names of the worker's networks, the one that it was created on first."""
    names = sorted(worker["NetworkSettings"]["Networks"])
    first = worker["HostConfig"].get("NetworkMode")
    return sorted(names, key=lambda name: name != first)


def labels(worker: Body, request: RunRequest) -> dict[str, str]:
    """Return the labels that make the container a one-off of Compose's and carry the record; no value of `--env`."""
    own = worker["Config"]["Labels"]
    return {name: value for name, value in own.items() if name in _LABELS_KEPT} | {
        f"{COMPOSE}oneoff": "True",
        RELEASE: request.replica.release,
        RUN: request.id,
        f"{RUN}.command": json.dumps(request.command),
        f"{RUN}.operator": request.operator,
        f"{RUN}.reason": request.reason,
        f"{RUN}.purpose": request.purpose,
        f"{RUN}.overrides": json.dumps([name for name, _ in request.environment]),
        f"{RUN}.timeout": "" if request.timeout is None else plain(request.timeout),
    }


_LABELS_KEPT = {
    SOURCE_MOUNTED,
    mounts.ANONYMOUS_VOLUMES,
    *(f"{COMPOSE}{name}" for name in ("project", "service", "project.working_dir", "project.config_files")),
}


def planned(worker: Body, request: RunRequest) -> Body:
    """Return what the engine would report of the run, before there is one."""
    made = body(worker, request)
    return {**worker, "Config": made, "HostConfig": made["HostConfig"]}


def _environment(worker: list[str], overrides: Iterable[tuple[str, str]]) -> list[str]:
    """Return the worker's variables with the overrides; one without `=`, as Compose writes it, stays unset."""
    own = {pair.partition("=")[0]: pair for pair in worker}
    return list((own | {name: f"{name}={value}" for name, value in overrides}).values())
