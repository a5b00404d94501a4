"""The commands about releases: releases, rollback, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.cli.command import command, number
from twelfth.cli.progress import with_progress
from twelfth.cli.stack import print_plan, seconds_to_get_ready
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from invoke.context import Context


@command()
def releases(c: Context, json: bool = False) -> None:
    """Show the releases that are here: since when, by whom, which serves, how large they are."""
    from twelfth.cli import views
    from twelfth.stack.release_history import releases

    found = releases(Target(c).engine_as_found)
    print(views.json_array(found) if json else views.releases(found))


@command(positional=["release"], help={"release": "its id, or the beginning of it; by default the one before"})
def rollback(c: Context, release: str | None = None, ready_within: str = "") -> None:
    """Go back to a release that is here, as `up` would: nothing is built; it holds until the next `up`."""
    from twelfth.stack import lifecycle
    from twelfth.stack.release_history import to_roll_back_to

    chosen = to_roll_back_to(Target(c).declared_engine, release or "")
    engine = Target(c, chosen).engine_to_deploy()
    if c.config.run.dry:
        print(f"back to release {chosen}")
        print_plan(lifecycle.plan_up(engine))
        return
    options = lifecycle.UpOptions(seconds_to_get_ready(ready_within), is_rollback=True)
    address = with_progress(lambda report: lifecycle.up(engine, report, options))
    print(f"release {chosen} serves until the next up" + (f": {address}" if address else ""))


@command(help={"keep": "how many of the newest stay in any case"})
def prune(c: Context, keep: str = "5") -> None:
    """Remove the releases that nothing runs from and no unfinished run needs."""
    from twelfth.stack import lifecycle
    from twelfth.stack.release_history import plan_prune

    engine, most = Target(c).declared_engine, number(keep, "--keep")
    if c.config.run.dry:
        print_plan(plan_prune(engine, most))
    elif not with_progress(lambda report: lifecycle.prune(engine, report, most)):
        print("nothing to remove")
