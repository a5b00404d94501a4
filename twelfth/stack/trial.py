"""Try a release of a service before its replica is replaced in place: a bad one costs no request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twelfth.errors import EngineError
from twelfth.stack.deploy_record import note_trial
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.readiness import FIX, still_running, wait_until_ready, watch
from twelfth.stack.steps import no_answers

if TYPE_CHECKING:
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica
    from twelfth.stack.replicas import Replicas
    from twelfth.stack.steps import TryReplica


def try_replica(replicas: Replicas, step: TryReplica) -> None:
    """Create a candidate, wait until it is ready, watch it and remove it; raises `EngineError` if it fails.

    Its start and its stop are measured: the service will not answer for that long.
    """
    began = time.monotonic()
    candidate = replicas.engine.create_candidate(step.service, step.number)
    try:
        start = _seconds_until_ready(replicas, step.service, candidate, began)
        began = time.monotonic()
        replicas.remove(candidate)
        seconds = start + time.monotonic() - began
        replicas.report.detail(no_answers(step.service, seconds))
        note_trial(replicas.engine.state, step.service.name, seconds)
    except BaseException:
        with uninterrupted(replicas.report.detail, f"{candidate.name} is removed"):
            replicas.engine.remove_replica(candidate)
        raise


def _seconds_until_ready(replicas: Replicas, service: Service, candidate: Replica, began: float) -> float:
    # Without a healthcheck, the time that it has to run is not one in which it cannot answer.
    replicas.post_start(candidate)
    started = time.monotonic() - began
    try:
        health = wait_until_ready(replicas.engine, candidate, replicas.within)
        seconds = time.monotonic() - began if health.has_check else started
        watch(replicas.engine, [candidate], service.monitor)
    except EngineError as error:
        replicas.show_last_lines(candidate)
        rest = still_running(replicas.engine.replicas(service.name), candidate)
        raise EngineError(f"{error}; {rest}. {FIX}") from error
    return seconds
