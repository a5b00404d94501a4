"""How a run is said to the Engine API: the worker's own inspection with another command; pure.

Everything that the engine reports of the worker is taken over, and only what makes it a service is left behind: its
published ports, its restarts, its healthcheck, its names on the networks.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.engines.docker import recipe
from twelfth.engines.docker.recipe import COMPOSE, RELEASE, found_recipe
from twelfth.model.run import Run
from twelfth.model.snapshot import differences

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.docker.recipe import Body
    from twelfth.model.run import RunRequest
    from twelfth.model.stack import Service, Stack

RUN = "twelfth.run"
KILL_AFTER = 10
"""Seconds between TERM and KILL where the worker does not say otherwise, as `docker stop` has it."""

TIMED_OUT = 124
"""Exit code of `timeout` (coreutils) for a command whose time was over."""

NO_LOG = {"Type": "none", "Config": {}}
"""What keeps no output (https://docs.docker.com/engine/logging/configure/); it can be attached to all the same."""

SERVICE_ONLY = ("command", "healthcheck", "restart", "init", "port.", "stop_grace_period")
"""What of a worker's recipe belongs to serving, and not to the release or its configuration."""


def body(worker: Body, request: RunRequest) -> Body:
    """Return the body that creates a run from an inspected worker, on the first of its networks."""
    config, host = worker["Config"], worker["HostConfig"]
    return {
        "Image": worker["Image"],
        "Entrypoint": config.get("Entrypoint"),
        "Cmd": _bounded(request, config.get("StopTimeout") or KILL_AFTER),
        "Env": _environment(config.get("Env") or [], request.environment + request.told),
        "User": config.get("User") or "",
        "WorkingDir": config.get("WorkingDir") or "",
        "Labels": labels(worker, request),
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopTimeout": config.get("StopTimeout") or KILL_AFTER,
        "Tty": request.tty,
        "OpenStdin": request.interactive,
        "StdinOnce": request.interactive,
        "AttachStdin": request.interactive,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": host | RUNS_OWN | ({} if request.kept else {"LogConfig": NO_LOG}),
        "NetworkingConfig": {"EndpointsConfig": {name: {} for name in networks(worker)[:1]}},
    }


def template(stack: Stack, service: Service, image: Body) -> Body:
    """Return what the engine would report of a worker of an image with the stack's configuration, where none runs."""
    made, defaults = recipe.body(stack, service, {}), image["Config"]
    env = _environment(defaults.get("Env") or [], service.environment)
    mounts = made["HostConfig"]["Mounts"]
    own = {"Env": env, "User": made["User"] or defaults.get("User"), "StopTimeout": made["StopTimeout"]}
    labels = {f"{COMPOSE}project": stack.project, f"{COMPOSE}service": service.name}
    return {
        "Image": image["Id"],
        "Config": defaults | own | {"Labels": labels},
        "HostConfig": made["HostConfig"],
        "Mounts": [{"Type": m["Type"], "Destination": m["Target"], "Name": m["Source"]} for m in mounts],
        "NetworkSettings": {"Networks": {name: {} for name in recipe.network_names(stack, service)}},
    }


def networks(worker: Body) -> list[str]:
    """Return the names of the worker's networks, the one that it was created on first."""
    names = sorted(worker["NetworkSettings"]["Networks"])
    first = worker["HostConfig"].get("NetworkMode")
    return sorted(names, key=lambda name: name != first)


def labels(worker: Body, request: RunRequest) -> dict[str, str]:
    """Return the labels that make the container a one-off of Compose's and carry the record; no value of `--env`."""
    own = worker["Config"].get("Labels") or {}
    return {name: value for name, value in own.items() if name in _KEPT} | {
        f"{COMPOSE}oneoff": "True",
        RELEASE: request.replica.release,
        RUN: request.id,
        f"{RUN}.command": json.dumps(request.command),
        f"{RUN}.operator": request.operator,
        f"{RUN}.reason": request.reason,
        f"{RUN}.overrides": json.dumps([name for name, _ in request.environment]),
        f"{RUN}.timeout": "" if request.timeout is None else f"{request.timeout:g}",
    }


_KEPT = {f"{COMPOSE}{name}" for name in ("project", "service", "project.working_dir", "project.config_files")}


def unlike(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of what differs between two inspected containers, beyond serving and what makes it a run."""
    told = {f"environment.{name}" for name, _ in request.told}
    found = differences(found_recipe(worker), found_recipe(run))
    settings = tuple(name for name in found if name not in told and not name.startswith(SERVICE_ONLY))
    return settings + _unlike_rest(worker, run, RUNS_OWN if request.kept else RUNS_OWN | {"LogConfig": NO_LOG})


def unasked(worker: Body, run: Body, request: RunRequest) -> tuple[str, ...]:
    """Return the names of what differs and was not asked for, or is not as it was asked for."""
    asked = {f"environment.{name}": value for name, value in request.environment + request.told}
    made = found_recipe(run)
    wrong = (name for name, value in asked.items() if made.get(name) != value)
    return (*(name for name in unlike(worker, run, request) if name not in asked), *wrong)


def planned(worker: Body, request: RunRequest) -> Body:
    """Return what the engine would report of the run, before there is one."""
    made = body(worker, request)
    return {**worker, "Config": made, "HostConfig": made["HostConfig"]}


def _unlike_rest(worker: Body, run: Body, own: Body) -> tuple[str, ...]:
    """Return the names of what a recipe does not speak of: the entrypoint, capabilities, privileges and so on."""
    config = [name for name in ("Entrypoint", "WorkingDir") if _other(worker["Config"], run["Config"], name)]
    wanted, made = worker["HostConfig"] | own, run["HostConfig"]
    names = {**wanted, **made} if "Id" in worker else wanted  # a template leaves the rest to the daemon
    return (*config, *(name for name in names if name not in IN_RECIPE and _other(wanted, made, name)))


def _other(worker: Body, run: Body, name: str) -> bool:
    return (worker.get(name) or None) != (run.get(name) or None)


IN_RECIPE = {"CapDrop", "Memory", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "SecurityOpt", "Tmpfs"}
"""Settings of the host's that a recipe has, under names of its own."""

RUNS_OWN: Body = {
    "AutoRemove": False,
    "ContainerIDFile": "",
    "Init": True,
    "Links": None,
    "PortBindings": {},
    "PublishAllPorts": False,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}
"""Settings of the host's that a run has its own of, whatever the worker has."""


def _bounded(request: RunRequest, grace: int) -> list[str]:
    """Return the command, under coreutils' `timeout` where its time is limited: that holds without any client."""
    if request.timeout is None:
        return list(request.command)
    foreground = ["--foreground"] if request.tty else []
    return ["timeout", *foreground, f"--kill-after={grace}", f"{request.timeout:g}", *request.command]


def _environment(worker: list[str], overrides: Iterable[tuple[str, str]]) -> list[str]:
    """Return the worker's variables with the overrides; one without `=`, as Compose writes it, stays unset."""
    own = {pair.partition("=")[0]: pair for pair in worker}
    return list((own | {name: f"{name}={value}" for name, value in overrides}).values())


def exit_code(run: Body) -> int:
    """Return how a run ended: 124 where its time was over, however hard it had to be ended, else its own code."""
    return TIMED_OUT if timed_out(run) else int(run["State"]["ExitCode"])


def timed_out(run: Body) -> bool:
    """Return whether a run was ended because its time was over: `timeout` exits so, and it took that long."""
    limit = (run["Config"]["Labels"] or {}).get(f"{RUN}.timeout")
    return run["State"]["ExitCode"] in {TIMED_OUT, KILLED} and bool(limit) and seconds(run) >= float(limit or 0)


KILLED = 137
"""Exit code of a process that SIGKILL ended; coreutils' `timeout` has it too where TERM was not enough."""


def seconds(run: Body) -> float:
    """Return how long an ended run took."""
    began, ended = (datetime.fromisoformat(run["State"][key]) for key in ("StartedAt", "FinishedAt"))
    return max(0.0, (ended - began).total_seconds())


def prunable(listed: Iterable[Body], keep: int, now: float) -> list[Body]:
    """Return what goes of the containers that are listed as not running, the newest first, but for the last `keep`.

    One that was created and not started belongs to a client that is about to start it, or that died before it could:
    a minute tells which. `Created` counts whole seconds, so the order of the list decides within one.
    """
    return [each for each in listed if each["State"] != "created" or is_abandoned(each, now)][keep:]


def is_abandoned(listed: Body, now: float) -> bool:
    """Return whether a run that was created will not be started any more."""
    return bool(listed["State"] == "created" and now - listed["Created"] > STARTED_WITHIN)


STARTED_WITHIN = 60
"""Seconds after which a client that created a container does not start it any more."""

STOPPED = "-stopped"
"""End of the name of a run that an operator stopped: a container's name can change, its labels cannot."""


def record(run: Body) -> Run:
    """Return an inspected one-off container as the record of its run."""
    labels, state = run["Config"]["Labels"] or {}, run["State"]
    ended = state["Status"] in {"exited", "dead"}
    return Run(
        id=labels[RUN],
        command=tuple(json.loads(labels[f"{RUN}.command"])),
        engine="docker",
        release=labels.get(RELEASE, ""),
        image=run["Image"],
        operator=labels.get(f"{RUN}.operator", ""),
        reason=labels.get(f"{RUN}.reason", ""),
        overrides=tuple(json.loads(labels[f"{RUN}.overrides"])),
        started=run["Created"] if state["Status"] == "created" else state["StartedAt"],
        finished=state["FinishedAt"] if ended else "",
        seconds=round(seconds(run), 3) if ended else None,
        state=_state(run) if ended else state["Status"],
        exit_code=exit_code(run) if ended else None,
    )


def _state(run: Body) -> str:
    if run["Name"].endswith(STOPPED):
        return "stopped"
    if timed_out(run):
        return "timeout"
    return "failed" if run["State"]["ExitCode"] else "done"
