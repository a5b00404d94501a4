"""How a service is said to the Engine API, and read back from it: pure, both ways.

Bodies are those of `POST /containers/create`, answers those of `GET /containers/{id}/json`
(https://docs.docker.com/reference/api/engine/version/v1.41/). Labels are Compose's
(https://github.com/docker/compose/blob/main/pkg/api/labels.go), so that `docker compose` sees the stack as its own.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from twelfth.model.snapshot import UNKNOWN, Replica
from twelfth.release import DIGITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Healthcheck, Mount, Service, Stack

Body = dict[str, Any]
COMPOSE = "com.docker.compose."
CONFIGS = "twelfth.configs."
RELEASE = "twelfth.release"
NANO = 1_000_000_000


def labels(stack: Stack, service: Service, number: int, recipe: Recipe) -> dict[str, str]:
    """Return the labels of a replica: Compose's, its release, and the digests of its configuration files."""
    own = {CONFIGS + name.split(".", 1)[1]: value for name, value in recipe.items() if name.startswith("config.")}
    fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return own | {
        RELEASE: release_of(service.image) if service.build else "",
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
    """Return the body that creates one replica of the service, on the first of its networks."""
    first = {network: endpoint(service) for network in network_names(stack, service)[:1]}
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
        "NetworkingConfig": {"EndpointsConfig": first},
    }


def network_names(stack: Stack, service: Service) -> list[str]:
    """Return the engine's names of the networks that a service is on."""
    return [f"{stack.project}_{network}" for network in service.networks]


def endpoint(service: Service) -> Body:
    """Return the settings of a replica on a network: it answers to its service's name."""
    return {"Aliases": [service.name]}


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
    }


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


def wanted_recipe(stack: Stack, service: Service, image: Body | None, configs: Mapping[str, str]) -> Recipe:
    """Return what a replica of the service would be made from.

    `image` is its inspected image, None where it is not there yet; `configs` are the digests of its configuration
    files, by target.
    """
    wanted = body(stack, service, {})
    defaults = (image or {}).get("Config") or {}
    checks = _merged_check(wanted["Healthcheck"], defaults.get("Healthcheck"))
    config = {
        **wanted,
        "Cmd": wanted["Cmd"] if wanted["Cmd"] is not None else defaults.get("Cmd"),
        "Env": [f"{name}={value}" for name, value in {**_env(defaults), **_env(wanted)}.items()],
        "User": wanted["User"] or defaults.get("User") or "",
        "Healthcheck": checks,
    }
    return _recipe(
        config,
        wanted["HostConfig"],
        image["Id"] if image else f"{service.image}, not here yet",
        {f"config.{target}": digest for target, digest in configs.items()}
        | {f"volume.{mount['Target']}": mount["Source"] for mount in _volumes(wanted["HostConfig"])},
        network_names(stack, service),
    )


def found_recipe(inspected: Body) -> Recipe:
    """Return what a container was made from, whoever made it."""
    labels = inspected["Config"].get("Labels") or {}
    binds, volumes = ([each for each in inspected["Mounts"] if each["Type"] == kind] for kind in ("bind", "volume"))
    return _recipe(
        inspected["Config"],
        inspected["HostConfig"],
        inspected["Image"],
        {f"config.{mount['Destination']}": labels.get(CONFIGS + mount["Destination"], UNKNOWN) for mount in binds}
        | {f"volume.{mount['Destination']}": mount["Name"] for mount in volumes},
        inspected["NetworkSettings"]["Networks"],
    )


def _recipe(config: Body, host: Body, image: str, mounts: Recipe, networks: list[str] | Body) -> Recipe:
    bindings = (host.get("PortBindings") or {}).items()
    return {
        "image": image,
        "command": json.dumps(config.get("Cmd") or []),
        "user": config.get("User") or "",
        "healthcheck": json.dumps(_merged_check(config.get("Healthcheck"), None), sort_keys=True),
        "stop_grace_period": f"{config.get('StopTimeout') or 10}s",
        "init": str(bool(host.get("Init"))),
        "read_only": str(bool(host.get("ReadonlyRootfs"))),
        "cap_drop": json.dumps(sorted(host.get("CapDrop") or [])),
        "security_opt": json.dumps(sorted(host.get("SecurityOpt") or [])),
        "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "limits.cpus": str((host.get("NanoCpus") or 0) / NANO),
        "limits.memory": str(host.get("Memory") or 0),
        "limits.pids": str(max(host.get("PidsLimit") or 0, 0)),
        **{f"environment.{name}": value for name, value in _env(config).items()},
        **{f"tmpfs.{target}": options for target, options in (host.get("Tmpfs") or {}).items()},
        **{f"network.{name}": "joined" for name in networks},
        **{
            f"port.{one['HostPort']}": f"{one['HostIp']} to {target}"
            for target, bound in bindings
            for one in bound or []
        },
        **mounts,
    }


def _env(config: Body) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in config.get("Env") or [] if "=" in pair)


def _volumes(host: Body) -> list[Body]:
    return [mount for mount in host["Mounts"] if mount["Type"] == "volume"]


def _merged_check(own: Body | None, default: Body | None) -> Body:
    """Return a healthcheck as the daemon completes it: what is not said comes from the image's."""
    both = {**(default or {}), **{name: value for name, value in (own or {}).items() if value}}
    return {name: value for name, value in both.items() if value}


def running(inspected: Body, image: Body | None) -> Replica:
    """Return a container of the stack as a value."""
    labels = inspected["Config"].get("Labels") or {}
    state = inspected["State"]
    return Replica(
        service=labels[f"{COMPOSE}service"],
        number=int(labels.get(f"{COMPOSE}container-number") or 1),
        id=inspected["Id"],
        state=f"{state['Status']} ({state['ExitCode']})" if state["Status"] == "exited" else state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        release=labels.get(RELEASE) or _tagged(image),
        image=inspected["Image"],
        address=_address(inspected),
        recipe=found_recipe(inspected),
    )


def _tagged(image: Body | None) -> str:
    """Return the release that an image's own names tell, where its container's labels tell none."""
    tags = [release_of(name) for name in (image or {}).get("RepoTags") or []]
    return next((tag for tag in tags if len(tag) == DIGITS and not set(tag) - set("0123456789abcdef")), "")


def _address(inspected: Body) -> str:
    ports = (inspected["NetworkSettings"].get("Ports") or {}).values()
    bound = [binding for bindings in ports for binding in bindings or []]
    return f"{bound[0]['HostIp']}:{bound[0]['HostPort']}" if bound else ""
