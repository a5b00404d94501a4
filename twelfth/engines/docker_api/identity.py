"""Compare a run's container with its worker's; pure.

Settings of a service (ports, restarts, the healthcheck) and those that every run changes are not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.engines.docker_api import container_spec, mounts, process_one
from twelfth.engines.docker_api.recipe import observed_recipe
from twelfth.engines.docker_api.run_spec import (
    CONSOLE_SIZE,
    hostname,
    links_by_network,
    run_settings,
)
from twelfth.model import snapshot
from twelfth.model.snapshot import UNKNOWN

if TYPE_CHECKING:
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.run import RunRequest

SERVICE_ONLY = ("logging", "command", "healthcheck", "restart", "init", "port.", "stop_grace_period")
"""The parts of a worker's recipe that apply only to a service, not to the release or its configuration."""

NOT_COMPARED = {CONSOLE_SIZE}
"""Settings of HostConfig that are not compared: a daemon before API 1.42 reports a size of 0 by 0."""

HOSTNAME = "hostname"
"""The difference of a run that cannot have the worker's hostname, because clients reach the service by it."""

IN_RECIPE = {"Binds", "CapDrop", "Memory", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "SecurityOpt", "Tmpfs"}
"""Settings of HostConfig that a recipe has under other names."""


def differences(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of the settings in which an inspected run differs from its inspected worker."""
    worker = mounts.with_new_anonymous_volumes(worker)
    identifying = {f"environment.{name}" for name, _ in request.identifying_environment}
    names = snapshot.differences(observed_recipe(worker), observed_recipe(run))
    common = tuple(name for name in names if name not in identifying and not name.startswith(SERVICE_ONLY))
    config = worker["Config"] | {"Entrypoint": process_one.entrypoint(worker, request)}
    outside = _outside_recipe(worker | {"Config": config}, run, run_settings(worker, request))
    return common + outside + _names(worker, run)


def unrequested(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of differences that were not requested, and of requested ones that were not made."""
    requested = {f"environment.{name}": value for name, value in request.environment + request.identifying_environment}
    requested |= {} if hostname(worker) else {HOSTNAME: ""}
    actual = observed_recipe(run) | {HOSTNAME: ""}
    missing = (name for name, value in requested.items() if actual.get(name) != value)
    return (*(name for name in differences(worker, run, request) if name not in requested), *missing)


def _names(worker: Body, run: Body) -> tuple[str, ...]:
    declared = container_spec.declared_hostname(worker)
    is_named = declared in ("", UNKNOWN, run["Config"].get("Hostname"))
    has_links = links_by_network(worker) == links_by_network(run)
    return (*(() if is_named else (HOSTNAME,)), *(() if has_links else ("links",)))


def _outside_recipe(worker: Body, run: Body, settings: Body) -> tuple[str, ...]:
    """Compare settings that a recipe does not contain: the entrypoint, capabilities, privileges and so on."""
    config = [
        name for name in ("Domainname", "Entrypoint", "WorkingDir") if _differs(worker["Config"], run["Config"], name)
    ]
    expected, actual = (
        worker["HostConfig"] | settings,
        run["HostConfig"] | {"LogConfig": _declared_logging(run["HostConfig"], settings)},
    )
    names = {**expected, **actual} if "Id" in worker else expected  # the daemon chooses the rest of a template
    return (
        *config,
        *(name for name in names if name not in IN_RECIPE | NOT_COMPARED and _differs(expected, actual, name)),
    )


def _declared_logging(host: Body, settings: Body) -> Body:
    """Return a run's logging without the options that the daemon adds."""
    log = host.get("LogConfig") or {}
    options = {name: (log.get("Config") or {}).get(name) for name in settings["LogConfig"]["Config"]}
    return {"Type": log.get("Type"), "Config": options}


def _differs(worker: Body, run: Body, name: str) -> bool:
    return (worker.get(name) or None) != (run.get(name) or None)
