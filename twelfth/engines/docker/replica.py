"""A replica of a service as the Engine API makes it: the body of its creation, its labels, its networks; pure.

Bodies are those of `POST /containers/create` (https://docs.docker.com/reference/api/engine/version/v1.41/). Labels are
Compose's (https://github.com/docker/compose/blob/main/pkg/api/labels.go): `docker compose` sees the stack as its own.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Healthcheck, Mount, Service, Stack

Body = dict[str, Any]
COMPOSE = "com.docker.compose."
CONFIGS = "twelfth.configs."
COPIES = "twelfth.copies"
"""Label: the directory on this machine with the copies of its configuration files that a container sees."""

RELEASE = "twelfth.release"
BUILT_BY = "twelfth.built-by"
"""Label of an image: who had it built."""

ADMISSION = "twelfth.admission"
"""Label: the networks where others look for the service, as JSON; a replica serves once it is on all of them."""

LOGGING = "twelfth.logging"
"""Label: what the Compose file says of a replica's log, as JSON; the daemon adds options of its own to it."""

NANO = 1_000_000_000


def labels(stack: Stack, service: Service, number: int, recipe: Recipe) -> dict[str, str]:
    """Return the labels of a replica: Compose's, its release, and the digests of its configuration files."""
    own = {CONFIGS + name.split(".", 1)[1]: value for name, value in recipe.items() if name.startswith("config.")}
    fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return own | {
        RELEASE: release_of(service.image) if service.build else "",
        ADMISSION: json.dumps(admission_networks(stack, service)),
        LOGGING: declared_logging(service),
        f"{COMPOSE}project": stack.project,
        f"{COMPOSE}service": service.name,
        f"{COMPOSE}container-number": str(number),
        f"{COMPOSE}oneoff": "False",
        f"{COMPOSE}config-hash": fingerprint,
        f"{COMPOSE}depends_on": ",".join(f"{name}:service_started:false" for name in service.depends_on),
        f"{COMPOSE}project.working_dir": str(stack.directory),
        f"{COMPOSE}project.config_files": ",".join(map(str, stack.files)),
    }


def release_of(image: str) -> str:
    """Return the release that an image's name tells: its tag."""
    return image.rpartition(":")[2]


def body(stack: Stack, service: Service, labels: Mapping[str, str]) -> Body:
    """Return the body that creates one replica of the service, but for its networks."""
    return {
        "Image": service.image,
        "Cmd": None if service.command is None else list(service.command),
        "Env": [f"{name}={value}" for name, value in service.environment],
        "User": service.user or "",
        "Labels": dict(labels),
        "ExposedPorts": {f"{port.target}/tcp": {} for port in service.ports},
        "Healthcheck": service.healthcheck and _healthcheck(service.healthcheck),
        "StopTimeout": math.ceil(service.stop_grace),
        "HostConfig": _host_config(stack, service),
    }


def check_body(stack: Stack, service: Service, identity: str) -> Body:
    """Return the body of a container that runs the service's check of its configuration within a replica's network.

    As a healthcheck, it is run without the image's entrypoint.
    """
    program, *arguments = service.reload.check if service.reload else ()
    made = body(stack, replace(service, command=tuple(arguments), ports=(), healthcheck=None, restart="no"), {})
    host = made["HostConfig"] | {"NetworkMode": f"container:{identity}"}
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}service": service.name, f"{COMPOSE}oneoff": "True"}
    own = {"Entrypoint": [program], "Healthcheck": {"Test": ["NONE"]}, "NetworkingConfig": {}}
    return made | own | {"Labels": labels, "HostConfig": host}


def network_names(stack: Stack, service: Service) -> list[str]:
    """Return the engine's names of the networks that a service is on, those of its admission last."""
    names = sorted(service.networks, key=stack.networks_to_dependants(service).__contains__)
    return [f"{stack.project}_{network}" for network in names]


def admission_networks(stack: Stack, service: Service) -> list[str]:
    """Return the engine's names of the networks that a replica joins when it is ready, and not before.

    Those are where a service that depends on this one looks for it; none where there is only one replica, which nobody
    can do without meanwhile.
    """
    held = () if service.why_single else stack.networks_to_dependants(service)
    return [f"{stack.project}_{network}" for network in held]


