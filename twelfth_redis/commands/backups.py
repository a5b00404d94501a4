"""The commands backup and verify; each needs a program of its name in `admin/`."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import command, number, warn
from twelfth.cli.jobs import start_admin
from twelfth.cli.runs import waiting
from twelfth.cli.target import Target
from twelfth.errors import MisuseError
from twelfth.hints import as_typed
from twelfth.state_home import state_home, states_home

if TYPE_CHECKING:
    from invoke.context import Context


@command(
    positional=["file"],
    help={
        "file": "The file to write; if omitted, one in the state directory",
        "keep": "Then delete old backups there, except for the newest N that verify (default: `keep` of the job)",
        "stdout": "Write to standard output",
        "yes": "Do not ask the job's question",
    },
    placeholders={"keep": "N"},
)
def backup(
    c: Context,
    file: str | None = None,
    keep: str = "",
    stdout: bool = False,
    wait: str = "0",
    reason: str = "",
    release: str = "",
    yes: bool = False,
) -> None:
    """Write all keys of the database to a file, and verify it.

    `restore` and `redis-cli --pipe` can load the file.
    """
    if file and file.startswith("-"):
        raise MisuseError(f"unknown option {file}. Try: invoke backup --stdout, or for a file of this name: ./{file}")
    if stdout and (file or sys.stdout.isatty()):
        raise MisuseError("--stdout needs a pipe or a redirection, and no FILE. Try: invoke backup --stdout >FILE")
    if keep and (file or stdout):
        raise MisuseError("--keep cannot be combined with FILE or --stdout. Try: invoke backup --keep 14")
    kept = number(keep, "--keep", least=1) if keep else 0
    target = Target(c, release)
    if stdout or c.config.run.dry:
        _back_up(c, target, wait=wait, reason=reason, yes=yes)
        return
    path = save(c, target, file, wait=wait, reason=reason, yes=yes)
    print(path, flush=True)
    if not file and (kept := kept or target.for_job("backup").required_job.keep):
        _rotate(c, target, path, kept)


def _rotate(c: Context, target: Target, new: Path, keep: int) -> None:
    from twelfth_redis.commands.rotation import rotate

    def is_valid(path: Path) -> bool:
        try:
            verify_file(c, target, path, quiet=True)
        except Exit as failure:
            if path.exists():  # else another process has deleted it
                why = str(failure.message).partition(". Try: ")[0]
                warn(f"this backup is not one of the {keep} that are kept, and was not deleted: {why}")
            return False
        return True

    if deleted := rotate(new, keep, is_valid):
        names = ", ".join(path.name for path in deleted)
        warn(f"deleted {len(deleted)} older than the newest {keep}: {names}")


def _back_up(c: Context, target: Target, *options: str, wait: str, interactive: bool = False, **settings: Any) -> None:
    # The output is not kept in the log of the run: it is all of the data.
    start_admin(
        c,
        target,
        "backup",
        *options,
        *waiting(wait),
        interactive=interactive,
        kept=False,
        must_be_recorded=False,
        **settings,
    )


def save(
    c: Context, target: Target, file: str | None = None, *options: str, mark: str = "", stdin: int = 0, **settings: Any
) -> Path:
    """Write a verified backup, and return its path; `mark` is added to a default name."""
    from twelfth.cli import atomic_file

    path = atomic_file.new_path(Path(file)) if file else atomic_file.path_of_now(_directory(target), mark)
    with atomic_file.written(path) as (number, part):
        _back_up(c, target, *options, streams=(stdin, number), **settings)
        verify_file(c, target, part, quiet=True)
    return path


def _directory(target: Target) -> Path:
    return state_home(target.engine().stack.project) / "backups"


@command(positional=["file"], help={"file": "The backup"})
def verify(c: Context, file: str, json: bool = False) -> None:
    """Verify a backup and show what it contains.

    The whole file is read. No stack is needed.
    """
    target = Target(c)
    verify_file(c, target, existing_file(file), *(["--json"] if json else []))


def verify_file(c: Context, target: Target, path: Path, *options: str, quiet: bool = False) -> None:
    """Verify a backup and show what it contains, unless `quiet`; exit with the reason if it is not valid."""
    command = shlex.join([sys.executable, "-m", "admin.verify", *options, str(path.resolve())])
    directories = filter(None, (str(target.directory), os.environ.get("PYTHONPATH")))  # also with PYTHONSAFEPATH
    environment = {"PYTHONPATH": os.pathsep.join(directories)}
    with c.cd(str(target.directory)):
        hidden = "both" if quiet else "stderr"
        result = c.run(command, warn=True, in_stream=False, hide=hidden, dry=False, env=environment)
    if not result.ok:
        *_, reason = result.stderr.splitlines() or [""]
        if module := re.search(r"^ModuleNotFoundError: .*'(.+)'", reason):
            why = f"verify runs on this machine, and its Python has no module {module[1]}"
            reason = f"twelfth: cannot verify {path}: {why}; copy it next to admin/, or install it into {sys.prefix}"
        raise Exit(as_typed(reason), result.exited)


def existing_file(name: str) -> Path:
    """Return the path of a backup; raises `MisuseError` if it is not a file."""
    if not (path := Path(name)).is_file():
        why = "it is a directory" if path.is_dir() else "it is not a file" if path.exists() else "no such file"
        raise MisuseError(f"cannot read {name}: {why}. Try: ls {shlex.quote(str(states_home()))}/*/backups")
    return path
