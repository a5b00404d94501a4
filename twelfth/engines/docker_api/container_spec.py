"""The body of `POST /containers/create` for a replica of a service, its labels and its networks; pure.

The API is that of https://docs.docker.com/reference/api/engine/version/v1.41/. Labels are those of Compose
(https://github.com/docker/compose/blob/main/pkg/api/labels.go), so that `docker compose` commands work on the stack.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from twelfth.compose import container_keys
from twelfth.engines.docker_api import mounts
from twelfth.engines.docker_api.succession import REPLACES
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twelfth.model.service import Healthcheck, Mount, Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Stack

Body = dict[str, Any]
COMPOSE = "com.docker.compose."
CONFIGS = "twelfth.configs."
COPIES = "twelfth.copies"
"""Label: the directory with a container's copies of its configuration files, which a reload changes.

It is in the state volume, or, if twelfth 0.2 created the container, an absolute path on the operator's machine.
"""

RELEASE = "twelfth.release"
KEPT = "twelfth-kept/"
"""Prefix of the names that keep an image while a stack may roll back to it."""

BUILT_BY = "twelfth.built-by"
"""Label of an image: the operator who built it."""

BUILT_FOR = "twelfth.built-for"
"""Label of an image: the project of the stack that it was built for; several may build images of one name."""

ADMISSION = "twelfth.admission"
"""Label: the networks of the services that depend on this one, as JSON; a replica on all of them is admitted."""

CANDIDATE = "twelfth.candidate"
"""Label of a container that was created only to be tried."""

LOGGING = "twelfth.logging"
"""Label: the declared logging of a replica, as JSON; the daemon adds options to the container's settings."""

OPTIONS = "twelfth.options"
"""Label: the other declared settings of a container and its networks, as a JSON object."""

SETTINGS = "twelfth.settings"
"""Label of a network or volume: its declared settings, as a JSON object."""

SOURCE_MOUNTED = "twelfth.source-mounted"
"""Label: the mount points of the source that the container's image is built from, as JSON; missing if none."""

TASK_ID = "{{.Task.ID}}"
"""The hostname of a task whose service declares none; it identifies the task in its log and to clients."""

BUILT_IN = frozenset({"bridge", "default", "host", "none"})
"""Networks that every daemon has: network modes, not networks of the stack."""

NANO = 1_000_000_000


def labels(stack: Stack, service: Service, number: int, recipe: Recipe) -> dict[str, str]:
    """Return the labels of a replica: Compose's, its release, and the digests of its configuration files."""
    files = {name: value for name, value in recipe.items() if name.startswith("config.") and value != UNKNOWN}
    twelfth_labels = file_labels({name.split(".", 1)[1]: value for name, value in files.items()})
    fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    if service.mounted_source:
        twelfth_labels[SOURCE_MOUNTED] = json.dumps([mount.target for mount in service.mounted_source])
    return twelfth_labels | {
        RELEASE: service.release,
        ADMISSION: json.dumps(admission_networks(stack, service)),
        LOGGING: declared_logging(service),
        OPTIONS: json.dumps(declared_options(stack, service), sort_keys=True),
        mounts.ANONYMOUS_VOLUMES: json.dumps([]),
        f"{COMPOSE}project": stack.project,
        f"{COMPOSE}service": service.name,
        f"{COMPOSE}container-number": str(number),
        f"{COMPOSE}oneoff": "False",
        f"{COMPOSE}config-hash": fingerprint,
        f"{COMPOSE}depends_on": ",".join(_dependency(service, name) for name in service.depends_on),
        f"{COMPOSE}project.working_dir": str(stack.directory),
        f"{COMPOSE}project.config_files": ",".join(map(str, stack.files)),
    }


