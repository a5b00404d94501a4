"""The recipe of a replica: what it would be created from, and what an existing one was created from; pure.

Inspected containers and images are answers of `GET /containers/{id}/json` and `GET /images/{name}/json`
(https://docs.docker.com/reference/api/engine/version/v1.41/).
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twelfth.engines.docker_api import compose_recipe, mounts
from twelfth.engines.docker_api.container_spec import (
    ADMISSION,
    BUILT_IN,
    CONFIGS,
    LOGGING,
    NANO,
    OPTIONS,
    body,
    declared_endpoints,
    declared_logging,
    declared_of,
    declared_options,
    network_names,
)
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Stack


OF_THE_DAEMON = ("bind", "cap_drop", "security_opt", "tmpfs")
"""Keys that the daemon may report differently from their declaration, so that a label or `settings` is compared."""


def wanted_recipe(stack: Stack, service: Service, image: Body | None, configs: Mapping[str, str]) -> Recipe:
    """Return what a replica of the service would be created from.

    `image` is its inspected image, None if it is not built or pulled yet; `configs` are the digests of its
    configuration files, by target.
    """
    service_body = body(stack, service, {})
    config = completed(service_body, image) | {"HostConfig": service_body["HostConfig"]}
    networks, inline = network_names(stack, service), [mount.target for mount in service.mounts if mount.is_inline]
    return {
        **_exact(_recipe(config, service_body["HostConfig"], image["Id"] if image else _absent(service), networks)),
        **({} if image else _from_image(service_body)),
        "logging": declared_logging(service),
        **_options(declared_options(stack, service)),
        **compose_recipe.declared(config, image, declared_endpoints(stack, service), service.container_name, inline),
        **{f"config.{target}": digest for target, digest in configs.items()},
        **{f"config.{mount.target}": UNKNOWN for mount in service.mounts if mount.kind == "bind"},
        **_volumes(filter(_is_named, map(mounts.reported, service_body["HostConfig"]["Mounts"]))),
    }


def _absent(service: Service) -> str:
    return f"{service.image}, missing"


def _from_image(service_body: Body) -> Recipe:
    """Return the settings that are unknown without the image: those that the service does not declare."""
    keys = {"command": "Cmd", "user": "User", "healthcheck": "Healthcheck"}
    return {"environment": UNKNOWN, **{name: UNKNOWN for name, key in keys.items() if not service_body[key]}}


def _options(declared: Mapping[str, Any]) -> Recipe:
    """Return the declared settings by key, and each mount, from a replica's label."""
    volumes = {f"option.volumes.{target}": text for target, text in declared.get("volumes", {}).items()}
    others = {key: value for key, value in declared.items() if key != "volumes"}
    return {f"option.{key}": json.dumps(value, sort_keys=True) for key, value in others.items()} | volumes


def found_recipe(inspected: Body, loaded: Mapping[str, str] = MappingProxyType({})) -> Recipe:
    """Return what a container was created from: from its label or, if Compose created it, from the daemon's report.

    `loaded` has the digests of the configuration files that it has loaded since, by target.
    """
    exact = _exact(observed_recipe(inspected, loaded))
    if OPTIONS in inspected["Config"]["Labels"]:
        return exact | _options(declared_of(inspected)) | dict.fromkeys(compose_recipe.KINDS, UNKNOWN)
    return exact | compose_recipe.reported(inspected) | {"option": UNKNOWN}


def _exact(recipe: Recipe) -> Recipe:
    """Return the part of a recipe that every daemon reports as declared."""
    built_in = {f"network.{name}" for name in BUILT_IN}
    declared = {name: value for name, value in recipe.items() if name not in built_in}
    return {name: value for name, value in declared.items() if name.partition(".")[0] not in OF_THE_DAEMON}


def observed_recipe(inspected: Body, loaded: Mapping[str, str] = MappingProxyType({})) -> Recipe:
    """Return what a container was created from, as the daemon reports it, to compare two containers of one daemon."""
    labels, anonymous = inspected["Config"]["Labels"], mounts.anonymous_volumes(inspected)
    files = [
        mount["Destination"] for mount in inspected["Mounts"] if mount["Type"] == "bind" or mounts.is_of_state(mount)
    ]
    has_record = OPTIONS in labels
    recorded = {name.removeprefix(CONFIGS): text for name, text in labels.items() if name.startswith(CONFIGS)}
    configs = {**({} if has_record else dict.fromkeys(files, UNKNOWN)), **recorded, **loaded}
    networks = {*inspected["NetworkSettings"]["Networks"], *json.loads(labels.get(ADMISSION) or "[]")}
    return {
        **_recipe(inspected["Config"], inspected["HostConfig"], inspected["Image"], networks),
        "logging": labels.get(LOGGING, UNKNOWN),
        **{f"bind.{target}": UNKNOWN for target in configs if has_record},
        **{f"config.{target}": digest for target, digest in configs.items()},
        **_volumes(mount for mount in inspected["Mounts"] if _is_declared_volume(mount, anonymous)),
    }


