"""The commands about running services: exec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth.cli.command import command, number, on_terminal, warn, words_after_dashes
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from invoke.context import Context


@command(
    words="COMMAND [ARG…]",
    iterable=["env"],
    has_plan=False,
    help={
        "env": "Set a variable for the command; NAME alone takes its value from this shell",
        "index": "Execute in the replica with this number (default: the first that gets requests)",
        "interactive": "Accepted as in Compose, without an effect: input is always passed",
        "service": "The service",
        "user": "Execute as this user of the container: a name or UID[:GID]",
        "workdir": "Execute in this directory of the container",
    },
    placeholders={"index": "N"},
)
def exec(  # noqa: A001 - the name of Compose's command
    c: Context,
    service: str,
    env: list[str],
    index: str = "",
    interactive: bool = False,  # noqa: ARG001 - accepted, since Compose's users type it
    tty: bool = False,
    no_tty: bool = False,
    user: str = "",
    workdir: str = "",
) -> None:
    """Execute a command in a running replica, without a record; `run` starts a new process with one."""
    from twelfth.model.hook import Hook
    from twelfth.runs.in_replica import chosen, execute, refuse_without
    from twelfth.runs.request import overrides, wants_terminal

    words = words_after_dashes()
    refuse_without(words)
    hook = Hook(tuple(words), user=user, working_dir=workdir, environment=overrides(env, os.environ))
    has_terminal = wants_terminal(tty=tty, no_tty=no_tty, detach=False, on_terminal=on_terminal())
    engine = Target(c).engine()
    replica = chosen(engine.replicas(service), service, number(index, "--index", 1) if index else None)
    if on_terminal():
        hint = f"For a new process with a record: invoke run --service {service} -- COMMAND"
        warn(f"exec works inside {replica.name} and keeps no record. {hint}")
    if code := execute(engine, replica, hook, tty=has_terminal):
        raise Exit(code=code)
