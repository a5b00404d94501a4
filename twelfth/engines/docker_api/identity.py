"""Compare a run's container with its worker's; pure.

If a job or hook declares changes, the worker is the container with these changes (`run_changes.py`). Settings of a
service (ports, restarts, the healthcheck) and those that every run changes are not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.engines.docker_api import compose_recipe, container_spec, mounts, process_one, run_changes, run_spec
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

REWRITTEN = {"CapDrop": "cap_drop", "SecurityOpt": "security_opt"}
"""Those of them that the daemon may rewrite, and their names in a recipe."""

CHOSEN_BY_DAEMON = {"MaskedPaths", "ReadonlyPaths"}
"""Settings of HostConfig that depend on whether a container is privileged."""


def differences(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of the settings in which an inspected run differs from its inspected worker."""
    worker = mounts.with_new_anonymous_volumes(worker)
    identifying = {f"environment.{name}" for name, _ in request.identifying_environment}
    identifying |= {f"environment.{name}" for name in run_spec.dropped_variables(request)}
    declared = run_changes.fields(request.changes)
    elsewhere = {*identifying, *(name for field, name in REWRITTEN.items() if field in declared)}
    names = snapshot.differences(observed_recipe(worker), observed_recipe(run))
    common = tuple(name for name in names if name not in elsewhere and not name.startswith(SERVICE_ONLY))
    config = worker["Config"] | {"Entrypoint": process_one.entrypoint(worker, request)}
    if container_spec.has_network_of_another(run["HostConfig"]):  # it has the name of that one
        config |= {"Domainname": run["Config"].get("Domainname")}
    outside = _outside_recipe(worker | {"Config": config}, run, run_settings(worker, request), declared)
    return common + outside + _requested_only(worker, run, request) + _names(worker, run)


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


def _requested_only(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Compare settings that a run has only if they are requested."""
    keys = request.changes.keys if request.changes else ()
    settings = {"stop_grace_period": "StopTimeout", "stop_signal": "StopSignal"}
    expected = run_spec.body(worker, request)
    others = [name for key, name in settings.items() if key in keys and _differs(expected, run["Config"], name)]
    labels = run_changes.labels(request.changes).items()
    has_labels = labels <= run["Config"]["Labels"].items()
    networks = [
        f"network.{name}" for name in run_spec.requested_endpoints(worker, request) if not _has(name, worker, run)
    ]
    return (*others, *([] if has_labels else ["labels"]), *networks)


def _has(network: str, worker: Body, run: Body) -> bool:
    """Return whether a run has the declared names and addresses on a network."""
    declared, actual = (body["NetworkSettings"]["Networks"].get(network) or {} for body in (worker, run))
    has_addresses = not declared.get("IPAMConfig") or declared["IPAMConfig"] == actual.get("IPAMConfig")
    return has_addresses and {*declared.get("Aliases", ())} <= {*(actual.get("Aliases") or ())}


def _outside_recipe(worker: Body, run: Body, settings: Body, declared: frozenset[str]) -> tuple[str, ...]:
    """Compare settings that a recipe does not contain: the entrypoint, capabilities, privileges and so on.

    Those that are `declared` by a job are compared in one notation.
    """
    config = [
        name for name in ("Domainname", "Entrypoint", "WorkingDir") if _differs(worker["Config"], run["Config"], name)
    ]
    expected, actual = (
        worker["HostConfig"] | settings,
        run["HostConfig"] | {"LogConfig": _declared_logging(run["HostConfig"], settings)},
    )
    names = {**expected, **actual} if "Id" in worker else expected  # the daemon chooses the rest of a template
    elsewhere = IN_RECIPE - (REWRITTEN.keys() & declared) | NOT_COMPARED | (CHOSEN_BY_DAEMON & declared)
    different = [name for name in names if name not in elsewhere and _differs(expected, actual, name)]
    return (*config, *(name for name in different if name not in declared or _is_other(expected, actual, name)))


def _is_other(expected: Body, actual: Body, name: str) -> bool:
    return compose_recipe.notation(name, expected) != compose_recipe.notation(name, actual)


def _declared_logging(host: Body, settings: Body) -> Body:
    """Return a run's logging without the options that the daemon adds."""
    log = host.get("LogConfig") or {}
    options = {name: (log.get("Config") or {}).get(name) for name in settings["LogConfig"]["Config"]}
    return {"Type": log.get("Type"), "Config": options}


def _differs(worker: Body, run: Body, name: str) -> bool:
    return (worker.get(name) or None) != (run.get(name) or None)
