"""How a run's container differs from its worker's, named; pure.

A difference that belongs to serving (ports, restarts, the healthcheck) or that makes a container a run is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.engines.docker_api import container_spec, mounts, process_one
from twelfth.engines.docker_api.recipe import observed_recipe
from twelfth.engines.docker_api.run_spec import (
    CONSOLE_SIZE,
    hostname,
    links_by_network,
    own_settings,
)
from twelfth.model import snapshot
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.run import RunRequest

SERVICE_ONLY = ("logging", "command", "healthcheck", "restart", "init", "port.", "stop_grace_period")
"""What of a worker's recipe belongs to serving, and not to the release or its configuration."""

NOT_COMPARED = {CONSOLE_SIZE}
"""Settings of HostConfig that do not count as a difference: a daemon below API 1.42 reports 0 by 0."""

HOSTNAME = "hostname"
"""The name of the difference of a run that cannot have the hostname, because clients find the service by it."""

IN_RECIPE = {"Binds", "CapDrop", "Memory", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "SecurityOpt", "Tmpfs"}
"""Settings of the host's that a recipe has, under names of its own."""


def differences(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of what differs between two inspected containers, beyond serving and what makes it a run."""
    worker = mounts.with_new_anonymous_volumes(worker)
    identifying = {f"environment.{name}" for name, _ in request.identifying_environment}
    found = snapshot.differences(observed_recipe(worker), observed_recipe(run))
    common = tuple(name for name in found if name not in identifying and not name.startswith(SERVICE_ONLY))
    asked = worker["Config"] | {"Entrypoint": process_one.entrypoint(worker, request)}
    outside = _outside_recipe(worker | {"Config": asked}, run, own_settings(worker, request))
    return common + outside + _names(worker, run)


def unasked(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of what differs and was not asked for, or is not as it was asked for."""
    asked = {f"environment.{name}": value for name, value in request.environment + request.identifying_environment}
    asked |= {} if hostname(worker) else {HOSTNAME: ""}
    made = observed_recipe(run) | {HOSTNAME: ""}
    wrong = (name for name, value in asked.items() if made.get(name) != value)
    return (*(name for name in differences(worker, run, request) if name not in asked), *wrong)


def _names(worker: Body, run: Body) -> tuple[str, ...]:
    """Return the differences of the hostname and of the links."""
    declared = container_spec.declared_hostname(worker)
    is_named = declared in ("", UNKNOWN, run["Config"].get("Hostname"))
    has_links = links_by_network(worker) == links_by_network(run)
    return (*(() if is_named else (HOSTNAME,)), *(() if has_links else ("links",)))


def _outside_recipe(worker: Body, run: Body, own: Body) -> tuple[str, ...]:
    """Return the names of what a recipe does not speak of: the entrypoint, capabilities, privileges and so on."""
    config = [
        name for name in ("Domainname", "Entrypoint", "WorkingDir") if _differs(worker["Config"], run["Config"], name)
    ]
    wanted, made = worker["HostConfig"] | own, run["HostConfig"] | {"LogConfig": _as_asked(run["HostConfig"], own)}
    names = {**wanted, **made} if "Id" in worker else wanted  # a template leaves the rest to the daemon
    return (*config, *(name for name in names if name not in IN_RECIPE | NOT_COMPARED and _differs(wanted, made, name)))


def _as_asked(made: Body, own: Body) -> Body:
    """Return where a run's output is kept, without the options that the daemon adds of its own."""
    log = made.get("LogConfig") or {}
    options = {name: (log.get("Config") or {}).get(name) for name in own["LogConfig"]["Config"]}
    return {"Type": log.get("Type"), "Config": options}


def _differs(worker: Body, run: Body, name: str) -> bool:
    return (worker.get(name) or None) != (run.get(name) or None)