def file_labels(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the labels with the digests of configuration files, by target."""
    return {CONFIGS + target: digest for target, digest in digests.items()}


def _dependency(service: Service, name: str) -> str:
    condition = dict(service.conditions).get(name, "service_started")
    return f"{name}:{condition}:{str(name in service.follows).lower()}"


def declared_options(stack: Stack, service: Service) -> dict[str, Any]:
    """Return the declared settings of a container; `networks` has the engine's names of networks."""
    networks = {
        stack.known_as("network", name): value for name, value in container_keys.values(service.endpoints).items()
    }
    settings = {
        "cap_drop": sorted(service.cap_drop),
        "container_name": service.container_name,
        "files": {mount.target: container_keys.values(mount.options) for mount in service.mounts if _has_owner(mount)},
        "networks": networks,
        "platform": service.platform,
        "post_start": [asdict(hook) for hook in service.post_start],
        "pre_stop": [asdict(hook) for hook in service.pre_stop],
        "security_opt": sorted(service.security_opt),
        "volumes": _declared_mounts(stack, service),
    }
    return {**container_keys.values(service.options), **{key: value for key, value in settings.items() if value}}


def _has_owner(mount: Mount) -> bool:
    return mount.kind == "config" and bool(mount.options)


def _declared_mounts(stack: Stack, service: Service) -> dict[str, str]:
    """Return the mounts of a service by target, without configuration files and the names of volumes."""
    compared = replace(service, mounts=tuple(mount for mount in service.mounts if mount.kind != "config"))
    anonymous = [mount.target for mount in compared.mounts if mount.kind == "volume" and not mount.source]
    return mounts.descriptions(mounts.declared(stack, compared)) | dict.fromkeys(anonymous, "anonymous")


def body(stack: Stack, service: Service, labels: Mapping[str, str]) -> Body:
    """Return the body that creates a replica of the service, without its networks."""
    declared = container_keys.body(service.options)
    published: Body = {f"{port.target}/{port.protocol}": {} for port in service.ports}
    return {
        "Image": service.image,
        "Cmd": None if service.command is None else list(service.command),
        "Env": [f"{name}={value}" for name, value in service.environment],
        "User": service.user or "",
        "Healthcheck": service.healthcheck and _healthcheck(service.healthcheck),
        "StopTimeout": math.ceil(service.stop_grace),
        **declared,
        "Labels": declared.get("Labels", {}) | dict(labels),
        "ExposedPorts": published | declared.get("ExposedPorts", {}),
        "HostConfig": _host_config(stack, service) | declared["HostConfig"],
    }


def check_body(stack: Stack, service: Service, replica_id: str) -> Body:
    """Return the body of a container that checks the service's configuration on a replica's network.

    Like a healthcheck, the check runs without the image's entrypoint.
    """
    program, *arguments = service.reload.check if service.reload else ()
    service_body = body(stack, replace(service, command=tuple(arguments), ports=(), healthcheck=None, restart="no"), {})
    host = service_body["HostConfig"] | {"NetworkMode": f"container:{replica_id}"}
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}service": service.name, f"{COMPOSE}oneoff": "True"}
    settings = {"Entrypoint": [program], "Healthcheck": {"Test": ["NONE"]}, "NetworkingConfig": {}}
    return service_body | settings | {"Labels": labels, "HostConfig": host}


def network_names(stack: Stack, service: Service) -> list[str]:
    """Return the engine's names of a service's networks, those of its admission last."""
    names = sorted(service.networks, key=stack.networks_to_dependants(service).__contains__)
    return [stack.known_as("network", network) for network in names]


def admission_networks(stack: Stack, service: Service) -> list[str]:
    """Return the engine's names of the networks that a replica joins only when it is ready.

    They are those of the services that depend on this one; none if the service can have only one replica, since these
    services need it in the meantime.
    """
    networks = () if service.is_replaced_in_place else stack.networks_to_dependants(service)
    return [stack.known_as("network", network) for network in networks]


