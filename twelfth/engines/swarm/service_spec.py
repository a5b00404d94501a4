"""Translate the body of a container to the specification of a Swarm service, and back; pure.

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

from twelfth.compose import container_keys
from twelfth.engines.docker_api import container_spec, mounts
from twelfth.engines.docker_api.container_spec import COMPOSE, NANO
from twelfth.engines.docker_api.recipe import completed
from twelfth.engines.swarm import snapshot
from twelfth.engines.swarm.snapshot import NAMESPACE
from twelfth.model.service import as_options
from twelfth.model.stack import PROXY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Mount, Port, Service
    from twelfth.model.stack import Stack

SPEC = "twelfth.spec"
"""Label of a service's containers: the digest of their specification, which tells new tasks from old ones."""

HAS_PRIVILEGES = "1.44"
"""The first version of the API with which Swarm supports `no-new-privileges` and `start_interval`."""

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
"""Swarm's names of the fields of a container's Config."""

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
"""Swarm's names of the fields of a container's HostConfig."""

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
"""Fields of a container's HostConfig that `_task_template` translates in another way."""

NO_NEW_PRIVILEGES = "no-new-privileges:true"
NOTATIONS = {NO_NEW_PRIVILEGES, "no-new-privileges", "no-new-privileges=true"}


def supported(service: Service, version: str) -> Service:
    """Return a service with the closest settings that a Swarm of that API version supports; see `losses`.

    Swarm has no `unless-stopped`. It runs a healthcheck only at the declared interval, which delays each replica of a
    deploy, so while a task starts the interval is one second. Before API 1.44 there is only one interval.
    """
    check, is_old = service.healthcheck, version_lt(version, HAS_PRIVILEGES)
    if check and is_old:
        check = replace(check, interval=min(check.interval or 30.0, 1.0), start_interval=None)
    elif check:
        start = check.start_period or START_PERIOD  # start_interval applies only to this period
        check = replace(check, start_period=start, start_interval=check.start_interval or 1.0)
    return replace(
        service,
        healthcheck=check,
        security_opt=(NO_NEW_PRIVILEGES,) if not is_old and NOTATIONS.intersection(service.security_opt) else (),
        mounts=tuple(map(_supported_mount, service.mounts)),
        ports=tuple(dict.fromkeys(replace(port, host="") for port in service.ports)),
        restart="always" if service.restart == "unless-stopped" else service.restart,
    )


def _supported_mount(mount: Mount) -> Mount:
    """Return a tmpfs with its options, a text, as numbers; with other options than these it stays, and is refused."""
    text = container_keys.values(mount.options).get("options", "") if mount.kind == "tmpfs" else ""
    pairs = dict(option.partition("=")[::2] for option in text.split(",") if text)
    if not pairs or pairs.keys() - TMPFS.keys():
        return mount
    try:
        return replace(mount, options=as_options({key: TMPFS[key](value) for key, value in pairs.items()}))
    except (DockerException, ValueError):  # such as a size in percent
        return mount


TMPFS: Mapping[str, Callable[[str], float]] = {"size": parse_bytes, "mode": functools.partial(int, base=8)}
"""The options of a tmpfs that Swarm supports, and the functions that parse their values."""


def losses(service: Service, version: str) -> list[str]:
    """Return sentences on the declared protection that a Swarm of that API version does not enforce."""
    lost_options = NOTATIONS.intersection(service.security_opt) if version_lt(version, HAS_PRIVILEGES) else ()
    ports = (port for port in service.ports if port.host not in {"", "0.0.0.0"})  # noqa: S104 - compared, not bound
    return [
        *(f"{service.name} may gain new privileges (security_opt {option})" for option in lost_options),
        *(f"{service.name} answers on every address at {port.published}, not on {port.host} only" for port in ports),
    ]


def refusals(stack: Stack, service: Service) -> list[str]:
    """Return the full names of declared settings that Swarm does not support."""
    body = container_spec.body(stack, supported(service, HAS_PRIVILEGES), {})
    known = {*HOST, *DNS, *LIMITS, *ELSEWHERE}
    unknown = [_snake_case(name) for name, value in body["HostConfig"].items() if value and name not in known]
    declared = {
        "container_name": service.container_name,
        "entrypoint": container_keys.values(service.options).get("entrypoint") == [],
        "depends_on": service.name in stack.completing or service.follows,
        "networks": any(value.keys() - {"aliases"} for value in container_keys.values(service.endpoints).values()),
        "platform": service.platform,
        "ports": any(port.through for port in service.ports),
        "post_start": service.post_start,
        "pre_stop": service.pre_stop,
        "security_opt": set(service.security_opt) - NOTATIONS,
        "tmpfs": any(body["HostConfig"]["Tmpfs"].values()),
        "volumes": any(mount.kind == "bind" or "subpath" in dict(mount.options) for mount in service.mounts),
        **{key: key in dict(service.options) for key in ("domainname", "links", "mac_address", "network_mode")},
    }
    names = dict.fromkeys(
        [*(name for name in unknown if name != "binds"), *(name for name in declared if declared[name])]
    )
    # Swarm spreads the requests on a published port itself, and nothing could be drained between its steps.
    proxy = ["x-twelfth.proxy"] if stack.proxy and service.name == PROXY else []
    return proxy + [f"services.{service.name}.{name}" for name in names]


