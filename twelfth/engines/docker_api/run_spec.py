"""The body of a run's container: the settings of the inspected worker with another command; pure.

A run inherits everything that the engine reports of the worker, except for the settings of a service: published ports,
restarts, the healthcheck, and names on the networks.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import container_spec, mounts, process_one, run_changes
from twelfth.engines.docker_api.container_spec import COMPOSE, RELEASE, SOURCE_MOUNTED
from twelfth.engines.docker_api.process_one import KILL_AFTER
from twelfth.engines.docker_api.recipe import completed
from twelfth.errors import MisuseError
from twelfth.model.duration import plain

if TYPE_CHECKING:
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.run import RunRequest
    from twelfth.model.service import Service
    from twelfth.model.stack import Stack

RUN = "twelfth.run"
NO_LOG = {"Type": "none", "Config": {}}
"""The logging driver that stores no output (https://docs.docker.com/engine/logging/configure/); attaching works."""

RUN_SETTINGS: Body = {
    "AutoRemove": False,
    "ContainerIDFile": "",
    "Init": True,
    "Links": None,
    "LogConfig": {"Type": "json-file", "Config": {"max-file": "2", "max-size": "128m"}},
    "PortBindings": {},
    "PublishAllPorts": False,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}
"""Settings of a run's HostConfig that replace the worker's."""

CONSOLE_SIZE = "ConsoleSize"
"""The setting that gives a run's terminal its size from the start; ignored below API 1.42."""


ROUTED_BY = frozenset({"VIRTUAL_HOST", "VIRTUAL_HOST_MULTIPORTS", "LETSENCRYPT_HOST"})
"""Variables by which nginx-proxy and its companion find containers; a run inherits none, else it would get requests.

Their other variables, such as VIRTUAL_PORT, have no effect without these.
"""


def body(worker: Body, request: RunRequest) -> Body:
    """Return the body that creates a run from an inspected worker, without its networks."""
    config, host = worker["Config"], mounts.with_new_anonymous_volumes(worker)["HostConfig"]
    return {
        "Image": worker["Image"],
        "Entrypoint": process_one.entrypoint(worker, request),
        "Cmd": list(request.command) or config.get("Cmd") or [],
        "Env": _environment(worker, request),
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
        **run_changes.added(worker, request.changes),
        "HostConfig": host | run_settings(worker, request),
    }


def hostname(worker: Body) -> str:
    """Return the hostname that the service declares, "" if a run cannot have it.

    On a network, the hostname is also a DNS name of the container. A run never has a name by which clients find the
    service, since some of them would then reach the run.
    """
    labels, declared = worker["Config"]["Labels"], container_spec.declared_of(worker).get("networks", {})
    names = {labels.get(f"{COMPOSE}service"), worker.get("Name", "").lstrip("/")}
    names |= {alias for settings in declared.values() for alias in settings.get("aliases", ())}
    name = container_spec.inherited_hostname(worker)
    return "" if name in names or "{{" in name else name


def endpoints(worker: Body, request: RunRequest) -> dict[str, Body]:
    """Return a run's settings on each network: the worker's links, but not its names and addresses."""
    links = links_by_network(worker)
    inherited = {name: {"Links": links[name]} if name in links else {} for name in networks(worker)}
    return requested_endpoints(worker, request) or inherited


def requested_endpoints(worker: Body, request: RunRequest) -> dict[str, Body]:
    """Return a run's settings on each network that is declared for it."""
    declared = worker["NetworkSettings"]["Networks"]
    has_networks = request.changes and "networks" in request.changes.keys
    return {name: declared[name] for name in networks(worker)} if has_networks else {}


def links_by_network(container: Body) -> dict[str, list[str]]:
    """Return the links of a container, by network."""
    networks = container["NetworkSettings"]["Networks"].items()
    return {name: sorted(settings["Links"]) for name, settings in networks if settings.get("Links")}


def refuse_bytes(request: RunRequest) -> None:
    """Raise `MisuseError` for words that are not UTF-8: the daemon's API is JSON, and would replace characters."""
    for word in (*request.command, request.reason, request.operator, *itertools.chain(*request.environment)):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise MisuseError(f"{word!r} is not UTF-8, and Docker requires that; pass it on standard input") from error


def run_settings(worker: Body, request: RunRequest) -> Body:
    """Return the settings of the run's HostConfig that replace the worker's."""
    declared = {"LogConfig": worker["HostConfig"]["LogConfig"]} if _has_logging(request) else {}
    log = declared if request.kept else {"LogConfig": NO_LOG}
    size = {CONSOLE_SIZE: [request.terminal.rows, request.terminal.columns]} if request.terminal else {}
    return RUN_SETTINGS | {"Init": process_one.init(worker, request)} | log | size


def _has_logging(request: RunRequest) -> bool:
    return bool(request.changes and "logging" in request.changes.keys)


def template(stack: Stack, service: Service, image: Body) -> Body:
    """Return what the engine would report of a worker of an image with the stack's configuration, where none runs."""
    service_body = container_spec.body(stack, service, {})
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}service": service.name}
    return {
        "Image": image["Id"],
        "Config": completed(service_body, image) | {"Labels": labels},
        "HostConfig": service_body["HostConfig"],
        "Mounts": list(map(mounts.reported, service_body["HostConfig"]["Mounts"])),
        "NetworkSettings": {"Networks": container_spec.attached_networks(stack, service)},
    }


