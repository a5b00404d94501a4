"""The command restore, with its question; it needs programs `admin/restore.py`, `backup.py` and `verify.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twelfth.cli.command import command
from twelfth.cli.jobs import prepare, start_admin
from twelfth.cli.target import Target
from twelfth_redis.commands.backups import existing_file, save, verify_file

if TYPE_CHECKING:
    from invoke.context import Context


@command(positional=["file"], help={"file": "The backup", "yes": "Do not ask"})
def restore(c: Context, file: str, yes: bool = False, wait: str = "0", reason: str = "", release: str = "") -> None:
    """Replace all data with a backup, completely or not at all.

    The current data is saved first.
    """
    target = Target(c, release)
    verify_file(c, target, path := existing_file(file))
    _ = target.source  # fail before the question if no run can be started
    if c.config.run.dry:
        start_admin(c, target, "restore", reason=reason)
        return
    question = "Replace all current data with this backup?"
    prepare(c, target.for_job("restore"), reason=reason, yes=yes, question=question)
    with path.open("rb") as file_to_check:  # the server must be able to restore it, or the save is useless
        settings: dict[str, Any] = {"stdin": file_to_check.fileno(), "interactive": True, "wait": wait, "is_step": True}
        saved = save(c, target, None, "--before-restore", mark="-before-restore", reason=reason, **settings)
    print(f"saved the current data: {saved}", flush=True)
    with path.open("rb") as backup_file:  # without waiting for the lock: another change would make the save outdated
        name = str(path.resolve()).encode(errors="replace").decode()
        settings = {"streams": (backup_file.fileno(), 1), "kind": "restore", "what": name}
        start_admin(c, target, "restore", reason=reason, is_step=True, **settings)
