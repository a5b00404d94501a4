"""Make each job of the Compose file, and each program `admin/NAME.py`, a command."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth.cli.command import FAILED, MISUSE, Command, failure, warn, words_after_dashes
from twelfth.cli.hidden import hidden_jobs, hidden_programs
from twelfth.cli.job_names import current_location, disabled_by, job_names
from twelfth.cli.run_options import REPEATABLE, RunOptions, taking_options
from twelfth.cli.target import Target
from twelfth.compose.presence import job_keys
from twelfth.errors import TwelfthError
from twelfth.hints import JOBS_UNKNOWN, command_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from invoke.collection import Collection
    from invoke.context import Context

    from twelfth.model.stack import Stack


def job_command(name: str, summary: str) -> Command:
    """Return the command that starts a job or program with the options of `run`."""

    @taking_options
    def body(c: Context, options: RunOptions, yes: bool = False) -> None:
        from twelfth.cli.jobs import start_job

        target = Target(c, options.release, options.service)
        try:
            start_job(c, target, name, words_after_dashes(), options, yes=yes)
        except Exit as failure:
            if failure.code == FAILED:
                _warn_of_another_release(target.for_job(name))
            raise

    body.__doc__ = summary
    help_texts = {"yes": "Do not ask the job's question"}
    return Command(body, name=command_name(name), job=name, words="[-- ARG…]", iterable=REPEATABLE, help=help_texts)


def add_jobs(collection: Collection, say: Callable[[str], None]) -> list[str]:
    """Add the commands of the project's jobs, and return lines about jobs and programs that cannot be typed.

    A Compose file that cannot be read is only reported: other commands do not need it.
    """
    if not (directory := _directory(collection)):
        return []
    try:
        names = _names(directory)
    except TwelfthError as error:
        say(f"{JOBS_UNKNOWN}: {error}")
        names = {}
    for name, text in names.items():
        if command_name(name) not in collection.task_names:
            collection.add_task(job_command(name, text or f"Start the job {name}."))
    return [*hidden_programs(directory), *hidden_jobs(names)]


def refuse_disabled(collection: Collection, words: Iterable[str]) -> None:
    """Exit with an error if a word is a job whose profile is not enabled."""
    directory = _directory(collection)
    if not directory or not job_keys(directory, os.environ):
        return
    with suppress(TwelfthError):  # which is reported already
        for word in words:
            if profile := disabled_by(directory, word):
                why = f"its profile {profile} is not enabled"
                raise failure(f"cannot start {word}: {why}. Try: COMPOSE_PROFILES={profile} invoke {word}", MISUSE)


def _directory(collection: Collection) -> Path | None:
    project = collection.configuration().get("project")
    return Path(project["directory"]) if project else None


def service_names(collection: Collection) -> list[str]:
    """Return the names of the project's services; none if the Compose file cannot be read."""
    if directory := _directory(collection):
        from twelfth.stack.load import load_names

        with suppress(TwelfthError):
            return [service.name for service in load_names(directory, os.environ).services]
    return []


def _names(directory: Path) -> Mapping[str, str]:
    def load() -> Stack:
        from twelfth.stack.load import load_names

        return load_names(directory, os.environ)

    return job_names(directory, lambda: current_location(directory), load)


def _warn_of_another_release(target: Target) -> None:
    # The program may be missing in the running release, or older than the file here.
    running, service = target.source.release, target.engine("release").stack.service(target.source.service)
    if running and service and service.release not in {"", running}:
        warn(f"the running release {running} was not made from the files here. To deploy them: invoke up")
