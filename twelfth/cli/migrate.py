"""The command migrate; it needs a program `admin/migrate.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.cli.backups import save
from twelfth.cli.command import command
from twelfth.cli.confirmation import confirm
from twelfth.cli.runs import start_admin, waiting
from twelfth.cli.target import Target
from twelfth.errors import MisuseError

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
        "yes": "With --abandon: do not ask",
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
    """Apply the migrations that the release needs; with --dry only show them."""
    flags = {"--status": status, "--json": json, "--take-over": take_over, "--dry": c.config.run.dry}
    values = {"--to": to, "--baseline": baseline, "--throttle": throttle, "--abandon": abandon}
    words = [name for name, is_set in flags.items() if is_set]
    words += [word for name, value in values.items() if value for word in (name, value)]
    dry, c.config.run.dry = c.config.run.dry, False  # the program itself prints what it would do
    target = Target(c, release)
    if yes and not abandon:
        raise MisuseError("--yes requires --abandon: migrate asks nothing else")
    if abandon and not dry:
        _save_before_abandon(c, target, *words, yes=yes, wait=wait, reason=reason)
    words += waiting(wait)
    start_admin(c, target, "migrate", *words, timeout=timeout, detach=detach, reason=reason, interactive=False)


def _save_before_abandon(c: Context, target: Target, *words: str, yes: bool, wait: str, reason: str) -> None:
    start_admin(c, target, "migrate", *words, "--dry", reason=reason, interactive=False)
    if not yes:
        confirm("Clear its record? Its changes to the data stay.")
    path = save(c, target, mark="-before-abandon", wait=wait, reason=reason)
    print(f"saved the current data: {path}", flush=True)
