"""The specification of a replica's process: command, environment, directory and ports.

Pure: ports and directories are arguments, and a spec is a value that can be written as JSON.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from twelfth.errors import EngineError, MisuseError
from twelfth.model.snapshot import Replica

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twelfth.model.service import Local, Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Stack

    Fill = Callable[[str], str]

Spec = dict[str, Any]
LOOPBACK = "127.0.0.1"
KEPT_LOG = (10_000_000, 2)
"""The default size of a log file in bytes, 0 for no limit, and the default number of files."""

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def declared_local(service: Service) -> Local:
    """Return a service's `x-local`; raises `EngineError` if it has none."""
    if service.local is None:
        raise EngineError(
            f"{service.name} does not run on this engine: the Compose file gives it no x-local; "
            "add one, then: invoke up"
        )
    return service.local


def filled(text: str, stack: Stack, service: Service, volumes: Path, port: Callable[[str], int]) -> str:
    """Return the text with `<port>`, `<data>` and `<SERVICE.port>` replaced by their values.

    `port` is called only for services that the text names. `<port>` stays if each replica has a separate port.
    """
    if "<" not in text:
        return text
    volume = next((mount.source for mount in service.mounts if mount.kind == "volume"), service.name)
    text = text.replace("<data>", str(volumes / volume))
    if service.why_single and not (service.local and service.local.port):
        text = text.replace("<port>", f"<{service.name}.port>")
    for other_service in stack.services:
        if other_service.local and f"<{other_service.name}.port>" in text:
            text = text.replace(f"<{other_service.name}.port>", str(port(other_service.name)))
    return text


def kept_log(service: str, options: Mapping[str, str]) -> tuple[int, int]:
    """Return the size of a log file in bytes, 0 for no limit, and the number of files, from `logging.options`.

    The options are those of Docker's driver json-file. Raises `MisuseError` for an invalid number.
    """
    size, files = options.get("max-size"), options.get("max-file", "1")
    key = f"services.{service}.logging.options"
    if not options.keys() & {"max-size", "max-file"}:
        return KEPT_LOG
    if not (files.isascii() and files.isdigit() and int(files)):
        raise MisuseError(f"{key}.max-file is {files}; write a number, 1 or more")
    if size == "-1":
        return 0, int(files)
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]?)b?", (size or str(KEPT_LOG[0])).lower(), re.ASCII)
    if not match or not float(match[1]):
        raise MisuseError(f"{key}.max-size is {size}; write a size such as 10m")
    return round(float(match[1]) * UNITS[match[2]]), int(files)


def recipe(service: Service, directory: Path, fill: Fill) -> Recipe:
    """Return what a process of the service would be started from; `directory` has the files of the stack."""
    local = declared_local(service)
    environment = dict(service.environment) | dict(local.environment)
    hooks = {"post_start": list(map(asdict, service.post_start)), "pre_stop": list(map(asdict, service.pre_stop))}
    return {
        "directory": str(directory),
        **({"image": service.image} if service.build else {}),
        "command": json.dumps([fill(word) for word in local.command]),
        **_healthcheck(service, local, fill),
        **{f"environment.{name}": fill(value) for name, value in environment.items()},
        **({f"port.{local.port}": LOOPBACK} if local.port else {}),
        "logging": json.dumps(kept_log(service.name, dict(service.logging.options))),
        **{key: json.dumps(value) for key, value in hooks.items() if value},
        "restart": service.restart,
        "stop_grace_period": f"{math.ceil(service.stop_grace)}s",
    }


def _healthcheck(service: Service, local: Local, fill: Fill) -> Recipe:
    if not local.healthcheck:
        return {}
    timeout = service.healthcheck.timeout if service.healthcheck else None
    return {
        "healthcheck": json.dumps([fill(word) for word in local.healthcheck]),
        **({"healthcheck_timeout": f"{timeout:g}"} if timeout else {}),
    }


def service_port(spec: Spec, port: Callable[[str], int]) -> int:
    """Return the port of the load balancer of a process's service, 0 if the service has none.

    `port` returns the port of a service that has no public one.
    """
    if spec["address"]:
        return int(spec["address"].rpartition(":")[2])
    return port(spec["service"]) if any("<port>" in text for text in spec["recipe"].values()) else 0


def replica_spec(service: Service, number: int, recipe: Recipe, inherited: Mapping[str, str], home: Path) -> Spec:
    """Return the specification of a new replica, which starts in the directory `home`."""
    public = declared_local(service).port
    spec = {
        "service": service.name,
        "recipe": recipe,
        "release": service.release,
        "address": f"{LOOPBACK}:{public}" if public else "",
        "environment": inherited,
        "directory": str(home),
    }
    return clone(spec, number)


def clone(spec: Spec, number: int) -> Spec:
    """Return the specification of a copy of a replica; the port is not set."""
    recipe, mark = spec["recipe"], "environment."
    declared = {name.removeprefix(mark): value for name, value in recipe.items() if name.startswith(mark)}
    return spec | {
        "number": number,
        "replaces": "",
        "command": json.loads(recipe["command"]),
        "healthcheck": json.loads(recipe.get("healthcheck", "[]")),
        "environment": {**spec["environment"], **declared, "REPLICA": f"{spec['service']}-{number}"},
    }


def with_port(spec: Spec, port: int) -> Spec:
    """Return a spec whose replica listens on a separate port, behind the load balancer of its service."""

    def with_value(text: str) -> str:
        return text.replace("<port>", str(port))

    return spec | {
        "port": port,
        "command": [with_value(word) for word in spec["command"]],
        "healthcheck": [with_value(word) for word in spec["healthcheck"]],
        "environment": {name: with_value(value) for name, value in spec["environment"].items()},
    }


def program(replica: Replica) -> str:
    """Return the name of a replica's program in supervisord, which is the beginning of its id."""
    return replica.id.rpartition("-")[0]


def service_and_number(program: str) -> tuple[str, int]:
    """Return the service and number of a program called `worker-1` or `worker-1.SUFFIX`, 0 if it has none."""
    service, _, text = program.rpartition("-")
    number = text.partition(".")[0]
    return service, int(number) if number.isdecimal() else 0


def replica(
    name: str, spec: Mapping[str, Any], states: Mapping[str, str], *, is_admitted: bool, starts: int
) -> Replica:
    """Return a process as a value; if its file is garbled, it has no recipe, and the next `up` replaces it."""
    service, number = service_and_number(name)
    recipe, identity = spec.get("recipe"), str(spec.get("id"))
    valid_recipe: Recipe = recipe if isinstance(recipe, dict) else {}
    return Replica(
        service=service,
        number=number,
        id=identity if identity.startswith(f"{name}-") else f"{name}-",
        replaces=spec.get("replaces") or "",
        state=_state(states.get(name, "stopped"), valid_recipe.get("restart", "")),
        recipe=valid_recipe,
        release=spec.get("release") or "",
        image=spec.get("release") or "",
        address=spec.get("address") or "",
        is_admitted=is_admitted,
        restarts=max(starts - 1, 0),
    )


def _state(state: str, restart: str) -> str:
    """Return the state of a process: `restarting` if it has exited and supervisord will restart it within a second."""
    policy = restart.partition(":")[0]
    is_restarted = policy in {"always", "unless-stopped"} or (policy == "on-failure" and state != "exited (0)")
    return "restarting" if state.startswith("exited") and is_restarted else state
