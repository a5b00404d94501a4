"""The commands about the stack as a whole: up, down, status, config, logs, build."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import command, ended_by_ctrl_c, number, on_terminal, typed_services, warn
from twelfth.cli.hidden import hidden_programs
from twelfth.cli.notifying import notifying
from twelfth.cli.progress import TitledReport, with_progress
from twelfth.cli.target import Target
from twelfth.engines.local.presence import mark_second
from twelfth.errors import BusyError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from invoke.context import Context

    from twelfth.engines.state import Holder
    from twelfth.model.stack import Stack


ACCEPT_WEAKER = "Deploy even if the engine cannot provide all of the declared protection"

HAS_NO_EFFECT = "Accepted as in Compose; up always {}"

REMOVE_ORPHANS = "Also remove services that the Compose file does not declare"


@command(
    iterable=["scale", "service"],
    rest="service",
    help={
        "accept-weaker": ACCEPT_WEAKER,
        "build": HAS_NO_EFFECT.format("builds what has changed"),
        "detach": HAS_NO_EFFECT.format("leaves the stack running"),
        "release": "Deploy this built release instead of building the files",
        "remove-orphans": REMOVE_ORPHANS,
        "scale": "Run N replicas of a service, such as worker=2",
        "service": "Deploy only this service and what it depends on; SERVICE… is the same",
        "second-engine": "Deploy although the stack is on another engine: this makes a second one, with separate data",
        "wait": HAS_NO_EFFECT.format("waits until the stack is ready"),
        "wait-for-runs": "Wait until all runs have exited before replacing anything",
    },
    placeholders={"scale": "SERVICE=N"},
)
def up(
    c: Context,
    scale: list[str],
    service: list[str],
    release: str = "",
    ready_within: str = "",
    wait_for_runs: bool = False,
    accept_weaker: bool = False,
    remove_orphans: bool = False,
    second_engine: bool = False,
    build: bool = False,  # noqa: ARG001 - accepted, since Compose's users type it
    detach: bool = False,  # noqa: ARG001 - the same
    wait: bool = False,  # noqa: ARG001 - the same
) -> None:
    """Build and deploy the stack, and wait until it is ready.

    Only what has changed is built and replaced. The address of the stack is printed at the end.
    """
    deploy(
        c,
        scale,
        service,
        release=release,
        ready_within=ready_within,
        wait_for_runs=wait_for_runs,
        accept_weaker=accept_weaker,
        remove_orphans=remove_orphans,
        second_engine=second_engine,
    )


def deploy(
    c: Context,
    scale: Sequence[str] = (),
    service: Sequence[str] = (),
    *,
    release: str = "",
    ready_within: str = "",
    wait_for_runs: bool = False,
    accept_weaker: bool = False,
    remove_orphans: bool = False,
    second_engine: bool = False,
) -> None:
    """Deploy the stack with the options of `up`, or print the plan with --dry."""
    within, warnings = seconds_to_get_ready(ready_within), list[str]()
    if second_engine and c.config.engine == "auto":
        raise MisuseError("--second-engine needs an engine. Try: INVOKE_ENGINE=local invoke up --second-engine")
    if service and remove_orphans:
        raise MisuseError("--remove-orphans cannot be combined with a service. Try: invoke up --remove-orphans")
    target = Target(c, release, deploys=True, second_engine=second_engine)
    with ThreadPoolExecutor(1) as pool:  # a healthcheck takes as long as everything else
        checks = pool.submit(target.check_healths, of_first=True)
        engine = target.engine("release", scale)
        from twelfth.stack import deploy, notices
        from twelfth.stack.status import located

        _refuse_services(engine.stack, service)
        for notice in engine.notices():
            warn(notice)
        if c.config.run.dry:
            engine.refuse_stack()
            print_plan(deploy.plan_up(engine, remove_orphans=remove_orphans, only=service))
            warnings += notices.of_up(engine, engine.observe(), remove_orphans=remove_orphans)
        else:
            if second_engine:
                mark_second(engine.stack)
            options = deploy.UpOptions(
                within,
                wait_for_runs,
                accepts_weaker=accept_weaker,
                remove_orphans=remove_orphans,
                warn=warnings.append,
                scaled=[option.partition("=")[0] for option in scale],
                only=service,
            )
            title = f"Deploy {', '.join(service) or engine.stack.project} on {engine.name}"
            with notifying(engine):
                address = with_progress(
                    lambda report: deploy.up(engine, TitledReport(report, title), options, checks.result)
                )
            if address:
                print(located(address, engine.machine))
    for line in (*warnings, *hidden_programs(target.directory)):
        warn(line)


def _refuse_services(stack: Stack, names: Collection[str]) -> None:
    from twelfth.cli.parser import commands_after
    from twelfth.stack.load import refuse_unknown_services

    refuse_unknown_services(stack, names)
    if name := next(filter(stack.service, commands_after("up")), ""):
        raise MisuseError(f"up {name} is ambiguous: {name} is a service and a command. Try: invoke up --service {name}")


def seconds_to_get_ready(text: str) -> float | None:
    """Return the value of `--ready-within` in seconds, None for each service's default."""
    if not text:
        return None
    from twelfth.runs.request import seconds

    return seconds(text, "--ready-within")


@command(
    positional=["replicas"],
    help={"replicas": "The service and its number of replicas, such as worker=4"},
    placeholders={"replicas": "SERVICE=N"},
)
def scale(c: Context, replicas: str, ready_within: str = "") -> None:
    """Set the number of replicas of a service.

    Nothing is deployed, and later `up`s keep the number.
    """
    from twelfth.stack import lifecycle
    from twelfth.stack.load import scaled_service

    engine = Target(c).engine("declared")
    service = scaled_service(engine.stack, replicas)
    if c.config.run.dry:
        print_plan(lifecycle.plan_scale(engine, service))
        return
    within = seconds_to_get_ready(ready_within)
    with notifying(engine):
        has_changed = with_progress(lambda report: lifecycle.scale(engine, service, report, within))
    if not has_changed:
        print(f"{service.name} already has {service.replicas} replicas")