def endpoints(stack: Stack, service: Service) -> dict[str, Body]:
    """Return the networks that a replica is made on, and its settings there: it answers to its service's name.

    One that is on no network but those of its admission is made on them without that name.
    """
    return _endpoints(service.name, network_names(stack, service), admission_networks(stack, service))


def _endpoints(service: str, names: list[str], held: list[str]) -> dict[str, Body]:
    apart = {name: {"Aliases": [service]} for name in names if name not in held}
    return apart or {name: {"Aliases": []} for name in names}


def clone(
    inspected: Body, number: int, labels: Mapping[str, str], copies: Mapping[str, str] = MappingProxyType({})
) -> Body:
    """Return the body that creates another container like one that is there, but for its networks and these labels.

    `copies` are its own copies of configuration files, by target.
    """
    config = {name: value for name, value in inspected["Config"].items() if name not in _OWN}
    own = {**config["Labels"], **labels, f"{COMPOSE}container-number": str(number)}
    mounts = [
        mount | {"Source": copies[mount["Target"]]} if mount["Target"] in copies else mount
        for mount in inspected["HostConfig"].get("Mounts") or []
    ]
    host = inspected["HostConfig"] | ({"Mounts": mounts} if mounts else {})
    return config | {"Labels": own, "HostConfig": host}


_OWN = {"Hostname", "Domainname"}
"""What the daemon gives each container by itself."""


def endpoints_of_clone(inspected: Body, labels: Mapping[str, str]) -> dict[str, Body]:
    """Return the networks on which a container with these labels, like one that is there, is made; see `endpoints`."""
    there = inspected["NetworkSettings"]["Networks"]
    first = inspected["HostConfig"]["NetworkMode"]
    names = sorted(there, key=lambda network: network != first)
    return _endpoints(labels[f"{COMPOSE}service"], names, json.loads(labels.get(ADMISSION) or "[]"))


def _host_config(stack: Stack, service: Service) -> Body:
    limits = service.limits
    names = network_names(stack, service)
    return {
        "NetworkMode": names[0] if names else "none",
        "PortBindings": {
            f"{port.target}/tcp": [{"HostIp": port.host, "HostPort": str(port.published)}] for port in service.ports
        },
        "Mounts": [_mount(stack, mount) for mount in service.mounts if mount.kind != "tmpfs"],
        "Tmpfs": {mount.target: "" for mount in service.mounts if mount.kind == "tmpfs"},
        "Init": service.init or None,
        "ReadonlyRootfs": service.read_only,
        "CapDrop": list(service.cap_drop),
        "SecurityOpt": list(service.security_opt),
        "NanoCpus": round((limits.cpus or 0) * NANO),
        "Memory": limits.memory or 0,
        "PidsLimit": limits.pids,
        "RestartPolicy": {"Name": service.restart},
        "LogConfig": _log_config(service),
    }


def declared_logging(service: Service) -> str:
    """Return what is declared of a service's log, as text."""
    return json.dumps(_log_config(service), sort_keys=True)


def _log_config(service: Service) -> Body:
    """Return where the daemon keeps a replica's log; options without a driver are those of its usual one."""
    declared = service.logging
    driver = declared.driver or ("json-file" if declared.options else "")
    return {"Type": driver, "Config": dict(declared.options)}


def _mount(stack: Stack, mount: Mount) -> Body:
    if mount.kind == "config":
        return {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": True}
    source = f"{stack.project}_{mount.source}"
    writable = {"Type": "volume", "Source": source, "Target": mount.target}
    return writable | ({"ReadOnly": True} if mount.read_only else {})  # as the daemon shows it: false is not said


def _healthcheck(check: Healthcheck) -> Body:
    return {
        "Test": list(check.test),
        "Interval": round((check.interval or 0) * NANO),
        "Timeout": round((check.timeout or 0) * NANO),
        "StartPeriod": round((check.start_period or 0) * NANO),
        "Retries": check.retries or 0,
    }