def _recipe(config: Body, host: Body, image: str, networks: Iterable[str]) -> Recipe:
    grace = config.get("StopTimeout")
    return {
        "image": image,
        "command": json.dumps(config.get("Cmd") or []),
        "user": config.get("User") or "",
        "healthcheck": json.dumps(_merged_check(config.get("Healthcheck"), None), sort_keys=True),
        "stop_grace_period": f"{10 if grace is None else grace}s",
        "init": str(host.get("Init")),
        "read_only": str(bool(host.get("ReadonlyRootfs"))),
        "cap_drop": json.dumps(sorted(host.get("CapDrop") or [])),
        "security_opt": json.dumps(sorted(host.get("SecurityOpt") or [])),
        "restart": _restart(host.get("RestartPolicy") or {}),
        "limits.cpus": str((host.get("NanoCpus") or 0) / NANO),
        "limits.memory": str(host.get("Memory") or 0),
        "limits.pids": str(max(host.get("PidsLimit") or 0, 0)),
        **{f"environment.{name}": value for name, value in _env(config).items()},
        **{f"tmpfs.{target}": options for target, options in (host.get("Tmpfs") or {}).items()},
        **mounts.recipe(host),
        **{f"network.{name}": "joined" for name in networks},
        **_ports(host.get("PortBindings") or {}),
    }


def _restart(policy: Body) -> str:
    retries = policy.get("MaximumRetryCount")
    return (policy.get("Name") or "no") + (f":{retries}" if retries else "")


def _ports(bindings: Mapping[str, list[Body] | None]) -> Recipe:
    """Return where ports are published, by published port, or by target if the engine chooses the published one."""
    published: dict[str, list[str]] = {}
    for target, bound in bindings.items():
        protocol = "" if target.endswith("/tcp") else f"/{target.partition('/')[2]}"
        for binding in bound or []:
            name = f"port.{binding['HostPort'] or target}{protocol}"
            published.setdefault(name, []).append(f"{binding['HostIp']} to {target}")
    return {name: ", ".join(sorted(addresses)) for name, addresses in published.items()}


def _env(config: Body) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in config.get("Env") or [] if "=" in pair)


def _is_declared_volume(mount: Body, anonymous: Collection[str]) -> bool:
    return mount["Destination"] not in anonymous and not mounts.is_of_state(mount)


def _is_named(mount: Body) -> bool:
    return bool(mount["Name"])


def _volumes(mounted: Iterable[Body]) -> Recipe:
    volumes = [mount for mount in mounted if mount["Type"] == "volume"]
    return {
        f"volume.{mount['Destination']}": mount["Name"] + ("" if mount.get("RW", True) else " ro") for mount in volumes
    }


def completed(config: Body, image: Body | None) -> Body:
    """Return a container's configuration, completed from its image as the daemon does.

    The image's command is only used with the image's entrypoint; an empty entrypoint removes the image's.
    """
    defaults = (image or {}).get("Config") or {}
    env = {pair.partition("=")[0]: pair for pair in (*(defaults.get("Env") or []), *(config.get("Env") or []))}
    entrypoint, command = config.get("Entrypoint"), config.get("Cmd")
    return {
        **defaults,
        **{name: value for name, value in config.items() if value not in (None, "")},
        "Entrypoint": defaults.get("Entrypoint") if entrypoint is None else entrypoint,
        "Cmd": command or (None if entrypoint else defaults.get("Cmd")),
        "Env": list(env.values()),
        "Healthcheck": _merged_check(config.get("Healthcheck"), defaults.get("Healthcheck")),
    }


def _merged_check(check: Body | None, default: Body | None) -> Body:
    both = {**(default or {}), **{name: value for name, value in (check or {}).items() if value}}
    return {name: value for name, value in both.items() if value}
