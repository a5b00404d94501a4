"""The command migrate; it needs a program `admin/migrate.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twelfth.cli.command import command
from twelfth.cli.jobs import prepare, start_admin
from twelfth.cli.runs import waiting
from twelfth.cli.target import Target
from twelfth.errors import MisuseError
from twelfth_redis.commands.backups import save

if TYPE_CHECKING:
    from invoke.context import Context


@command(
    help={
        "status": "Show each revision and change nothing",
        "json": "With --status: print one JSON object",
        "to": "Apply or revert migrations up to this revision; 0 reverts all",
        "baseline": "Record the migrations up to this revision as applied without applying them",
        "throttle": "Change at most N keys per second",
        "take-over": "Finish a migration that another release left unfinished",
        "abandon": "Back up, then clear an unfinished migration; its changes to the data stay",
        "yes": "With --abandon, or if the job has a question: do not ask",
    },
    placeholders={"to": "REVISION", "baseline": "REVISION", "throttle": "N", "abandon": "REVISION"},
)
def migrate(
    c: Context,
    status: bool = False,
    json: bool = False,
    to: str = "",
    baseline: str = "",
    throttle: str = "",
    take_over: bool = False,
    abandon: str = "",
    yes: bool = False,
    wait: str = "0",
    detach: bool = False,
    timeout: str = "",
    reason: str = "",
    release: str = "",
) -> None:
    """Apply the migrations that the release needs.

    With --dry they are only shown.
    """
    flags = {"--status": status, "--json": json, "--take-over": take_over, "--dry": c.config.run.dry}
    values = {"--to": to, "--baseline": baseline, "--throttle": throttle, "--abandon": abandon}
    words = [name for name, is_set in flags.items() if is_set]
    words += [word for name, value in values.items() if value for word in (name, value)]
    dry, c.config.run.dry = c.config.run.dry, False  # the program itself prints what it would do
    target = Target(c, release)
    if yes and not abandon and not target.for_job("migrate").required_job.confirm:
        raise MisuseError("--yes requires --abandon: migrate asks nothing else")
    only_shows = status or dry
    settings: dict[str, Any] = {"reason": reason, "interactive": False}
    if abandon and not only_shows:
        _save_before_abandon(c, target, *words, yes=yes, wait=wait, reason=reason)
    settings |= {"is_step": only_shows or bool(abandon), "yes": yes, "timeout": timeout, "detach": detach}
    start_admin(c, target, "migrate", *words, *waiting(wait), **settings)


def _save_before_abandon(c: Context, target: Target, *words: str, yes: bool, wait: str, reason: str) -> None:
    start_admin(c, target, "migrate", *words, "--dry", reason=reason, interactive=False, is_step=True)
    question = "Clear its record? Its changes to the data stay."
    prepare(c, target.for_job("migrate"), reason=reason, yes=yes, question=question)
    path = save(c, target, mark="-before-abandon", wait=wait, reason=reason, is_step=True)
    print(f"saved the current data: {path}", flush=True)
