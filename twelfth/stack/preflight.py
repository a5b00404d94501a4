"""Checks before a plan is executed: if it cannot succeed, nothing is changed."""

from __future__ import annotations

import os
import re
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from twelfth.engines import tcp
from twelfth.errors import BusyError, EngineError, MisuseError
from twelfth.model.stack import Network
from twelfth.stack import resources
from twelfth.stack.deploy_record import note_accepted, read_deploys
from twelfth.stack.steps import (
    CreateReplica,
    CreateResource,
    ReloadReplica,
    RemoveReplica,
    RemoveResource,
    RemoveService,
    ReplaceReplica,
    RollService,
    StartReplica,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine, ReplicaEngine
    from twelfth.model.run import Run
    from twelfth.model.service import Port
    from twelfth.model.snapshot import Snapshot
    from twelfth.model.stack import Stack
    from twelfth.stack.report import Report
    from twelfth.stack.steps import Step


def refuse_idle(engine: Engine) -> None:
    """Raise `EngineError` if no service of the stack runs on this engine."""
    if not any(map(engine.runs_here, engine.stack.services)):
        why = "no service of the Compose file has x-local"
        hint = "Add that to one, then: invoke up"
        raise EngineError(f"cannot run {engine.stack.project} on {engine.name}: {why}. {hint}")


def refuse_losses(engine: Engine, *, accepts: bool) -> None:
    """Raise `MisuseError` if the engine lacks declared protections and the operator has not accepted that.

    An acceptance is recorded, so that the option is needed once.
    """
    losses = engine.losses()
    if new := [loss for loss in losses if loss not in read_deploys(engine.state).accepted]:
        if not accepts:
            hint = "To accept this, repeat the command with --accept-weaker"
            raise MisuseError(f"on {engine.name} {'; '.join(new)}. {hint}")
        note_accepted(engine.state, losses)


def refuse_disturbing_runs(engine: Engine, steps: Iterable[Step]) -> None:
    """Raise `BusyError` if the steps would remove a network while a run, which may use it, is running."""
    if any(isinstance(step, RemoveResource) for step in steps):  # else there is no need to read all records
        runs = _unfinished(engine)
        names = ", ".join(f"{run.id} ({' '.join(shlex.join(run.command).split())[:40]})" for run in runs)
        if runs:
            hint = f"Try: invoke stop {runs[0].id}, then repeat the command"
            raise BusyError(f"cannot remove a network that runs may use: {names}. {hint}")


def without_networks_of_runs(engine: Engine, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps without the removal of renamed networks while a run, which may use them, is running.

    The services are moved to the new networks, and the next `up` removes the old ones.
    """
    name = engine.stack.engine_name
    created = {name(step.resource) for step in steps if isinstance(step, CreateResource)}
    removals = [step for step in steps if isinstance(step, RemoveResource)]
    renamed = [step for step in removals if name(step.resource) not in created]
    return tuple(step for step in steps if step not in renamed) if renamed and _unfinished(engine) else steps


def refuse_disturbing_others(steps: Iterable[Step], stack: Stack, snapshot: Snapshot) -> None:
    """Raise `BusyError` if the steps would remove a network that other containers use."""
    steps = tuple(steps)
    gone = set(filter(None, map(_removed_service, steps)))
    for step in steps:
        if isinstance(step, RemoveResource) and isinstance(step.resource, Network):
            name = stack.engine_name(step.resource)
            users = snapshot.users(name, gone)
            names = ", ".join(user.container for user in users)
            if any(user.service for user in users):
                raise BusyError(f"cannot re-create the network {name}: orphans use it ({names}). {ORPHANS_HINT}")
            if users:
                hint = f"docker network disconnect {name} {users[0].container}, then repeat the command"
                raise BusyError(
                    f"cannot re-create the network {name}: containers outside this stack use it ({names}). Try: {hint}"
                )


ORPHANS_HINT = "Try: invoke up --remove-orphans"


def _removed_service(step: Step) -> str:
    """Return the service whose replicas a step disconnects from their networks, or an empty string."""
    match step:
        case RemoveReplica(replica):
            return replica.service
        case RemoveService(name):
            return name
        case ReplaceReplica(service) | RollService(service):
            return service.name
    return ""


def refuse_contradictions(stack: Stack) -> None:
    """Raise `MisuseError` if two networks or volumes have the same name and different settings."""
    if contradictions := resources.contradictions(stack):
        raise MisuseError(
            "\n".join(f"{sentence}; give them different names or the same settings" for sentence in contradictions)
        )


def refuse_second_replicas(stack: Stack) -> None:
    """Raise `MisuseError` if the file declares several replicas of a service that can have only one."""
    for service in stack.services:
        if service.replicas > 1 and (why := service.why_single):
            way = "see docs/proxy.md" if service.fixed_port else "list what replicas may share in x-twelfth.shared"
            raise MisuseError(
                f"cannot run {service.replicas} replicas of {service.name}: it {why}, so there can be only one. "
                f"Set services.{service.name}.scale to 1, or {way}"
            )


def wait_for_runs(engine: Engine, report: Report) -> None:
    """Wait until no run is running, and report the runs."""
    report.step("Wait for runs (--wait-for-runs)")
    reported: set[str] = set()
    while runs := _unfinished(engine):
        for run in runs:
            if run.id not in reported:
                report.detail(f"run {run.id} is running: {shlex.join(run.command)[:60]}")
        reported |= {run.id for run in runs}
        time.sleep(ASK_EVERY)


def _unfinished(engine: Engine) -> list[Run]:
    return [run for run in engine.runs.records() if run.is_running]


ASK_EVERY = 0.2
"""Seconds between reads of the record of runs."""


def refuse_taken_ports(engine: Engine, steps: Iterable[Step], snapshot: Snapshot) -> None:
    """Raise `MisuseError` for a port that a new replica needs and cannot have."""
    steps = tuple(steps)
    gone = {service.name for service in engine.stack.services} | set(map(_removed_service, steps))
    leaving = [replica for replica in snapshot.replicas if replica.is_running and replica.service in gone]
    starts = (step for step in steps if isinstance(step, CreateReplica | StartReplica | ReplaceReplica))
    services = {step.service.name: step.service for step in starts}
    ports = [port for service in services.values() for port in engine.host_ports(service)]
    for port in (port for port in ports if port.is_fixed):
        if why := engine.why_taken(port, leaving):
            hint = _another_port(engine, port)
            if why in tcp.NOT_A_PROGRAM:
                raise MisuseError(f"cannot publish port {port.published}: {why}. {hint[0].upper()}{hint[1:]}")
            raise MisuseError(f"port {port.published} is not free ({why}). Stop the program that uses it, or {hint}")


HIGHEST_PORT = 65_535


def _another_port(engine: Engine, taken: Port) -> str:
    """Return how to publish another port: with the variable that the Compose files use for it, else by editing them.

    No port is free if the address is not one of this machine.
    """
    candidates = (replace(taken, published=number) for number in range(taken.published + 1, HIGHEST_PORT + 1))
    free = next((port.published for port in candidates if not engine.why_taken(port)), 0)
    if not free:
        return f"publish the port on an address of this machine instead of {taken.host}, then: invoke up"
    text = "".join(path.read_text("utf-8", errors="replace") for path in engine.stack.files if path.is_file())
    for name, default in re.findall(r"\$\{(\w+)(?::?-(\d+))?\}", text):
        if os.environ.get(name, default) == str(taken.published):
            return f"use another port: {name}={free} invoke up"
    return "publish another port in the Compose file, then: invoke up"


def refuse_configuration(engine: Engine, steps: Iterable[Step]) -> None:
    """Raise `EngineError` if a replica that is to be reloaded refuses its new configuration files."""
    for step in steps:
        if isinstance(step, ReloadReplica):
            cast("ReplicaEngine", engine).check_reload(step.service, step.replica)
