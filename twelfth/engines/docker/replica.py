"""A replica of a service as the Engine API makes it: the body of its creation, its labels, its networks; pure.

Bodies are those of `POST /containers/create` (https://docs.docker.com/reference/api/engine/version/v1.41/). Labels are
Compose's (https://github.com/docker/compose/blob/main/pkg/api/labels.go): `docker compose` sees the stack as its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twelfth.engines.docker import options
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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

OPTIONS = "twelfth.options"
"""Label: what else the Compose file says of how the container is made, and of its networks, as a JSON object."""

SETTINGS = "twelfth.settings"
"""Label of a network or volume: what the Compose file says of how it is made, as a JSON object."""

SOURCE_MOUNTED = "twelfth.source-mounted"
"""Label: where a container sees what its image is built from, as JSON; none where it sees only what was built."""

NANO = 1_000_000_000


def labels(stack: Stack, service: Service, number: int, recipe: Recipe) -> dict[str, str]:
    """Return the labels of a replica: Compose's, its release, and the digests of its configuration files."""
    files = {name: value for name, value in recipe.items() if name.startswith("config.") and value != UNKNOWN}
    own = {CONFIGS + name.split(".", 1)[1]: value for name, value in files.items()}
    fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    if service.mounted_source:
        own[SOURCE_MOUNTED] = json.dumps([mount.target for mount in service.mounted_source])
    return own | {
        RELEASE: release_of(service.image) if service.build else "",
        ADMISSION: json.dumps(admission_networks(stack, service)),
        LOGGING: declared_logging(service),
        OPTIONS: json.dumps(declared_options(stack, service), sort_keys=True),
        f"{COMPOSE}project": stack.project,
        f"{COMPOSE}service": service.name,
        f"{COMPOSE}container-number": str(number),
        f"{COMPOSE}oneoff": "False",
        f"{COMPOSE}config-hash": fingerprint,
        f"{COMPOSE}depends_on": ",".join(_dependency(service, name) for name in service.depends_on),
        f"{COMPOSE}project.working_dir": str(stack.directory),
        f"{COMPOSE}project.config_files": ",".join(map(str, stack.files)),
    }


def release_of(image: str) -> str:
    """Return the release that an image's name tells: its tag."""
    return image.rpartition(":")[2]


def _dependency(service: Service, name: str) -> str:
    condition = dict(service.conditions).get(name, "service_started")
    return f"{name}:{condition}:{str(name in service.follows).lower()}"


def declared_options(stack: Stack, service: Service) -> dict[str, Any]:
    """Return what the Compose file says of how a container is made, and under `networks` of its engine's networks."""
    said = {stack.known_as("network", name): value for name, value in options.values(service.endpoints).items()}
    anonymous = sorted(mount.target for mount in service.mounts if mount.kind == "volume" and not mount.source)
    own = {
        "container_name": service.container_name,
        "platform": service.platform,
        "networks": said,
        "volumes": anonymous,
    }
    return {**options.values(service.options), **{key: value for key, value in own.items() if value}}


def body(stack: Stack, service: Service, labels: Mapping[str, str]) -> Body:
    """Return the body that creates one replica of the service, but for its networks."""
    own = options.body(service.options)
    published: Body = {f"{port.target}/{port.protocol}": {} for port in service.ports}
    return {
        "Image": service.image,
        "Cmd": None if service.command is None else list(service.command),
        "Env": [f"{name}={value}" for name, value in service.environment],
        "User": service.user or "",
        "Healthcheck": service.healthcheck and _healthcheck(service.healthcheck),
        "StopTimeout": math.ceil(service.stop_grace),
        **own,
        "Labels": own.get("Labels", {}) | dict(labels),
        "ExposedPorts": published | own.get("ExposedPorts", {}),
        "HostConfig": _host_config(stack, service) | own["HostConfig"],
    }


ANONYMOUS = re.compile("[0-9a-f]{64}")
"""The name that the daemon gives to a volume that a container has for itself, as it or its image declares it."""


def taking_over(body: Body, mounts: Iterable[Body]) -> Body:
    """Return a body with the volumes that another container has for itself, but for where it declares others."""
    own = {each["Destination"]: each["Name"] for each in mounts if is_anonymous(each)}
    host = body["HostConfig"]
    declared = [each | {"Source": own.pop(each["Target"])} if _wants(each, own) else each for each in host["Mounts"]]
    taken = {each["Target"] for each in declared} | {bind.split(":")[1] for bind in host["Binds"]} | {*host["Tmpfs"]}
    rest = [{"Type": "volume", "Source": own[target], "Target": target} for target in own if target not in taken]
    return body | {"HostConfig": host | {"Mounts": [*declared, *rest]}}


def _wants(mount: Body, own: Body) -> bool:
    return mount["Type"] == "volume" and "Source" not in mount and mount["Target"] in own


