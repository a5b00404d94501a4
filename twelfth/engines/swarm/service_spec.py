"""A container's body as the specification of a Swarm service, and back; pure.

engines/docker_api/container_spec.py decides what a container is made from; this module only translates it for Swarm
(https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Service/operation/ServiceCreate).
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from docker.errors import DockerException
from docker.utils import parse_bytes, version_lt

from twelfth.compose import options
from twelfth.engines.docker_api import container_spec, mounts
from twelfth.engines.docker_api.container_spec import COMPOSE, NANO
from twelfth.engines.docker_api.recipe import completed
from twelfth.engines.swarm import snapshot
from twelfth.engines.swarm.snapshot import NAMESPACE
from twelfth.model.stack import as_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.stack import Mount, Port, Service, Stack

SPEC = "twelfth.spec"
"""Label of a service's containers: the digest of what they were made from, which tells a new task from an old one."""

HAS_PRIVILEGES = "1.44"
"""The first version of the API by which Swarm holds `no-new-privileges`, and a pace of its own for a start."""

START_PERIOD = 30.0
"""Seconds in which a starting task's healthcheck runs every second if the service has no `start_period`."""

CONFIG = {
    "Entrypoint": "Command",
    "Cmd": "Args",
    "Env": "Env",
    "User": "User",
    "WorkingDir": "Dir",
    "Hostname": "Hostname",
    "Healthcheck": "Healthcheck",
    "StopSignal": "StopSignal",
    "Tty": "TTY",
    "OpenStdin": "OpenStdin",
}
"""Swarm's names of what a container's body says of its process."""

HOST = {
    "CapAdd": "CapabilityAdd",
    "CapDrop": "CapabilityDrop",
    "GroupAdd": "Groups",
    "Init": "Init",
    "Isolation": "Isolation",
    "ReadonlyRootfs": "ReadOnly",
    "Sysctls": "Sysctls",
    "Ulimits": "Ulimits",
}
"""Swarm's names of what a container's body says of its host."""

DNS = {"Dns": "Nameservers", "DnsSearch": "Search", "DnsOptions": "Options"}
LIMITS = {"NanoCpus": "NanoCPUs", "Memory": "MemoryBytes", "PidsLimit": "Pids"}
CONDITIONS = {"no": "none", "on-failure": "on-failure", "always": "any"}
ELSEWHERE = {
    "ExtraHosts",
    "LogConfig",
    "Mounts",
    "NetworkMode",
    "PortBindings",
    "RestartPolicy",
    "SecurityOpt",
    "Tmpfs",
}
"""What of a container's host is said elsewhere in a specification."""

IS_HELD = "no-new-privileges:true"
NO_NEW_PRIVILEGES = {IS_HELD, "no-new-privileges", "no-new-privileges=true"}


def held(service: Service, version: str) -> Service:
    """Return a service as a Swarm of that API version holds it; `losses` names what of it is weaker.

    Swarm has no `unless-stopped`. It runs a healthcheck only at the declared interval, which delays each replica of a
    deploy, so while a task starts the interval is one second. Before API 1.44 there is only one interval.
    """
    check, is_old = service.healthcheck, version_lt(version, HAS_PRIVILEGES)
    if check and is_old:
        check = replace(check, interval=min(check.interval or 30.0, 1.0), start_interval=None)
    elif check:
        start = check.start_period or START_PERIOD  # the interval at the start holds for this period only
        check = replace(check, start_period=start, start_interval=check.start_interval or 1.0)
    return replace(
        service,
        healthcheck=check,
        security_opt=(IS_HELD,) if not is_old and NO_NEW_PRIVILEGES.intersection(service.security_opt) else (),
        mounts=tuple(map(_held_mount, service.mounts)),
        ports=tuple(dict.fromkeys(replace(port, host="") for port in service.ports)),
        restart="always" if service.restart == "unless-stopped" else service.restart,
    )


