"""What a replica is made from, as a recipe: what one would be, and what one that was found is; pure.

Answers are those of `GET /containers/{id}/json` and `GET /images/{name}/json`
(https://docs.docker.com/reference/api/engine/version/v1.41/).
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twelfth.engines.docker import mounts
from twelfth.engines.docker.replica import (
    ADMISSION,
    CONFIGS,
    LOGGING,
    NANO,
    OPTIONS,
    body,
    declared_logging,
    declared_of,
    declared_options,
    network_names,
)
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twelfth.engines.docker.replica import Body
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Service, Stack


def wanted_recipe(stack: Stack, service: Service, image: Body | None, configs: Mapping[str, str]) -> Recipe:
    """Return what a replica of the service would be made from.

    `image` is its inspected image, None where it is not there yet; `configs` are the digests of its configuration
    files, by target.
    """
    wanted = body(stack, service, {})
    return _recipe(
        completed(wanted, image),
        wanted["HostConfig"],
        image["Id"] if image else f"{service.image}, not here yet",
        ({} if image else _from_image(wanted))
        | {"logging": declared_logging(service)}
        | _options(declared_options(stack, service))
        | {f"config.{target}": digest for target, digest in configs.items()}
        | {f"bind.{target}": UNKNOWN for target in configs}
        | {f"config.{mount.target}": UNKNOWN for mount in service.mounts if mount.kind == "bind"}
        | _volumes(filter(_is_named, map(mounts.seen, wanted["HostConfig"]["Mounts"]))),
        network_names(stack, service),
    )


def _from_image(wanted: Body) -> Recipe:
    """Return what is not known of a replica before its image is here: what the service leaves to that."""
    keys = {"command": "Cmd", "user": "User", "healthcheck": "Healthcheck"}
    return {"environment": UNKNOWN, **{name: UNKNOWN for name, key in keys.items() if not wanted[key]}}


def _options(declared: Mapping[str, Any]) -> Recipe:
    """Return what was declared of a container, by key; labels apart, which only a new replica gets."""
    return {f"option.{key}": json.dumps(value, sort_keys=True) for key, value in declared.items()}


def found_recipe(inspected: Body, loaded: Mapping[str, str] = MappingProxyType({})) -> Recipe:
    """Return what a container was made from, whoever made it.

    `loaded` are the digests of the configuration files that it has loaded since, by target.
    """
    labels, own = inspected["Config"]["Labels"], mounts.anonymous_volumes(inspected)
    binds = [each["Destination"] for each in inspected["Mounts"] if each["Type"] == "bind"]
    is_ours = OPTIONS in labels
    of_files = [target for target in binds if not is_ours or CONFIGS + target in labels]
    configs = {target: labels.get(CONFIGS + target, UNKNOWN) for target in of_files} | dict(loaded)
    return _recipe(
        inspected["Config"],
        inspected["HostConfig"],
        inspected["Image"],
        {"logging": labels.get(LOGGING, UNKNOWN)}
        | (_options(declared_of(inspected)) if is_ours else {"option": UNKNOWN})
        | {f"bind.{target}": UNKNOWN for target in configs if is_ours}
        | {f"config.{target}": digest for target, digest in configs.items()}
        | _volumes(each for each in inspected["Mounts"] if each["Destination"] not in own),
        {*inspected["NetworkSettings"]["Networks"], *json.loads(labels.get(ADMISSION) or "[]")},
    )


def _recipe(config: Body, host: Body, image: str, others: Recipe, networks: Iterable[str]) -> Recipe:
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
        "restart": _restart(host.get("RestartPolicy") or {}),
        "limits.cpus": str((host.get("NanoCpus") or 0) / NANO),
        "limits.memory": str(host.get("Memory") or 0),
        "limits.pids": str(max(host.get("PidsLimit") or 0, 0)),
        **{f"environment.{name}": value for name, value in _env(config).items()},
        **{f"tmpfs.{target}": options for target, options in (host.get("Tmpfs") or {}).items()},
        **mounts.recipe(host),
        **{f"network.{name}": "joined" for name in networks},
        **dict(_published(target, one) for target, bound in bindings for one in bound or []),
        **others,
    }


def _restart(policy: Body) -> str:
    retries = policy.get("MaximumRetryCount")
    return (policy.get("Name") or "no") + (f":{retries}" if retries else "")


def _published(target: str, binding: Body) -> tuple[str, str]:
    """Return how a port is published: under its number outside, or where any will do under that inside."""
    protocol = "" if target.endswith("/tcp") else f"/{target.partition('/')[2]}"
    return f"port.{binding['HostPort'] or target}{protocol}", f"{binding['HostIp']} to {target}"


def _env(config: Body) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in config.get("Env") or [] if "=" in pair)


def _is_named(mount: Body) -> bool:
    return bool(mount["Name"])


def _volumes(mounted: Iterable[Body]) -> Recipe:
    volumes = [each for each in mounted if each["Type"] == "volume"]
    return {f"volume.{each['Destination']}": each["Name"] + ("" if each.get("RW", True) else " ro") for each in volumes}


def completed(own: Body, image: Body | None) -> Body:
    """Return a container's configuration as the daemon completes it: what is not said comes from its image."""
    defaults = (image or {}).get("Config") or {}
    env = {pair.partition("=")[0]: pair for pair in (*(defaults.get("Env") or []), *(own.get("Env") or []))}
    return {
        **{name: value for name, value in defaults.items() if name != "Cmd" or not own.get("Entrypoint")},
        **{name: value for name, value in own.items() if value not in (None, "")},
        "Env": list(env.values()),
        "Healthcheck": _merged_check(own.get("Healthcheck"), defaults.get("Healthcheck")),
    }


def _merged_check(own: Body | None, default: Body | None) -> Body:
    both = {**(default or {}), **{name: value for name, value in (own or {}).items() if value}}
    return {name: value for name, value in both.items() if value}