def endpoints(stack: Stack, service: Service) -> dict[str, Body]:
    """Return the networks on which a replica is created, with its settings, which include its service's name.

    If it has only networks of its admission, it is created on them without that name.
    """
    return _before_admission(declared_endpoints(stack, service), admission_networks(stack, service))


def nameless_endpoints(stack: Stack, service: Service) -> dict[str, Body]:
    """Return all networks of a service for a container that clients must not find."""
    return _nameless(declared_endpoints(stack, service))


def declared_endpoints(stack: Stack, service: Service) -> dict[str, Body]:
    """Return the networks of an admitted replica, with its settings."""
    declared, names = declared_options(stack, service), network_names(stack, service)
    return {name: endpoint(service.name, declared, name) for name in names}


def attached_networks(stack: Stack, service: Service) -> dict[str, Body]:
    """Return the networks on which the daemon reports an admitted replica, with its settings."""
    mode = body(stack, service, {})["HostConfig"]["NetworkMode"]
    built_in: dict[str, Body] = {"bridge" if mode == "default" else mode: {}} if mode in BUILT_IN else {}
    return declared_endpoints(stack, service) or built_in


def _before_admission(settings: Mapping[str, Body], admission: Sequence[str]) -> dict[str, Body]:
    return {name: endpoint for name, endpoint in settings.items() if name not in admission} or _nameless(settings)


def _nameless(settings: Mapping[str, Body]) -> dict[str, Body]:
    return {name: endpoint | {"Aliases": []} for name, endpoint in settings.items()}


def network_settings(declared: Body) -> Body:
    """Return the settings of a network as arguments of `create_network` of the SDK."""
    ipam = declared.get("ipam") or {}
    pools = [{name: pool.get(key) for key, name in _POOL.items()} for pool in ipam.get("config") or []]
    return {
        "driver": declared.get("driver"),
        "options": declared.get("driver_opts"),
        "attachable": declared.get("attachable"),
        "enable_ipv6": bool(declared.get("enable_ipv6")),
        **(
            {"ipam": {"Driver": ipam.get("driver") or "default", "Config": pools, "Options": ipam.get("options")}}
            if ipam
            else {}
        ),
    }


_POOL = {"subnet": "Subnet", "ip_range": "IPRange", "gateway": "Gateway", "aux_addresses": "AuxiliaryAddresses"}


def endpoint(service: str, declared: Body, network: str) -> Body:
    """Return a container's settings on one network, from the options that the Compose file declares.

    A link leads to a service's name on the network, and so to its current replicas.
    """
    settings, pairs = (
        declared.get("networks", {}).get(network, {}),
        (link.partition(":") for link in declared.get("links", ())),
    )
    links = [f"{name}:{alias}" for name, _, alias in pairs if alias not in {"", name}]
    addresses = {api_name: settings[key] for key, api_name in _ADDRESSES.items() if settings.get(key)}
    others = {api_name: settings[key] for key, api_name in _ENDPOINT.items() if settings.get(key)}
    return {
        "Aliases": list(dict.fromkeys([service, *settings.get("aliases", ())])),
        **({"IPAMConfig": addresses} if addresses else {}),
        **({"Links": links} if links else {}),
        **others,
    }


_ADDRESSES = {"ipv4_address": "IPv4Address", "ipv6_address": "IPv6Address", "link_local_ips": "LinkLocalIPs"}
_ENDPOINT = {"mac_address": "MacAddress", "driver_opts": "DriverOpts", "gw_priority": "GwPriority"}


def clone(inspected: Body, number: int, labels: Mapping[str, str], files: Iterable[Body]) -> Body:
    """Return the body that creates a copy of an inspected container, without its networks.

    It has these labels and these mounts of files.
    """
    config: Body = inspected["Config"] | {"Hostname": inherited_hostname(inspected)}
    kept = {name: value for name, value in config["Labels"].items() if name != REPLACES}
    new_labels = {**kept, **labels, f"{COMPOSE}container-number": str(number)}
    host = mounts.with_files(mounts.with_new_anonymous_volumes(inspected), files)["HostConfig"]
    return config | {"Labels": new_labels, "HostConfig": host}


