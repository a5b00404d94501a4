"""The commands about the stack as a whole: up, down, status, config, logs, build."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import command, ended_by_ctrl_c, number, warn
from twelfth.cli.progress import with_progress
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from invoke.context import Context


REMOVE_ORPHANS = "also remove services that the Compose file does not declare"


@command(
    iterable=["scale"],
    help={
        "accept-weaker": "go on where the engine cannot hold all of the declared protection",
        "release": "one that was built before",
        "remove-orphans": REMOVE_ORPHANS,
        "scale": "SERVICE=N replicas, such as worker=2",
        "wait-for-runs": "replace nothing before all runs have ended",
    },
)
def up(
    c: Context,
    scale: list[str],
    release: str = "",
    ready_within: str = "",
    wait_for_runs: bool = False,
    accept_weaker: bool = False,
    remove_orphans: bool = False,
) -> None:
    """Build what is missing, converge the stack, wait until it is ready, print its address."""
    from twelfth.stack import lifecycle, notices

    scaled = [wish.partition("=")[0] for wish in scale]
    within, left = seconds_to_get_ready(ready_within), list[str]()
    options = lifecycle.UpOptions(
        within,
        wait_for_runs,
        accepts_weaker=accept_weaker,
        remove_orphans=remove_orphans,
        warn=left.append,
        scaled=scaled,
    )
    target = Target(c, release)
    with ThreadPoolExecutor(1) as pool:
        checks = pool.submit(target.check_healths, of_first=True)
        engine = target.engine_to_deploy(scale)
    for notice in engine.notices():
        warn(notice)
    if c.config.run.dry:
        engine.refuse_stack()
        print_plan(lifecycle.plan_up(engine, remove_orphans=remove_orphans))
        left += notices.of_up(engine, engine.observe(), remove_orphans=remove_orphans)
    else:
        address = with_progress(lambda report: lifecycle.up(engine, report, options, checks.result()))
        if address:
            print(address)
    for line in left:
        warn(line)


def seconds_to_get_ready(text: str) -> float | None:
    """Return what `--ready-within` says, in seconds; None for the default of each service."""
    from twelfth.runs.request import seconds

    return seconds(text, "--ready-within") or None


@command(positional=["replicas"], help={"replicas": "SERVICE=N, such as worker=4"})
def scale(c: Context, replicas: str, ready_within: str = "") -> None:
    """Make or remove replicas of the release that runs; the number is remembered, nothing is deployed."""
    from twelfth.stack import lifecycle
    from twelfth.stack.load import wanted

    engine = Target(c).declared_engine
    service = wanted(engine.stack, replicas)
    if c.config.run.dry:
        print_plan(lifecycle.plan_scale(engine, service))
        return
    within = seconds_to_get_ready(ready_within)
    if not with_progress(lambda report: lifecycle.scale(engine, service, report, within)):
        print(f"{service.name} has {service.replicas} already")


@command(
    help={
        "volumes": "remove the data too",
        "history": "remove the record of runs too",
        "remove-orphans": REMOVE_ORPHANS,
    }
)
def down(c: Context, volumes: bool = False, history: bool = False, remove_orphans: bool = False) -> None:
    """Stop and remove the stack; its data and the record of runs stay unless they are named."""
    from twelfth.stack import lifecycle, notices

    engine = Target(c).engine_as_found
    named = {"volumes": volumes, "history": history, "remove_orphans": remove_orphans}
    if c.config.run.dry:
        print_plan(lifecycle.plan_down(engine, **named))
        return
    if not with_progress(lambda report: lifecycle.down(engine, report, **named)):
        print("nothing is up")
    for line in notices.of_down(engine, engine.observe(), volumes=volumes):
        warn(line)


def print_plan(steps: Iterable[object]) -> None:
    """Print the steps of a plan, or that there are none."""
    print("\n".join(map(str, steps)) or "nothing to do")


@command()
def status(c: Context, json: bool = False) -> None:
    """Show services, replicas, health, releases and address; exit with 1 where not all is ready that is wanted."""
    from twelfth.cli import views
    from twelfth.stack.status import status

    target = Target(c)
    with ThreadPoolExecutor(1) as pool:  # Compose takes as long to read its files as a healthcheck
        checks = pool.submit(target.check_healths)
        found = status(target.engine_as_found, checks.result)
    print(views.status_json(found) if json else views.status(found))
    for line in found.warnings:
        warn(line)
    if not found.ready:
        raise Exit(code=1)


@command()
def config(c: Context, json: bool = False) -> None:
    """Show the stack as it is understood, values of its environment included, or what is not honoured."""
    from twelfth.cli import views

    stack = Target(c).declared
    print(views.config_json(stack) if json else views.config(stack))


@command(
    positional=["service"],
    help={
        "service": "all of them when left out",
        "follow": "go on as it comes",
        "run": "of a run, by its id",
        "tail": "so many lines before the end",
        "since": "how long ago, such as 10m, or a time",
    },
)
def logs(
    c: Context, service: str | None = None, follow: bool = False, run: str = "", tail: str = "", since: str = ""
) -> None:
    """Show what a service, or a run, printed."""
    from datetime import UTC, datetime

    from twelfth.runs.manage import write_output
    from twelfth.stack.follow import Follower
    from twelfth.stack.logs import lines, moment, replicas_of
    from twelfth.stack.status import require_up

    begin: dict[str, Any] = {
        "last": number(tail, "--tail") if tail else None,
        "since": moment(since, datetime.now(UTC)) if since else None,
    }
    if run:
        with ended_by_ctrl_c():
            write_output(Target(c).engine.runs, run, follow=follow, **begin)
        return
    engine = Target(c).engine_as_found
    replicas = replicas_of(engine.stack, require_up(engine, also_ended=True), service or "")
    if follow:
        printed = Follower(engine, service or "", warn, **begin).lines(replicas)
    else:
        printed = lines({one.name: engine.logs(one, follow=False, **begin) for one in replicas}, warn)
    with ended_by_ctrl_c():
        for together in printed:
            sys.stdout.buffer.write(together)
            sys.stdout.buffer.flush()


@command(has_plan=False)
def build(c: Context) -> None:
    """Make the release that the files of this directory give, and print its name."""
    from twelfth.stack import lifecycle

    engine = Target(c).engine_to_deploy()
    print(with_progress(lambda report: lifecycle.build(engine, report)))