def is_anonymous(mount: Body) -> bool:
    """Return whether a mount that a container has, or is to have, is a volume of its own."""
    name = mount.get("Name") or mount.get("Source") or ""
    return mount["Type"] == "volume" and (not name or bool(ANONYMOUS.fullmatch(name)))


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
    return [stack.known_as("network", network) for network in names]


def admission_networks(stack: Stack, service: Service) -> list[str]:
    """Return the engine's names of the networks that a replica joins when it is ready, and not before.

    Those are where a service that depends on this one looks for it; none where there is only one replica, which nobody
    can do without meanwhile.
    """
    held = () if service.is_replaced_in_place else stack.networks_to_dependants(service)
    return [stack.known_as("network", network) for network in held]


def endpoints(stack: Stack, service: Service, links: Sequence[str] = ()) -> dict[str, Body]:
    """Return the networks that a replica is made on, and its settings there: it answers to its service's name.

    One that is on no network but those of its admission is made on them without that name. `links` are other containers
    and what it calls them.
    """
    said = declared_options(stack, service).get("networks", {})
    made = _endpoints(service.name, network_names(stack, service), admission_networks(stack, service), said)
    return {name: each | ({"Links": list(links)} if links else {}) for name, each in made.items()}


def _endpoints(service: str, names: list[str], held: list[str], said: Body) -> dict[str, Body]:
    apart = {name: endpoint(service, said.get(name, {})) for name in names if name not in held}
    return apart or {name: {"Aliases": []} for name in names}


def network_settings(said: Body) -> Body:
    """Return the settings of a network as `create_network` of the SDK has them."""
    ipam = said.get("ipam") or {}
    pools = [{ours: each.get(key) for key, ours in _POOL.items()} for each in ipam.get("config") or []]
    return {
        "driver": said.get("driver"),
        "options": said.get("driver_opts"),
        "attachable": said.get("attachable"),
        "enable_ipv6": bool(said.get("enable_ipv6")),
        **(
            {"ipam": {"Driver": ipam.get("driver") or "default", "Config": pools, "Options": ipam.get("options")}}
            if ipam
            else {}
        ),
    }


_POOL = {"subnet": "Subnet", "ip_range": "IPRange", "gateway": "Gateway", "aux_addresses": "AuxiliaryAddresses"}


def endpoint(service: str, said: Body) -> Body:
    """Return a container's settings on one network, from what the Compose file says of it there."""
    addresses = {ours: said[key] for key, ours in _ADDRESSES.items() if said.get(key)}
    others = {ours: said[key] for key, ours in _ENDPOINT.items() if said.get(key)}
    return {
        "Aliases": list(dict.fromkeys([service, *said.get("aliases", ())])),
        **({"IPAMConfig": addresses} if addresses else {}),
        **others,
    }


_ADDRESSES = {"ipv4_address": "IPv4Address", "ipv6_address": "IPv6Address", "link_local_ips": "LinkLocalIPs"}
_ENDPOINT = {"mac_address": "MacAddress", "driver_opts": "DriverOpts", "gw_priority": "GwPriority"}


def clone(
    inspected: Body, number: int, labels: Mapping[str, str], copies: Mapping[str, str] = MappingProxyType({})
) -> Body:
    """Return the body that creates another container like one that is there, but for its networks and these labels.

    `copies` are its own copies of configuration files, by target.
    """
    said = declared_of(inspected)
    config = {name: value for name, value in inspected["Config"].items() if name not in _OWN or name.lower() in said}
    own = {**config["Labels"], **labels, f"{COMPOSE}container-number": str(number)}
    mounts = [_mount_of_clone(mount, copies) for mount in inspected["HostConfig"].get("Mounts") or []]
    host = inspected["HostConfig"] | ({"Mounts": mounts} if mounts else {})
    return config | {"Labels": own, "HostConfig": host}


def _mount_of_clone(mount: Body, copies: Mapping[str, str]) -> Body:
    """Return a mount as another container is to have it: with copies, and a volume, of its own."""
    if is_anonymous(mount):
        return {name: value for name, value in mount.items() if name != "Source"}
    return mount | {"Source": copies[mount["Target"]]} if mount["Target"] in copies else mount


_OWN = {"Hostname", "Domainname"}
"""What the daemon gives each container by itself."""


def declared_of(inspected: Body) -> dict[str, Any]:
    """Return what was declared of a container when it was made; nothing of one that Compose made."""
    declared: dict[str, Any] = json.loads((inspected["Config"].get("Labels") or {}).get(OPTIONS) or "{}")
    return declared


def endpoints_of_clone(inspected: Body, labels: Mapping[str, str]) -> dict[str, Body]:
    """Return the networks on which a container with these labels, like one that is there, is made; see `endpoints`."""
    there = inspected["NetworkSettings"]["Networks"]
    first = inspected["HostConfig"]["NetworkMode"]
    names = sorted(there, key=lambda network: network != first)
    held, said = json.loads(labels.get(ADMISSION) or "[]"), declared_of(inspected).get("networks", {})
    return _endpoints(labels[f"{COMPOSE}service"], names, held, said)