def _held_mount(mount: Mount) -> Mount:
    """Return a mount whose options, where it is a tmpfs that has them as text, are a size and a mode.

    Where they say anything else it stays as it is, and is refused.
    """
    said = options.values(mount.options).get("options", "") if mount.kind == "tmpfs" else ""
    pairs = dict(option.partition("=")[::2] for option in said.split(",") if said)
    if not pairs or pairs.keys() - TMPFS.keys():
        return mount
    try:
        return replace(mount, options=as_options({key: TMPFS[key](text) for key, text in pairs.items()}))
    except (DockerException, ValueError):  # such as a size in percent
        return mount


TMPFS: Mapping[str, Callable[[str], float]] = {"size": parse_bytes, "mode": functools.partial(int, base=8)}
"""What Swarm takes of the options of a tmpfs, and how their texts are read."""


def losses(service: Service, version: str) -> list[str]:
    """Return what of a service's protection a Swarm of that API version does not hold."""
    asked = NO_NEW_PRIVILEGES.intersection(service.security_opt) if version_lt(version, HAS_PRIVILEGES) else ()
    ports = (port for port in service.ports if port.host not in {"", "0.0.0.0"})  # noqa: S104 - compared, not bound
    return [
        *(f"{service.name} may gain new privileges (security_opt {option})" for option in asked),
        *(f"{service.name} answers on every address at {port.published}, not on {port.host} only" for port in ports),
    ]


def refusals(stack: Stack, service: Service) -> list[str]:
    """Return the full names of what a service declares and Swarm cannot hold."""
    body = container_spec.body(stack, held(service, HAS_PRIVILEGES), {})
    known = {*HOST, *DNS, *LIMITS, *ELSEWHERE}
    unknown = [_snake_case(name) for name, value in body["HostConfig"].items() if value and name not in known]
    said = {
        "container_name": service.container_name,
        "entrypoint": options.values(service.options).get("entrypoint") == [],
        "depends_on": service.name in stack.completing or service.follows,
        "networks": any(value.keys() - {"aliases"} for value in options.values(service.endpoints).values()),
        "platform": service.platform,
        "ports": any(port.through for port in service.ports),
        "security_opt": set(service.security_opt) - NO_NEW_PRIVILEGES,
        "tmpfs": any(body["HostConfig"]["Tmpfs"].values()),
        "volumes": any(mount.kind == "bind" or "subpath" in dict(mount.options) for mount in service.mounts),
        **{key: key in dict(service.options) for key in ("domainname", "links", "mac_address", "network_mode")},
    }
    names = dict.fromkeys([*(name for name in unknown if name != "binds"), *(name for name in said if said[name])])
    return [f"services.{service.name}.{name}" for name in names]


def secrets(task: Body) -> list[str]:
    """Return the names of the Swarm's own secrets that a task has, which nobody can read to give them to a run."""
    return [str(each["SecretName"]) for each in task["ContainerSpec"].get("Secrets") or []]


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def build(  # noqa: PLR0913 - the parts of one service, each from a place of its own
    stack: Stack, service: Service, image: str, configs: list[Body], digests: Mapping[str, str], *, ingress: bool
) -> Body:
    """Return the specification of a service whose tasks run `image`.

    `configs` are the references to its configuration files, `digests` tell their content by target. With `ingress` its
    ports are every node's; else each is that of the node where the task runs, and names resolve to the tasks.
    """
    task = _task_template(stack, service, image, configs)
    labels = (
        options.values(service.options).get("labels", {})
        | {NAMESPACE: stack.project}
        | _own_labels(stack, service, digests)
    )
    digest = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()
    task["ContainerSpec"]["Labels"] = labels | {SPEC: digest}
    by_node = bool(service.ports) and not ingress
    return {
        "name": service_name(stack, service.name),
        "labels": {NAMESPACE: stack.project, f"{COMPOSE}service": service.name},
        "task_template": task,
        "mode": {"Replicated": {"Replicas": service.replicas}},
        "update_config": _watched(service) | {"FailureAction": "rollback"},
        "rollback_config": _update_config(service),
        "endpoint_spec": {
            "Mode": "vip" if service.ports and ingress else "dnsrr",
            "Ports": [_port(port, "host" if by_node else "ingress") for port in service.ports],
        },
    }