def secrets(task: Body) -> list[str]:
    """Return the names of a task's secrets in the Swarm, which a run cannot get because no client can read them."""
    return [str(secret["SecretName"]) for secret in task["ContainerSpec"].get("Secrets") or []]


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def build(  # noqa: PLR0913 - the parts of one service, each from another source
    stack: Stack, service: Service, image: str, configs: list[Body], digests: Mapping[str, str], *, ingress: bool
) -> Body:
    """Return the specification of a service whose tasks run `image`.

    `configs` are the references to its configuration files, `digests` their digests by target. With `ingress`, every
    node publishes its ports; otherwise only the node of a task does, and the service's name resolves to the tasks.
    """
    task = _task_template(stack, service, image, configs)
    labels = (
        container_keys.values(service.options).get("labels", {})
        | {NAMESPACE: stack.project}
        | _twelfth_labels(stack, service, digests)
    )
    digest = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()
    task["ContainerSpec"]["Labels"] = labels | {SPEC: digest}
    uses_host_ports = bool(service.ports) and not ingress
    return {
        "name": service_name(stack, service.name),
        "labels": {NAMESPACE: stack.project, f"{COMPOSE}service": service.name},
        "task_template": task,
        "mode": {"Replicated": {"Replicas": service.replicas}},
        "update_config": _watched(service) | {"FailureAction": "rollback"},
        "rollback_config": _update_config(service),
        "endpoint_spec": {
            "Mode": "vip" if service.ports and ingress else "dnsrr",
            "Ports": [_port(port, "host" if uses_host_ports else "ingress") for port in service.ports],
        },
    }


def service_name(stack: Stack, service: str) -> str:
    """Return Swarm's name of a service, as `docker stack deploy` forms it."""
    return f"{stack.project}_{service}"


def _twelfth_labels(stack: Stack, service: Service, digests: Mapping[str, str]) -> dict[str, str]:
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
    spec = {swarm_name: body.get(name) for name, swarm_name in CONFIG.items()}
    spec |= {swarm_name: host.get(name) for name, swarm_name in HOST.items()}
    dns = {swarm_name: host[name] for name, swarm_name in DNS.items() if host.get(name)}
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
        "ContainerSpec": _nonempty(spec) | ({"Init": False} if service.init is False else {}),
        "Resources": {"Limits": {swarm_name: host[name] for name, swarm_name in LIMITS.items() if host.get(name)}},
        "RestartPolicy": {"Condition": CONDITIONS[policy["Name"]], "Delay": NANO} | attempts,
        "Placement": {"Constraints": list(service.constraints)},
        "Networks": [
            {"Target": name, "Aliases": container_spec.endpoint(service.name, declared, name)["Aliases"]}
            for name in sorted(container_spec.network_names(stack, service))
        ],
    } | ({"LogDriver": {"Name": log["Type"], "Options": log["Config"]}} if log["Type"] else {})


def _nonempty(values: Mapping[str, object]) -> Body:
    return {name: value for name, value in values.items() if value is not False and value not in (None, "", [], {})}


def volume(stack: Stack, mount: Body) -> Body:
    """Return a mount of a volume of the stack with the volume's settings and Compose's labels.

    Swarm creates the volume on the node of a task, when it starts the task.
    """
    volumes = {stack.known_as(volume.kind, volume.name): volume for volume in stack.volumes if not volume.external}
    declared = volumes.get(mount.get("Source", "")) if mount["Type"] == "volume" else None
    if declared is None:
        return mount
    declaration, settings = container_keys.values(declared.options or ()), dict(mount.get("VolumeOptions") or {})
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}volume": declared.name}
    settings["Labels"] = declaration.get("labels", {}) | settings.get("Labels", {}) | labels
    if {"driver", "driver_opts"} & declaration.keys():
        driver_options = declaration.get("driver_opts", {})
        settings["DriverConfig"] = {"Name": declaration.get("driver", "local"), "Options": driver_options}
    return mount | {"VolumeOptions": settings}


