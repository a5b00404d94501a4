"""The commands about the data, for a project whose `admin/` has the programs of the same names."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from twelfth.cli.command import FAILED, command, on_terminal
from twelfth.cli.runs import start_admin
from twelfth.cli.target import Target
from twelfth.errors import MisuseError
from twelfth.hints import as_typed
from twelfth.model.duration import LONGEST, parse_seconds, plain
from twelfth.runs import descriptors

if TYPE_CHECKING:
    from invoke.context import Context


@command(
    help={
        "status": "show each revision, and change nothing",
        "json": "with --status: one JSON object",
        "to": "go up or down to a revision; 0 is before the first",
        "baseline": "record up to this revision as applied, and do nothing else",
        "throttle": "at most so many keys a second",
        "take-over": "finish what another release left unfinished",
        "abandon": "back up, then clear an unfinished migration; its changes to the data stay",
        "yes": "with --abandon: do not ask",
    }
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
    reason: str = "",
    release: str = "",
) -> None:
    """Bring the data to the revision that the release needs; with --dry say what that would do."""
    flags = {"--status": status, "--json": json, "--take-over": take_over, "--dry": c.config.run.dry}
    values = {"--to": to, "--baseline": baseline, "--throttle": throttle, "--abandon": abandon}
    words = [name for name, given in flags.items() if given]
    words += [word for name, value in values.items() if value for word in (name, value)]
    dry, c.config.run.dry = c.config.run.dry, False  # the run itself prints what it would do
    target = Target(c, release)
    if yes and not abandon:
        raise MisuseError("--yes requires --abandon: migrate asks nothing else")
    if abandon and not dry:
        _save_before_abandon(c, target, *words, yes=yes, wait=wait, reason=reason)
    start_admin(c, target, "migrate", *words, *waiting(wait), reason=reason, interactive=False)


def _save_before_abandon(c: Context, target: Target, *words: str, yes: bool, wait: str, reason: str) -> None:
    """Show what would be abandoned, ask, and back up; exits if there is nothing to abandon or the answer is no."""
    start_admin(c, target, "migrate", *words, "--dry", reason=reason, interactive=False)
    if not yes:
        _confirm("clear its record? Its changes to the data stay.")
    saved = _save(c, target, mark="-before-abandon", wait=wait, reason=reason)
    print(f"saved all data first: {saved}", flush=True)


@command(
    positional=["file"],
    help={"file": "where to; backups/TIME.resp.gz when left out", "stdout": "write it to standard output"},
)
def backup(
    c: Context, file: str | None = None, stdout: bool = False, wait: str = "0", reason: str = "", release: str = ""
) -> None:
    """Write all keys of the database to a verified file, which `restore` and `redis-cli --pipe` can load."""
    if file and file.startswith("-"):
        raise MisuseError(f"there is no option {file}; for standard output: invoke backup --stdout, or: ./{file}")
    if stdout and (file or sys.stdout.isatty()):
        raise MisuseError("--stdout writes bytes to a pipe or a file: invoke backup --stdout >FILE, without a FILE")
    target = Target(c, release)
    if stdout or c.config.run.dry:
        _back_up(c, target, wait=wait, reason=reason)
    else:
        print(_save(c, target, file, wait=wait, reason=reason))


def _back_up(c: Context, target: Target, *options: str, wait: str, interactive: bool = False, **asked: Any) -> None:
    """Have all data written, to nobody but us."""
    start_admin(c, target, "backup", *options, *waiting(wait), interactive=interactive, kept=False, **asked)


def waiting(wait: str) -> tuple[str, ...]:
    """Return the option of an admin process that waits so many seconds for the lock."""
    seconds = parse_seconds(wait)
    if seconds is None or seconds >= LONGEST:
        raise MisuseError(f"--wait {wait}: say how long, such as --wait 30, 90s, 5m or 1h30m")
    return ("--wait", plain(seconds)) if seconds else ()


def _save(
    c: Context, target: Target, file: str | None = None, *options: str, mark: str = "", source: int = 0, **asked: Any
) -> Path:
    """Take a backup, verify what is on the disk, and return where it is; the program reads `source` if interactive."""
    from twelfth.cli import atomic_file

    path = atomic_file.new_path(Path(file)) if file else atomic_file.path_of_now(target.directory / "backups", mark)
    with atomic_file.written(path) as (number, part):
        _back_up(c, target, *options, streams=(source, number), **asked)
        _verify(c, target, part, quiet=True)
    return path if file else Path(os.path.relpath(path))


@command(positional=["file"], help={"file": "a backup"})
def verify(c: Context, file: str, json: bool = False) -> None:
    """Read a whole backup, and show what it holds; needs no stack."""
    target = Target(c)
    _verify(c, target, _file(target, file), *(["--json"] if json else []))


def _verify(c: Context, target: Target, path: Path, *options: str, quiet: bool = False) -> None:
    """Check a backup on this machine and show what it holds, or exit with what is wrong with it."""
    command = shlex.join([sys.executable, "-m", "admin.verify", *options, str(path.resolve())])
    places = filter(None, (str(target.directory), os.environ.get("PYTHONPATH")))  # also with PYTHONSAFEPATH
    own = {"PYTHONPATH": os.pathsep.join(places)}
    with c.cd(str(target.directory)):
        result = c.run(command, warn=True, in_stream=False, hide="both" if quiet else "stderr", dry=False, env=own)
    if not result.ok:
        *_, why = result.stderr.splitlines() or [""]
        if name := re.search(r"^ModuleNotFoundError: .*'(.+)'", why):
            what = f"twelfth: verify runs on this machine, whose Python has no {name[1]}"
            why = f"{what}; put it beside admin/, or install it into {sys.prefix}"
        raise Exit(as_typed(why), result.exited)


def _file(target: Target, name: str) -> Path:
    """Return a file that is there; raises `MisuseError`."""
    if not (path := Path(name)).is_file():
        what = "is a directory" if path.is_dir() else "is no file that is there"
        raise MisuseError(f"{name} {what}; backups are in: {os.path.relpath(target.directory / 'backups')}")
    return path


@command(positional=["file"], help={"file": "a backup", "yes": "do not ask"})
def restore(c: Context, file: str, yes: bool = False, wait: str = "0", reason: str = "", release: str = "") -> None:
    """Replace all data by that of a backup, at once or not at all; what is there now is saved first."""
    target = Target(c, release)
    _verify(c, target, path := _file(target, file))
    _ = target.source  # chosen here, once; where there is none there is no need to ask
    if c.config.run.dry:
        start_admin(c, target, "restore", reason=reason)
        return
    if not yes:
        _confirm("replace all data that is there now by this?")
    with path.open("rb") as source:  # which the server must be able to read, or the save would be for nothing
        asked: dict[str, Any] = {"source": source.fileno(), "interactive": True, "wait": wait, "reason": reason}
        saved = _save(c, target, None, "--before-restore", mark="-before-restore", **asked)
    print(f"what is there now is saved: {saved}", flush=True)
    with path.open("rb") as source:  # without waiting: whoever came between would make the save one of older data
        start_admin(c, target, "restore", streams=(source.fileno(), 1), reason=reason)


def _confirm(question: str) -> None:
    """Ask, and exit where the answer is not yes; raises `MisuseError` where there is nobody to ask."""
    if not on_terminal():
        raise MisuseError("there is no terminal to ask on; to go on without asking: --yes")
    print(f"{question} [y/N] ", end="", flush=True)
    answer = descriptors.read(sys.stdin.fileno()).decode(errors="replace")  # waits if non-blocking, unlike `input`
    if answer.strip().lower() not in {"y", "yes"}:
        raise Exit("twelfth: nothing was changed", FAILED)
