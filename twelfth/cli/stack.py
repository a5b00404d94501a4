"""The commands about the stack as a whole: up, down, status, config, logs, build."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from twelfth.cli.command import command
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from invoke.context import Context

    from twelfth.stack.executor import Report

T = TypeVar("T")


@command(
    iterable=["scale"],
    help={
        "ready-within": "seconds that each new replica has to get ready",
        "release": "one that was built before",
        "scale": "SERVICE=N replicas, such as worker=2",
    },
)
def up(c: Context, scale: list[str], release: str = "", ready_within: str = "60") -> None:
    """Build what is missing, converge the stack, wait until it is ready, print its address."""
    from twelfth.runs import request
    from twelfth.stack import lifecycle
    from twelfth.stack.readiness import READY_WITHIN

    within = request.seconds(ready_within, "--ready-within") or READY_WITHIN
    engine = Target(c, release).engine_to_deploy(scale)
    if c.config.run.dry:
        _print_plan(lifecycle.plan_up(engine))
    elif address := _with_progress(lambda report: lifecycle.up(engine, report, within)):
        print(address)


@command(help={"volumes": "remove the data too", "history": "remove the record of runs too"})
def down(c: Context, volumes: bool = False, history: bool = False) -> None:
    """Stop and remove the stack; its data and the record of runs stay unless they are named."""
    from twelfth.stack import lifecycle

    engine = Target(c).declared_engine
    named = {"volumes": volumes, "history": history}
    if c.config.run.dry:
        _print_plan(lifecycle.plan_down(engine, **named))
    elif not _with_progress(lambda report: lifecycle.down(engine, report, **named)):
        print("nothing is up")


def _print_plan(steps: Iterable[object]) -> None:
    print("\n".join(map(str, steps)) or "nothing to do")


def _with_progress(work: Callable[[Report], T]) -> T:
    """Show the steps of some work as it goes on; return what it gives."""
    from twelfth.cli import progress

    with progress.steps() as report:
        return work(report)


@command()
def status(c: Context, json: bool = False) -> None:
    """Show services, replicas, health, release and address."""
    from twelfth.cli import views
    from twelfth.stack.status import status

    found = status(Target(c).declared_engine)
    print(views.status_json(found) if json else views.status(found))


@command(has_plan=False)
def config(c: Context, json: bool = False) -> None:
    """Show the stack as it is understood, values of its environment included, or what is not honoured."""
    from twelfth.cli import views

    stack = Target(c).declared
    print(views.config_json(stack) if json else views.config(stack))


@command(
    positional=["service"],
    help={"service": "all of them when left out", "follow": "go on as it comes", "run": "of a run, by its id"},
)
def logs(c: Context, service: str | None = None, follow: bool = False, run: str = "") -> None:
    """Show what a service, or a run, printed."""
    from twelfth.runs.records import write_output
    from twelfth.stack.logs import lines, replicas_of
    from twelfth.stack.status import require_up

    if run:
        write_output(Target(c).engine.runs, run, follow=follow)
        return
    engine = Target(c).declared_engine
    for line in lines(engine, replicas_of(engine.stack, require_up(engine), service or ""), follow=follow):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@command(has_plan=False)
def build(c: Context) -> None:
    """Make the release that the files of this directory give, and print its name."""
    from twelfth.stack import lifecycle

    engine = Target(c).engine_to_deploy()
    print(_with_progress(lambda report: lifecycle.build(engine, report)))
