"""The commands about releases: releases, rollback, prune, pull."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.cli.command import command, number, typed_services, warn
from twelfth.cli.notifying import notifying
from twelfth.cli.outputs import terminal_width
from twelfth.cli.progress import with_progress
from twelfth.cli.stack import ACCEPT_WEAKER, print_plan, seconds_to_get_ready
from twelfth.cli.target import Target
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from invoke.context import Context

NOTHING_TO_PULL = "nothing to pull: all services are built"


@command()
def releases(c: Context, json: bool = False) -> None:
    """Show the releases, and which of them is running."""
    from datetime import UTC, datetime

    from twelfth.cli import views
    from twelfth.stack.release_choice import releases

    built = releases(Target(c).engine("existing"))
    print(views.json_array(built) if json else views.releases(built, datetime.now(UTC), terminal_width()))


@command(
    positional=["release"],
    help={
        "accept-weaker": ACCEPT_WEAKER,
        "release": "The release's id, or the beginning of it; if omitted, the previous release",
    },
)
def rollback(c: Context, release: str | None = None, ready_within: str = "", accept_weaker: bool = False) -> None:
    """Deploy an earlier release without a build.

    The next `up` deploys the files again.
    """
    from twelfth.stack import deploy
    from twelfth.stack.release_choice import to_roll_back_to
    from twelfth.stack.status import located

    chosen = to_roll_back_to(Target(c).engine("declared"), release or "")
    engine = Target(c, chosen).engine("release")
    for notice in engine.notices():
        warn(notice)
    if c.config.run.dry:
        print(f"roll back to release {chosen}")
        print_plan(deploy.plan_up(engine))
        return
    within = seconds_to_get_ready(ready_within)
    options = deploy.UpOptions(within, is_rollback=True, is_to_previous=release is None, accepts_weaker=accept_weaker)
    with notifying(engine):
        address = with_progress(lambda report: deploy.up(engine, report, options))
    where = f": {located(address, engine.machine)}" if address else ""
    print(f"release {chosen} is deployed until the next up{where}")


@command(help={"keep": "Keep at least the newest N releases"}, placeholders={"keep": "N"})
def prune(c: Context, keep: str = "5") -> None:
    """Remove old releases that no replica and no unfinished run needs."""
    from twelfth.stack import lifecycle
    from twelfth.stack.release_choice import plan_prune

    engine, limit = Target(c).engine("declared"), number(keep, "--keep")
    if c.config.run.dry:
        print_plan(plan_prune(engine, limit))
        return
    with notifying(engine):
        has_changed = with_progress(lambda report: lifecycle.prune(engine, report, limit))
    if not has_changed:
        print("nothing to remove")


@command(words="[SERVICE…]")
def pull(c: Context) -> None:
    """Pull images of services for the next `up`, by default of all that are not built.

    No container is changed.
    """
    from twelfth.stack.pull import plan_pull, pull

    engine = Target(c).engine("declared")
    services = plan_pull(engine, typed_services())
    if c.config.run.dry:
        print("\n".join(f"Pull {service.image}" for service in services) or NOTHING_TO_PULL)
        return
    if not services:
        print(NOTHING_TO_PULL)
        return
    pulled = with_progress(lambda report: pull(engine, services, report))
    for line in pulled.lines:
        print(line)
    if pulled.errors:
        raise EngineError("\n".join(pulled.errors))
