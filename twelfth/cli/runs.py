"""The commands about runs: run and stop; and how every other command starts a run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import command, on_terminal, warn, words_after_dashes
from twelfth.cli.notifying import notifying
from twelfth.cli.target import Target
from twelfth.errors import MisuseError
from twelfth.model.duration import LONGEST, parse_seconds, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context


@dataclass(frozen=True)
class RunOptions:
    """The options of `run` that are about the run itself, as they were typed."""

    env: Sequence[str]
    detach: bool
    node: str
    reason: str
    timeout: str
    tty: bool
    no_tty: bool

    def with_terminal(self, tty: bool | None) -> RunOptions:
        """Return the options with the terminal that a job requires or refuses; unchanged for None."""
        return self if tty is None else replace(self, tty=tty, no_tty=not tty)


@command(words="-- COMMAND [ARG…]", iterable=["env"])
def run(
    c: Context,
    env: list[str],
    detach: bool = False,
    node: str = "",
    reason: str = "",
    release: str = "",
    service: str = "",
    timeout: str = "",
    tty: bool = False,
    no_tty: bool = False,
) -> None:
    """Run a command in a new process with the release, configuration and services of the running container."""
    from twelfth.runs import request

    options = RunOptions(env, detach, node, reason, timeout, tty, no_tty)
    start_as_typed(c, Target(c, release, service), request.command(words_after_dashes()), options)


def start_as_typed(
    c: Context, target: Target, command: Sequence[str], options: RunOptions, *, is_admin_process: bool = False
) -> None:
    """Check the options, then start the run."""
    from twelfth.runs import request

    settings: dict[str, Any] = {
        "environment": request.overrides(options.env, os.environ),
        "timeout": request.seconds(options.timeout),
        "tty": request.wants_terminal(
            tty=options.tty, no_tty=options.no_tty, detach=options.detach, on_terminal=on_terminal()
        ),
    }
    if options.node:
        target.engine().refuse_node(options.node)
    start(
        c,
        target,
        command,
        detach=options.detach,
        interactive=not options.detach,
        reason=options.reason,
        node=options.node,
        is_admin_process=is_admin_process,
        **settings,
    )


def start(
    c: Context,
    target: Target,
    command: Sequence[str],
    *,
    detach: bool = False,
    streams: tuple[int, int] = (0, 1),
    **settings: Any,
) -> None:
    """Start a run and exit with its code if that is not 0; with --dry only show how it differs from its source.

    `settings` are fields of `RunRequest`; those of a job are added.
    """
    from twelfth.runs.manage import timed_out
    from twelfth.runs.request import new_request, with_job
    from twelfth.runs.start import describe, start_attached, start_detached

    settings = with_job(target.job, settings) if target.job else settings
    request, engine = new_request(command, target.source, **settings), target.engine()
    if c.config.run.dry:
        print(describe(engine, request))
    elif detach:
        print(start_detached(engine, request, warn, target.choose_source_again))
    elif code := start_attached(engine, request, warn, streams, target.choose_source_again):
        if timed_out(engine, request, code):
            limit = f"{plain(request.timeout or 0)} s"
            warn(f"run {request.id} timed out after {limit}; its output: invoke logs --run {request.id}")
        raise Exit(code=code)


@command(has_plan=False, help={"run": "The run's id, or the beginning of it"})
def stop(c: Context, run: str) -> None:
    """Stop a run: TERM, and KILL after its grace period."""
    from twelfth.runs.manage import stop_run

    engine = Target(c).engine()
    with notifying(engine):
        record = stop_run(engine, run, warn)
        print(f"{record.id} {record.state}, exit code {record.exit_code}")


def waiting(wait: str) -> tuple[str, ...]:
    """Return the option with which an admin process waits for the data's lock; no option for 0 seconds."""
    seconds = parse_seconds(wait)
    if seconds is None or seconds >= LONGEST:
        raise MisuseError(f"invalid --wait {wait}: it is not a duration. For example: --wait 30, 90s, 5m or 1h30m")
    return ("--wait", plain(seconds)) if seconds else ()
