"""The commands about runs: run, history, stop; and how every other command has one started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import command, on_terminal, warn, words_after_dashes
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context


@command(
    takes_words=True,
    iterable=["env"],
    help={
        "detach": "print the id and leave it to itself",
        "node": "a machine of the swarm, by name or label",
        "env": "NAME=VALUE instead of the service's",
        "timeout": "such as 30, 90s, 5m or 1h; then TERM, and KILL",
        "tty": "a terminal, the default where there is one",
        "no-tty": "no terminal, even where there is one",
    },
)
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
    """Run any command, given after --, in a new process made from the container that serves."""
    from twelfth.runs import request

    terminal = request.terminal_wanted(tty=tty, no_tty=no_tty, detach=detach, there_is_one=on_terminal())
    asked: dict[str, Any] = {
        "environment": request.overrides(env, os.environ),
        "timeout": request.seconds(timeout),
        "reason": reason,
        "node": node,
    }
    command = request.command(words_after_dashes())
    target = Target(c, release, service)
    if node:
        target.engine.refuse_node(node)
    start(c, target, command, detach=detach, tty=terminal, interactive=not detach, **asked)


def start(
    c: Context,
    target: Target,
    command: Sequence[str],
    *,
    detach: bool = False,
    streams: tuple[int, int] = (0, 1),
    **asked: Any,
) -> None:
    """Run a command from the target's source, and exit with its code where that is not 0; with --dry show it only."""
    from twelfth.model.duration import plain
    from twelfth.runs.manage import timed_out
    from twelfth.runs.request import new_request
    from twelfth.runs.start import describe, start_attached, start_detached

    wanted = new_request(command, target.source, **asked)
    if c.config.run.dry:
        print(describe(target.engine, wanted))
    elif detach:
        print(start_detached(target.engine, wanted))
    elif code := start_attached(target.engine, wanted, streams):
        if timed_out(target.engine.runs, wanted, code):
            limit = f"{plain(wanted.timeout or 0)} s"
            warn(f"run {wanted.id} timed out after {limit}; its output: invoke logs --run {wanted.id}")
        raise Exit(code=code)


def start_admin(c: Context, target: Target, name: str, *arguments: str, **asked: Any) -> None:
    """Run one of the release's admin processes."""
    start(c, target, ["python", "-m", f"admin.{name}", *arguments], is_admin_process=True, **asked)


@command()
def history(c: Context, json: bool = False) -> None:
    """Show the record of runs, the oldest first."""
    from twelfth.cli import views

    records = Target(c).engine.runs.records()
    print(views.json_array(records) if json else views.history(records))


@command(has_plan=False, help={"run": "its id, or the beginning of it"})
def stop(c: Context, run: str) -> None:
    """End a run: TERM, and KILL after its grace period."""
    from twelfth.runs.manage import stop_run

    ended = stop_run(Target(c).engine.runs, run, warn)
    print(f"{ended.id} {ended.state}, exit code {ended.exit_code}")