def service_name(stack: Stack, service: str) -> str:
    """Return Swarm's name of a service, as `docker stack deploy` gives it."""
    return f"{stack.project}_{service}"


def _own_labels(stack: Stack, service: Service, digests: Mapping[str, str]) -> dict[str, str]:
    recipe = {f"config.{target}": digest for target, digest in digests.items()}
    labels = container_spec.labels(stack, service, 1, recipe)
    return {
        name: value
        for name, value in labels.items()
        if name.startswith("twelfth.") and name != container_spec.ADMISSION
    }


def _task_template(stack: Stack, service: Service, image: str, configs: list[Body]) -> Body:
    body, declared = container_spec.body(stack, service, {}), container_spec.declared_options(stack, service)
    host, log, policy = body["HostConfig"], body["HostConfig"]["LogConfig"], body["HostConfig"]["RestartPolicy"]
    attempts = {"MaxAttempts": policy["MaximumRetryCount"]} if policy.get("MaximumRetryCount") else {}
    spec = {theirs: body.get(ours) for ours, theirs in CONFIG.items()}
    spec |= {theirs: host.get(ours) for ours, theirs in HOST.items()}
    dns = {theirs: host[ours] for ours, theirs in DNS.items() if host.get(ours)}
    spec |= {
        "Image": image,
        "StopGracePeriod": body["StopTimeout"] * NANO,
        "Mounts": [
            *(volume(stack, mount) for mount in host["Mounts"] if mount["Type"] != "bind"),
            *({"Type": "tmpfs", "Target": target} for target in host["Tmpfs"]),
        ],
        "Configs": configs,
        "Hostname": body.get("Hostname") or container_spec.TASK_ID,
        "Hosts": [" ".join(reversed(pair.split(":", 1))) for pair in host.get("ExtraHosts") or []],
        "DNSConfig": dns,
        "Privileges": {"NoNewPrivileges": True} if service.security_opt else None,
    }
    return {
        "ContainerSpec": _said(spec) | ({"Init": False} if service.init is False else {}),
        "Resources": {"Limits": {theirs: host[ours] for ours, theirs in LIMITS.items() if host.get(ours)}},
        "RestartPolicy": {"Condition": CONDITIONS[policy["Name"]], "Delay": NANO} | attempts,
        "Placement": {"Constraints": list(service.constraints)},
        "Networks": [
            {"Target": name, "Aliases": container_spec.endpoint(service.name, declared, name)["Aliases"]}
            for name in sorted(container_spec.network_names(stack, service))
        ],
    } | ({"LogDriver": {"Name": log["Type"], "Options": log["Config"]}} if log["Type"] else {})


def _said(values: Mapping[str, object]) -> Body:
    return {name: value for name, value in values.items() if value is not False and value not in (None, "", [], {})}


def volume(stack: Stack, mount: Body) -> Body:
    """Return a mount whose volume, where it is the stack's, is made as declared, and with Compose's labels.

    It is made where the task goes, and not before.
    """
    own = {stack.known_as(each.kind, each.name): each for each in stack.volumes if not each.external}
    declared = own.get(mount.get("Source", "")) if mount["Type"] == "volume" else None
    if declared is None:
        return mount
    said, settings = options.values(declared.options or ()), dict(mount.get("VolumeOptions") or {})
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}volume": declared.name}
    settings["Labels"] = said.get("labels", {}) | settings.get("Labels", {}) | labels
    if {"driver", "driver_opts"} & said.keys():
        settings["DriverConfig"] = {"Name": said.get("driver", "local"), "Options": said.get("driver_opts", {})}
    return mount | {"VolumeOptions": settings}


def _port(port: Port, mode: str) -> Body:
    published = {"PublishedPort": port.published} if port.published else {}
    return {"Protocol": port.protocol, "TargetPort": port.target, **published, "PublishMode": mode}