def _port(port: Port, mode: str) -> Body:
    published = {"PublishedPort": port.published} if port.published else {}
    return {"Protocol": port.protocol, "TargetPort": port.target, **published, "PublishMode": mode}


def _update_config(service: Service) -> Body:
    # The new task starts first, unless the service can have only one.
    order = "stop-first" if service.is_replaced_in_place else "start-first"
    return {"Parallelism": 1, "Order": order, "FailureAction": "pause", "Monitor": NANO // 2, "MaxFailureRatio": 0.0}


def _watched(service: Service) -> Body:
    # Swarm removes an old task when the new one is running. Without the delay it would replace all of them before the
    # first one fails, and it can roll back only while it monitors the new tasks.
    monitor = max(round(service.monitor * NANO), 1)  # 0 is Swarm's default
    return _update_config(service) | {"Monitor": monitor, "Delay": monitor if service.replicas > 1 else 0}


def inspected(task: Body, service: Body, image: Body, networks: Mapping[str, str]) -> Body:
    """Return what a daemon would report of a container that was made from a task's specification.

    `service` is the API's answer, `image` is the inspected image, {} if it is missing; `networks` are the names of
    networks by id.
    """
    spec = task["ContainerSpec"]
    config = {name: spec[swarm_name] for name, swarm_name in CONFIG.items() if swarm_name in spec}
    names = sorted(networks.get(network["Target"], network["Target"]) for network in task.get("Networks") or [])
    host = _inspected_host(task, service["Spec"].get("EndpointSpec") or {}) | {
        "NetworkMode": names[0] if names else "none"
    }
    labels = (spec.get("Labels") or {}) | {
        f"{COMPOSE}project": snapshot.project(service),
        f"{COMPOSE}service": snapshot.service_name(service),
    }
    return {
        "Image": image.get("Id") or spec["Image"],
        "Config": completed(config, image)
        | {"Labels": labels, "StopTimeout": spec.get("StopGracePeriod", 10 * NANO) // NANO},
        "HostConfig": host,
        "Mounts": list(map(mounts.reported, host["Mounts"])),
        "Configs": spec.get("Configs") or [],
        "NetworkSettings": {
            "Networks": {name: {"NetworkID": network_id} for network_id, name in networks.items() if name in names}
        },
    }


def _inspected_host(task: Body, endpoint: Body) -> Body:
    spec, limits = task["ContainerSpec"], (task.get("Resources") or {}).get("Limits") or {}
    log, dns = task.get("LogDriver") or {}, spec.get("DNSConfig") or {}
    plain_tmpfs = [
        mount["Target"] for mount in spec.get("Mounts", ()) if mount["Type"] == "tmpfs" and "TmpfsOptions" not in mount
    ]
    policy = task.get("RestartPolicy") or {}
    conditions = {swarm_name: name for name, swarm_name in CONDITIONS.items()}
    return (
        {name: spec[swarm_name] for name, swarm_name in HOST.items() if swarm_name in spec}
        | {name: limits[swarm_name] for name, swarm_name in LIMITS.items() if swarm_name in limits}
        | {name: dns[swarm_name] for name, swarm_name in DNS.items() if swarm_name in dns}
        | {
            "Mounts": [mount for mount in spec.get("Mounts", ()) if mount["Target"] not in plain_tmpfs],
            "Tmpfs": dict.fromkeys(plain_tmpfs, ""),
            "ExtraHosts": [":".join(reversed(pair.split(" ", 1))) for pair in spec.get("Hosts") or []] or None,
            "SecurityOpt": [NO_NEW_PRIVILEGES] if (spec.get("Privileges") or {}).get("NoNewPrivileges") else [],
            "RestartPolicy": {
                "Name": conditions[policy.get("Condition", "any")],
                "MaximumRetryCount": policy.get("MaxAttempts", 0),
            },
            "LogConfig": {"Type": log.get("Name", ""), "Config": log.get("Options") or {}},
            "PortBindings": _bindings(endpoint.get("Ports") or []),
        }
    )


def _bindings(ports: list[Body]) -> dict[str, list[Body]]:
    bindings: dict[str, list[Body]] = {}
    for port in ports:
        binding = {"HostIp": "", "HostPort": str(port.get("PublishedPort", ""))}
        bindings.setdefault(f"{port['TargetPort']}/{port.get('Protocol', 'tcp')}", []).append(binding)
    return bindings