def _host_config(stack: Stack, service: Service) -> Body:
    limits = service.limits
    names = network_names(stack, service)
    policy, _, retries = service.restart.partition(":")
    return {
        "NetworkMode": names[0] if names else "none",
        "PortBindings": _port_bindings(service),
        "Binds": [_bind(mount) for mount in service.mounts if _is_bind(mount)],
        "Mounts": [_mount(stack, mount) for mount in service.mounts if _is_mount(mount)],
        "Tmpfs": {each.target: _tmpfs_options(each) for each in service.mounts if _is_plain_tmpfs(each)},
        "Init": service.init or None,
        "ReadonlyRootfs": service.read_only,
        "CapDrop": list(service.cap_drop),
        "SecurityOpt": list(service.security_opt),
        "NanoCpus": round((limits.cpus or 0) * NANO),
        "Memory": limits.memory or 0,
        "PidsLimit": limits.pids,
        "RestartPolicy": {"Name": policy} | ({"MaximumRetryCount": int(retries)} if retries else {}),
        "LogConfig": _log_config(service),
    }


def _port_bindings(service: Service) -> Body:
    """Return where ports are published; "" stands for any that is free."""
    found: dict[str, list[Body]] = {}
    for port in service.ports:
        outside = f"{port.published or ''}" + (f"-{port.through}" if port.through else "")
        binding = {"HostIp": port.host, "HostPort": outside}
        found.setdefault(f"{port.target}/{port.protocol}", []).append(binding)
    return found


def declared_logging(service: Service) -> str:
    """Return what is declared of a service's log, as text."""
    return json.dumps(_log_config(service), sort_keys=True)


def _log_config(service: Service) -> Body:
    """Return where the daemon keeps a replica's log; options without a driver are those of its usual one."""
    declared = service.logging
    driver = declared.driver or ("json-file" if declared.options else "")
    return {"Type": driver, "Config": dict(declared.options)}


def _is_bind(mount: Mount) -> bool:
    """Return whether a path of the daemon's machine is made where it is not there, which `Mounts` cannot say."""
    said = options.values(mount.options)
    return (
        mount.kind == "bind"
        and said.get("create_host_path") is not False
        and not {"propagation", "recursive"} & said.keys()
    )


def _bind(mount: Mount) -> str:
    said = options.values(mount.options)
    mode = ["ro" if mount.read_only else "rw", said.get("selinux")]
    return f"{mount.source}:{mount.target}:{','.join(filter(None, mode))}"


def _is_plain_tmpfs(mount: Mount) -> bool:
    return mount.kind == "tmpfs" and not {"size", "mode"} & dict(mount.options).keys()


def _tmpfs_options(mount: Mount) -> str:
    return str(options.values(mount.options).get("options", ""))


def _is_mount(mount: Mount) -> bool:
    """Return whether a mount is one that the API has as such."""
    return not (_is_bind(mount) or _is_plain_tmpfs(mount))


def _mount(stack: Stack, mount: Mount) -> Body:
    settings: Body
    said = options.values(mount.options)
    if mount.kind == "config":
        return {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": True}
    read_only = {"ReadOnly": True} if mount.read_only else {}  # as the daemon shows it: false is not said
    if mount.kind == "tmpfs":
        settings = {"SizeBytes": int(said.get("size", 0)), "Mode": int(said.get("mode", 0))}
        return {"Type": "tmpfs", "Target": mount.target, "TmpfsOptions": _set(settings), **read_only}
    if mount.kind == "bind":
        settings = {"Propagation": said.get("propagation"), "NonRecursive": said.get("recursive") == "disabled"}
        own = {"BindOptions": _set(settings)} if _set(settings) else {}
        return {"Type": "bind", "Source": mount.source, "Target": mount.target, **own, **read_only}
    settings = {"NoCopy": said.get("nocopy"), "Subpath": said.get("subpath"), "Labels": said.get("labels")}
    own = {"VolumeOptions": _set(settings)} if _set(settings) else {}
    source = {"Source": stack.known_as("volume", mount.source)} if mount.source else {}  # else it is its own
    return {"Type": "volume", "Target": mount.target, **source, **own, **read_only}


def _set(values: Body) -> Body:
    return {name: value for name, value in values.items() if value}


def _healthcheck(check: Healthcheck) -> Body:
    return {
        "Test": list(check.test),
        "Interval": round((check.interval or 0) * NANO),
        "Timeout": round((check.timeout or 0) * NANO),
        "StartPeriod": round((check.start_period or 0) * NANO),
        "Retries": check.retries or 0,
    }