def declared_hostname(inspected: Body) -> str:
    """Return the declared hostname, "" if the daemon chose it, UNKNOWN if it may be another's.

    The daemon reports the machine's on the host's network, and that of a container whose network is joined.
    """
    name, host = inspected["Config"].get("Hostname") or "", inspected["HostConfig"]
    if "host" in (host.get("NetworkMode"), host.get("UTSMode")) or has_network_of_another(host):
        return UNKNOWN
    return "" if name == TASK_ID or inspected.get("Id", "").startswith(name) else name


def inherited_hostname(inspected: Body) -> str:
    """Return the hostname for a copy of a container, "" if it cannot have one or needs none."""
    name, host = declared_hostname(inspected), inspected["HostConfig"]
    if name == UNKNOWN and host.get("UTSMode") != "host" and not has_network_of_another(host):
        return str(inspected["Config"].get("Hostname") or "")  # the machine's, or a declared one
    return "" if name == UNKNOWN else name


def has_network_of_another(host: Body) -> bool:
    """Return whether a container has the network, and thus the hostname, of another container."""
    return str(host.get("NetworkMode")).startswith("container:")


def declared_of(inspected: Body) -> dict[str, Any]:
    """Return the declared settings from a container's label; nothing if Compose created it."""
    declared: dict[str, Any] = json.loads(inspected["Config"]["Labels"].get(OPTIONS) or "{}")
    return declared


def endpoints_of_clone(inspected: Body, labels: Mapping[str, str]) -> dict[str, Body]:
    """Return the networks on which a copy of a container with these labels is created; see `endpoints`."""
    networks = inspected["NetworkSettings"]["Networks"]
    first = inspected["HostConfig"]["NetworkMode"]
    names = sorted(networks, key=lambda network: network != first)
    admission, declared = json.loads(labels.get(ADMISSION) or "[]"), declared_of(inspected)
    service = labels[f"{COMPOSE}service"]
    settings = {name: endpoint(service, declared, name) | _links_of(networks[name]) for name in names}
    return _before_admission(settings, admission)


def _links_of(settings: Body) -> Body:
    """Return the links of a container on a network; Compose writes them with the names of containers."""
    return {"Links": settings["Links"]} if settings.get("Links") else {}


def _host_config(stack: Stack, service: Service) -> Body:
    limits = service.limits
    names = network_names(stack, service)
    policy, _, retries = service.restart.partition(":")
    return {
        "NetworkMode": names[0] if names else "none",
        "PortBindings": _port_bindings(service),
        **mounts.declared(stack, service),
        "Init": service.init,
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
    """Return where ports are published; "" stands for any free port."""
    bindings: dict[str, list[Body]] = {}
    for port in service.ports:
        published = f"{port.published or ''}" + (f"-{port.through}" if port.through else "")
        binding = {"HostIp": port.host, "HostPort": published}
        bindings.setdefault(f"{port.target}/{port.protocol}", []).append(binding)
    return bindings


def declared_logging(service: Service) -> str:
    """Return the declared logging of a service as text."""
    return json.dumps(_log_config(service), sort_keys=True)


def _log_config(service: Service) -> Body:
    # Options without a driver are those of the daemon's default driver.
    declared = service.logging
    driver = declared.driver or ("json-file" if declared.options else "")
    return {"Type": driver, "Config": dict(declared.options)}


def _healthcheck(check: Healthcheck) -> Body:
    return {
        "Test": list(check.test),
        "Interval": round((check.interval or 0) * NANO),
        "Timeout": round((check.timeout or 0) * NANO),
        "StartPeriod": round((check.start_period or 0) * NANO),
        "Retries": check.retries or 0,
        **({"StartInterval": round(check.start_interval * NANO)} if check.start_interval else {}),
    }
