"""The commands about existing services: exec, start and restart; `runs.stop` also stops services."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth.cli.command import command, number, on_terminal, typed_services, warn, words_after_dashes
from twelfth.cli.notifying import notifying
from twelfth.cli.progress import with_progress
from twelfth.cli.target import Target
from twelfth.hints import as_typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context


@command(
    words="COMMAND [ARG…]",
    iterable=["env"],
    has_plan=False,
    help={
        "env": "Set a variable for the command; NAME alone takes its value from this shell",
        "index": "Execute in the replica with this number (default: the first that gets requests)",
        "interactive": "Accepted as in Compose; input is always passed",
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
    """Execute a command in a running replica.

    No record is kept. `run` starts a new container instead, and keeps a record.
    """
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
        warn(f"exec works inside {replica.name}, and keeps no record. {hint}")
    if code := execute(engine, replica, hook, tty=has_terminal):
        raise Exit(code=code)


@command(words="[SERVICE…]")
def start(c: Context, ready_within: str = "") -> None:
    """Start stopped services as they are, by default all.

    Waits until they are ready.
    """
    change_services(c, "start", typed_services(), ready_within)


@command(words="[SERVICE…]")
def restart(c: Context, ready_within: str = "") -> None:
    """Restart services as they are, by default all.

    One replica is restarted after the other; each must become ready before the next.
    """
    change_services(c, "restart", typed_services(), ready_within)


def change_services(c: Context, name: str, services: Sequence[str], ready_within: str = "") -> None:
    """Execute `stop`, `start` or `restart`, or show its plan with --dry."""
    from twelfth.cli.stack import print_plan, seconds_to_get_ready
    from twelfth.stack.service_changes import change, plan_change, restarts_with_daemon

    engine, within = Target(c).engine("existing"), seconds_to_get_ready(ready_within)
    if c.config.run.dry:
        print_plan(plan_change(engine, name, services))
        return
    with notifying(engine):
        has_changed = with_progress(lambda report: change(engine, name, services, report, within))
    what = f"service {services[0]}" if len(services) == 1 else "services"
    if not has_changed:
        print(f"nothing to {name}")
    elif name == "stop":
        print(f"{what} stopped. To start again: {as_typed(f'invoke start {shlex.join(services)}')}")
        for service in restarts_with_daemon(engine, services):
            warn(f"{service} has restart: always, so Docker starts it again when its daemon restarts")
