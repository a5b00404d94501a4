"""The rules for starting a job: what is refused, and which jobs run before it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.errors import MisuseError, NotUpError
from twelfth.hints import command_name
from twelfth.model.service import SERVICE_COMPLETED, SERVICE_HEALTHY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twelfth.model.job import Job
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack


def chain(stack: Stack, job: Job) -> tuple[Job, ...]:
    """Return the jobs that run before a job, and it, in order; raises `MisuseError` for a cycle."""
    if why := why_cyclic(stack, job):
        raise MisuseError(f"cannot start {job.name}: {why}")
    ordered: list[Job] = []

    def visit(name: str) -> None:
        visited = job if name == job.name else stack.job(name)
        if visited and visited not in ordered:
            for dependency in visited.after:
                visit(dependency)
            ordered.append(visited)

    visit(job.name)
    return tuple(ordered)


def why_cyclic(stack: Stack, job: Job) -> str:
    """Return which of the jobs that run before a job depend on each other, and what to do; "" if none do."""
    path = " → ".join(_cycle(stack, job, ()))
    return path and f"jobs depend on each other: {path}. Remove one of them from depends_on"


def _cycle(stack: Stack, job: Job, before: tuple[str, ...]) -> tuple[str, ...]:
    if job.name in before:
        return (*before[before.index(job.name) :], job.name)
    dependencies = filter(None, map(stack.job, job.after))
    paths = (_cycle(stack, dependency, (*before, job.name)) for dependency in dependencies)
    return next(filter(None, paths), ())


def refuse_start(job: Job, file: str, *, is_fire: bool) -> None:
    """Raise `MisuseError` if the definition of a job is invalid, or does not allow an operator to start it."""
    if job.refusals:
        raise MisuseError("\n".join(f"{file}: {refusal}" for refusal in job.refusals))
    if not job.is_manual and not is_fire:
        why = f"its triggers.manual is false in {file}, so only its schedule starts it"
        raise MisuseError(f"cannot start {job.name}: {why}. Try: invoke schedule --list")


def refuse_missing_reason(job: Job, reason: str) -> None:
    """Raise `MisuseError` if the job requires a reason and there is none."""
    if job.needs_reason and not reason.strip():
        name = command_name(job.name)
        raise MisuseError(f"cannot start {job.name}: it requires a reason. Try: invoke {name} --reason TEXT")


def refuse_unmet(job: Job, replicas: Callable[[str], Sequence[Replica]], is_healthy: Callable[[Replica], bool]) -> None:
    """Raise `NotUpError` unless the services that a job depends on fulfil its conditions: a run starts no service."""
    for service, condition in job.conditions:
        if why := _unmet(condition, replicas(service), is_healthy):
            raise NotUpError(f"cannot start {job.name}: it depends on {service}, which {why}. Try: invoke up")


def _unmet(condition: str, replicas: Iterable[Replica], is_healthy: Callable[[Replica], bool]) -> str:
    replicas = [*replicas]
    if condition == SERVICE_COMPLETED:
        return "" if any(replica.has_completed for replica in replicas) else "has not completed successfully"
    running = [replica for replica in replicas if replica.serves]
    if not running:
        return "is not running"
    return "is not healthy" if condition == SERVICE_HEALTHY and not any(map(is_healthy, running)) else ""
