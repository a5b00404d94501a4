"""The commands about runs: run, wait and stop; and how every other command starts a run."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import command, ended_by_ctrl_c, on_terminal, typed_services, warn, words_after_dashes
from twelfth.cli.notifying import notifying
from twelfth.cli.run_options import REPEATABLE, RunOptions, taking_options
from twelfth.cli.target import Target
from twelfth.cli.working_directory import working_directory
from twelfth.errors import MisuseError, NoRecordError
from twelfth.model.duration import LONGEST, parse_seconds, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context

    from twelfth.engines.contract import Engine
    from twelfth.model.job import Changes
    from twelfth.model.record import Record


@command(words="-- COMMAND [ARG…]", iterable=REPEATABLE)
@taking_options
def run(c: Context, options: RunOptions) -> None:
    """Run a command in a new process of the running release.

    It has the configuration and the services of the running container.
    """
    from twelfth.runs import request

    target = Target(c, options.release, options.service)
    start_as_typed(c, target, request.command(words_after_dashes()), options)


def start_as_typed(
    c: Context, target: Target, command: Sequence[str], options: RunOptions, *, is_admin_process: bool = False
) -> None:
    """Check the options, then start the run."""
    from twelfth.runs import request
    from twelfth.runs.settings import typed_changes

    settings: dict[str, Any] = {
        "environment": request.overrides(options.env, os.environ),
        "timeout": request.seconds(options.timeout),
        "tty": request.wants_terminal(
            tty=options.tty, no_tty=options.no_tty, detach=options.detach, on_terminal=on_terminal()
        ),
    }
    target.needs_volumes = bool(options.volume)
    if options.node:
        target.engine().refuse_node(options.node)
    stack, directory = target.engine().stack, working_directory(os.environ)
    start(
        c,
        target,
        command,
        typed=typed_changes(options.user, options.workdir, options.volume, stack, directory),
        detach=options.detach,
        interactive=not options.detach,
        reason=options.reason,
        node=options.node,
        kept=not options.no_output,
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
    typed: Changes | None = None,
    **settings: Any,
) -> None:
    """Start a run and exit with its code if that is not 0; with --dry only show how it differs from its source.

    `settings` are fields of `RunRequest`; those of a job are added, and those that were `typed` for its container.
    """
    from twelfth.runs.manage import timed_out
    from twelfth.runs.request import new_request, with_job
    from twelfth.runs.settings import merged, refuse_ignored
    from twelfth.runs.start import describe, start_attached, start_detached

    settings = with_job(target.job, settings) if target.job else settings
    settings |= {"changes": merged(settings.get("changes"), typed)} if typed else {}
    request, engine = new_request(command, target.source, **settings), target.engine()
    if typed:
        refuse_ignored(engine, request, typed)
    if c.config.run.dry:
        print(describe(engine, request))
    elif detach:
        print(start_detached(engine, request, warn, target.choose_source_again))
    elif code := start_attached(engine, request, warn, streams, target.choose_source_again):
        if timed_out(engine, request, code):
            output = f"; its output: invoke logs --run {request.id}" if request.kept else ""
            warn(f"run {request.id} timed out after {plain(request.timeout or 0)} s{output}")
        raise Exit(code=code)


@command(has_plan=False, help={"run": "The run's id, or the beginning of it"})
def wait(c: Context, run: str) -> None:
    """Wait until a run has exited, and exit with its code.

    Ctrl-C ends only the wait; the run continues.
    """
    from twelfth.runs.manage import wait_for_run

    engine = Target(c).engine()
    with ended_by_ctrl_c(), notifying(engine):
        code = wait_for_run(engine, run)
    if code:
        raise Exit(code=code)


@command(words="RUN|SERVICE…")
def stop(c: Context) -> None:
    """Stop a run, by its id or the beginning of it, or services.

    They get TERM, and KILL after their grace period. A service stays stopped until `start` or `up`.
    """
    from twelfth.cli.services import change_services

    words = typed_services()
    if not words:
        hint = "Try: invoke stop SERVICE…, or to stop and remove all: invoke down"
        raise MisuseError(f"stop needs a run or services. {hint}")
    if len(words) > 1:
        change_services(c, "stop", words)
    else:
        _stop_run_or_service(c, words[0])


def _stop_run_or_service(c: Context, run: str) -> None:
    from twelfth.cli.services import change_services
    from twelfth.runs.manage import stop

    engine = Target(c).engine()
    is_service = engine.stack.service(run) is not None or bool(engine.replicas(run))
    # The beginning of an id may be the name of a service, such as db.
    is_run = run in engine.runs.ids() and any(record.is_running for record in engine.runs.records([run]))
    if is_service and not is_run:
        change_services(c, "stop", [run])
        return
    record = _running_run(engine, run)
    if c.config.run.dry:
        print(f"Stop run {record.id} (stop)")
        return
    with notifying(engine):
        record = stop(engine, record.id, warn)
    print(f"{record.id} {record.state}, exit code {record.exit_code}")
    if is_service:
        warn(f"this was a run; the service {run} is unchanged. Try: invoke ps")


def _running_run(engine: Engine, word: str) -> Record:
    from twelfth.runs.manage import running_run

    try:
        return running_run(engine, word)
    except NoRecordError as error:
        similar = difflib.get_close_matches(word, [service.name for service in engine.stack.services], 1)
        hint = f"Did you mean {similar[0]}? " if similar else ""
        why = "there is neither a run nor a service of that name"
        raise MisuseError(f"cannot stop {word}: {why}. {hint}Try: invoke ps") from error


def waiting(wait: str) -> tuple[str, ...]:
    """Return the option with which an admin process waits for the data's lock; no option for 0 seconds."""
    seconds = parse_seconds(wait)
    if seconds is None or seconds >= LONGEST:
        raise MisuseError(f"invalid --wait {wait}: it is not a duration. For example: --wait 30, 90s, 5m or 1h30m")
    return ("--wait", plain(seconds)) if seconds else ()