@command(
    help={
        "volumes": "Also remove the data",
        "history": "Also remove the record of runs and changes",
        "remove-orphans": REMOVE_ORPHANS,
        "yes": "With --volumes or --history: do not ask",
    }
)
def down(
    c: Context, volumes: bool = False, history: bool = False, remove_orphans: bool = False, yes: bool = False
) -> None:
    """Stop and remove the stack; its data stays.

    The record of runs stays too. Options remove them.
    """
    from twelfth.cli.confirmation import confirm
    from twelfth.stack import lifecycle, notices

    engine = Target(c).engine("existing")
    options = {"volumes": volumes, "history": history, "remove_orphans": remove_orphans}
    if c.config.run.dry:
        print_plan(lifecycle.plan_down(engine, **options))
        return
    if volumes and not yes and on_terminal():
        confirm(f"Remove all data of {engine.stack.project}?")
    if history and not yes:
        confirm("Remove the record of all runs and changes? No one can tell afterwards what was done.")
    with notifying(engine):
        has_changed = with_progress(lambda report: lifecycle.down(engine, report, **options))
    if not has_changed:
        print("nothing to remove")
    for line in notices.of_down(engine, engine.observe(), volumes=volumes):
        warn(line)


def print_plan(steps: Iterable[object]) -> None:
    """Print the steps of a plan, or that there are none."""
    print("\n".join(map(str, steps)) or "nothing to do")


@command()
def status(c: Context, json: bool = False) -> None:
    """Show services, replicas, health, releases and the address.

    The exit code is 1 unless all declared replicas are ready.
    """
    target = Target(c)
    with ThreadPoolExecutor(1) as pool:  # a healthcheck takes as long as everything else
        checks = pool.submit(target.check_healths)
        engine = target.engine("existing")
        from datetime import UTC, datetime

        from twelfth.cli import views
        from twelfth.stack.status import status

        stack_status = status(engine, checks.result)
    if json:
        print(views.status_json(stack_status))
    else:
        refusal = "" if stack_status.services else target.refusal_of_deploy(engine.stack)
        print(views.status(stack_status, datetime.now(UTC), refusal))
    for line in stack_status.warnings:
        warn(line)
    if not stack_status.ready:
        raise Exit(code=1)


@command(help={"quiet": "Print nothing, only check the file", "services": "Print only the names of the services"})
def config(c: Context, json: bool = False, quiet: bool = False, services: bool = False) -> None:
    """Show the stack as the Compose file declares it.

    Values of environment variables are shown. Unsupported keys are refused.
    """
    from twelfth.cli import views

    stack = Target(c).declared
    if services:
        print("\n".join(service.name for service in stack.services))
    elif not quiet:
        print(views.config_json(stack) if json else views.config(stack))


@command(
    words="[SERVICE…]",
    help={
        "follow": "Print new lines until interrupted",
        "run": "Print the output of a run instead",
        "tail": "Print only the last N lines",
        "since": "Print only lines since a time, or since 10m, 2h or 1d ago",
    },
    placeholders={"tail": "N", "since": "TIME"},
)
def logs(c: Context, follow: bool = False, run: str = "", tail: str = "", since: str = "") -> None:
    """Print the logs of services, by default all, or the output of a run."""
    from datetime import UTC, datetime

    from twelfth.runs.manage import write_output
    from twelfth.stack.follow import Follower
    from twelfth.stack.logs import lines, moment, replicas_of
    from twelfth.stack.status import require_up

    selection: dict[str, Any] = {
        "last": number(tail, "--tail") if tail else None,
        "since": moment(since, datetime.now(UTC)) if since else None,
    }
    if run:
        with ended_by_ctrl_c():
            write_output(Target(c).engine(), run, follow=follow, **selection)
        return
    engine, services = Target(c).engine("existing"), typed_services()
    replicas = replicas_of(engine.stack, require_up(engine, also_ended=True), services)
    if follow:
        output = Follower(engine, services, warn, **selection).lines(replicas)
    else:
        logs = [(replica.name, engine.logs(replica, follow=False, **selection)) for replica in replicas]
        output = lines(logs, warn)
    with ended_by_ctrl_c():
        for chunk in output:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


@command(help={"yes": "Do not ask"})
def unlock(c: Context, yes: bool = False) -> None:
    """Take the lock of the stack away from another command.

    If that command is still running, it stops at its next step.
    """
    from twelfth.cli.confirmation import confirm

    state = Target(c).engine().state
    holder = state.holder()
    if holder is None:
        print("the stack is not locked")
        return
    print(f"locked by {holder}")
    if c.config.run.dry:
        return
    if not yes:
        confirm("Take the lock away?")
        _refuse_another(holder, state.holder())
    state.unlock()
    print("unlocked")


def _refuse_another(shown: Holder, holder: Holder | None) -> None:
    """Raise `BusyError` if the process that was shown has exited and another one has the lock since."""
    if holder not in {shown, None}:
        raise BusyError(f"cannot take the lock away: it now belongs to {holder}. Try: invoke unlock")


@command(has_plan=False)
def build(c: Context) -> None:
    """Build the release of these files, and print its id.

    A release that exists is not built again.
    """
    from twelfth.stack import lifecycle

    engine = Target(c).engine("release")
    # Steps go to standard error: a script that reads the release must not take a step of a failed build for it.
    print(with_progress(lambda report: lifecycle.build(engine, report), sys.stderr))