def _update_config(service: Service) -> Body:
    """Return how Swarm rolls a service: the new task first, where there can be two of them."""
    order = "stop-first" if service.is_replaced_in_place else "start-first"
    return {"Parallelism": 1, "Order": order, "FailureAction": "pause", "Monitor": NANO // 2, "MaxFailureRatio": 0.0}


def _watched(service: Service) -> Body:
    """Return how Swarm rolls out a new release, and how long it watches new tasks before it can no longer roll back.

    Swarm removes an old task as soon as the new one runs. Without the delay it would have replaced all of them before
    the first one fails.
    """
    monitor = max(round(service.monitor * NANO), 1)  # 0 is Swarm's default
    return _update_config(service) | {"Monitor": monitor, "Delay": monitor if service.replicas > 1 else 0}


def inspected(task: Body, service: Body, image: Body, networks: Mapping[str, str]) -> Body:
    """Return what a daemon would report of a container that was made from a task's specification.

    `service` is as the API tells it, `image` is the inspected image, {} where it is not here; `networks` are the names
    of networks by id.
    """
    spec = task["ContainerSpec"]
    own = {ours: spec[theirs] for ours, theirs in CONFIG.items() if theirs in spec}
    names = sorted(networks.get(each["Target"], each["Target"]) for each in task.get("Networks") or [])
    host = _inspected_host(task, service["Spec"].get("EndpointSpec") or {}) | {
        "NetworkMode": names[0] if names else "none"
    }
    labels = (spec.get("Labels") or {}) | {
        f"{COMPOSE}project": snapshot.project(service),
        f"{COMPOSE}service": snapshot.service_name(service),
    }
    return {
        "Image": image.get("Id") or spec["Image"],
        "Config": completed(own, image)
        | {"Labels": labels, "StopTimeout": spec.get("StopGracePeriod", 10 * NANO) // NANO},
        "HostConfig": host,
        "Mounts": list(map(mounts.seen, host["Mounts"])),
        "Configs": spec.get("Configs") or [],
        "NetworkSettings": {
            "Networks": {name: {"NetworkID": identity} for identity, name in networks.items() if name in names}
        },
    }


def _inspected_host(task: Body, endpoint: Body) -> Body:
    spec, limits = task["ContainerSpec"], (task.get("Resources") or {}).get("Limits") or {}
    log, dns = task.get("LogDriver") or {}, spec.get("DNSConfig") or {}
    plain = [
        each["Target"] for each in spec.get("Mounts", ()) if each["Type"] == "tmpfs" and "TmpfsOptions" not in each
    ]
    policy = task.get("RestartPolicy") or {}
    conditions = {theirs: ours for ours, theirs in CONDITIONS.items()}
    return (
        {ours: spec[theirs] for ours, theirs in HOST.items() if theirs in spec}
        | {ours: limits[theirs] for ours, theirs in LIMITS.items() if theirs in limits}
        | {ours: dns[theirs] for ours, theirs in DNS.items() if theirs in dns}
        | {
            "Mounts": [each for each in spec.get("Mounts", ()) if each["Target"] not in plain],
            "Tmpfs": dict.fromkeys(plain, ""),
            "ExtraHosts": [":".join(reversed(pair.split(" ", 1))) for pair in spec.get("Hosts") or []] or None,
            "SecurityOpt": [IS_HELD] if (spec.get("Privileges") or {}).get("NoNewPrivileges") else [],
            "RestartPolicy": {
                "Name": conditions[policy.get("Condition", "any")],
                "MaximumRetryCount": policy.get("MaxAttempts", 0),
            },
            "LogConfig": {"Type": log.get("Name", ""), "Config": log.get("Options") or {}},
            "PortBindings": _bindings(endpoint.get("Ports") or []),
        }
    )


def _bindings(ports: list[Body]) -> dict[str, list[Body]]:
    found: dict[str, list[Body]] = {}
    for port in ports:
        binding = {"HostIp": "", "HostPort": str(port.get("PublishedPort", ""))}
        found.setdefault(f"{port['TargetPort']}/{port.get('Protocol', 'tcp')}", []).append(binding)
    return found