def networks(worker: Body) -> list[str]:
    """Return the names of the worker's networks; the first is the one that it was created on."""
    names = sorted(worker["NetworkSettings"]["Networks"])
    first = worker["HostConfig"].get("NetworkMode")
    return sorted(names, key=lambda name: name != first)


def labels(worker: Body, request: RunRequest) -> dict[str, str]:
    """Return the labels that make the container a one-off for Compose and contain the record; no value of `--env`."""
    inherited = {name: value for name, value in worker["Config"]["Labels"].items() if name in _INHERITED_LABELS}
    return {
        **inherited,
        **run_changes.labels(request.changes),
        f"{COMPOSE}oneoff": "True",
        RELEASE: request.replica.release,
        RUN: request.id,
        f"{RUN}.command": json.dumps(request.command),
        f"{RUN}.operator": request.operator,
        f"{RUN}.host": request.host,
        f"{RUN}.kind": request.kind,
        f"{RUN}.what": request.what,
        f"{RUN}.reason": request.reason,
        f"{RUN}.purpose": request.purpose,
        f"{RUN}.job": request.job,
        f"{RUN}.trigger": request.trigger,
        f"{RUN}.notify": request.notify,
        f"{RUN}.discards_output": "" if request.kept else "true",
        f"{RUN}.overrides": json.dumps(request.overrides),
        f"{RUN}.timeout": "" if request.timeout is None else plain(request.timeout),
    }


_INHERITED_LABELS = {
    SOURCE_MOUNTED,
    mounts.ANONYMOUS_VOLUMES,
    *(f"{COMPOSE}{name}" for name in ("project", "service", "project.working_dir", "project.config_files")),
}


def planned(worker: Body, request: RunRequest) -> Body:
    """Return what the engine would report of the run, without creating it."""
    config = body(worker, request)
    return {**worker, "Config": config, "HostConfig": config["HostConfig"]}


def dropped_variables(request: RunRequest) -> frozenset[str]:
    """Return the variables that a run does not inherit: those of `ROUTED_BY`, unless they are declared for it."""
    return ROUTED_BY - {name for name, _ in request.environment} - run_changes.variables(request.changes)


def _environment(worker: Body, request: RunRequest) -> list[str]:
    """Return the worker's variables with the overrides; one without `=`, as Compose writes it, stays unset."""
    variables = {pair.partition("=")[0]: pair for pair in worker["Config"].get("Env") or []}
    inherited = {name: pair for name, pair in variables.items() if name not in dropped_variables(request)}
    overrides = request.environment + request.identifying_environment
    return list((inherited | {name: f"{name}={value}" for name, value in overrides}).values())
