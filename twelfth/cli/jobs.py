"""Start a job, from whichever command: check its rules, ask its question, run the jobs before it, then start it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import on_terminal, warn
from twelfth.cli.confirmation import confirm
from twelfth.cli.runs import start, start_as_typed
from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context

    from twelfth.cli.run_options import RunOptions
    from twelfth.cli.target import Target
    from twelfth.model.job import Job


def start_job(
    c: Context, target: Target, name: str, arguments: Sequence[str], options: RunOptions, *, yes: bool = False
) -> None:
    """Start a job with the options of `run`; the arguments are appended to its command."""
    target = target.for_job(name)
    job = target.required_job
    _refuse_terminal(job, options)
    prepare(c, target, reason=options.reason, yes=yes)
    options = options.with_terminal(job.tty)
    start_as_typed(c, target, [*job_words(target), *arguments], options, is_admin_process=True)


def start_admin(
    c: Context,
    target: Target,
    name: str,
    *arguments: str,
    timeout: str = "",
    detach: bool = False,
    reason: str = "",
    yes: bool = False,
    is_step: bool = False,
    **settings: Any,
) -> None:
    """Start one of the release's admin processes with the settings of its job; `timeout` is as it was typed.

    With `is_step` the rules of the job are not checked: a command with several steps has checked them before the first.
    """
    from twelfth.runs.request import seconds

    limit, target = seconds(timeout), target.for_job(name)
    if not is_step:
        prepare(c, target, reason=reason, yes=yes)
    command = [*job_words(target), *arguments]
    start(c, target, command, is_admin_process=True, timeout=limit, detach=detach, reason=reason, **settings)


def prepare(c: Context, target: Target, *, reason: str, yes: bool, question: str = "") -> None:
    """Refuse a start that the job does not allow, ask its question, and run the jobs before it.

    `question` is asked if the job has none; nothing is asked with `yes`, by a schedule, or with --dry.
    """
    from twelfth.runs import jobs
    from twelfth.runs.fire import current

    job = target.required_job
    is_fire = current(job.name) is not None
    chain = jobs.chain(target.named, job) if job.after else (job,)
    for link in chain if target.has_entry else ():
        jobs.refuse_start(link, target.file, is_fire=is_fire and link is job)
        jobs.refuse_unmet(link, target.engine().replicas, target.is_healthy)
    if not is_fire:
        jobs.refuse_missing_reason(job, reason)
    if not (yes or is_fire or c.config.run.dry):
        for text in filter(None, (*(link.confirm for link in chain[:-1]), job.confirm or question)):
            confirm(text)
    for link in chain[:-1]:
        _run_before(c, target, link, job)


def _run_before(c: Context, target: Target, job: Job, next_job: Job) -> None:
    """Run a job; its output goes to standard error, since standard output is that of the next one."""
    from twelfth.model.run import OPERATOR, SCHEDULE
    from twelfth.runs.fire import current

    settings: dict[str, Any] = {
        "reason": f"before {next_job.name}",
        "trigger": SCHEDULE if current(next_job.name) else OPERATOR,
        "streams": (0, 2),
        "interactive": False,
        "is_admin_process": True,
    }
    target = target.with_job(job)
    try:
        start(c, target, job_words(target), **settings)
    except Exit as failure:
        warn(f"cannot start {next_job.name}: {job.name}, which runs before it, exited with code {failure.code}")
        raise


def job_words(target: Target) -> list[str]:
    """Return the command of a job; the default is the program of its name."""
    job = target.required_job
    if job.command:
        return list(job.command)
    module = job.name.replace("-", "_").replace(".", "_")
    if target.has_entry and not (target.directory / "admin" / f"{module}.py").is_file():
        raise MisuseError(f"cannot start {job.name}: it has no command in {target.file}. Add command: [PROGRAM, ARG]")
    return ["python", "-m", f"admin.{module}"]


def _refuse_terminal(job: Job, options: RunOptions) -> None:
    if job.tty is False and options.tty:
        raise MisuseError(f"cannot start {job.name} with --tty: its x-twelfth.tty is false. Omit --tty")
    if job.tty and (options.no_tty or options.detach or not on_terminal()):
        why = "its x-twelfth.tty is true, so it needs a terminal"
        raise MisuseError(f"cannot start {job.name}: {why}. Start it in one, without --detach and --no-tty")
