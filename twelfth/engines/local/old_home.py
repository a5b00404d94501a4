"""Move a stack out of the checkout, where versions before 0.4 stored it, to the operator's state directory."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.build_context.release import is_release
from twelfth.engines.disk_errors import REPEAT, disk_errors
from twelfth.engines.local.release_copies import delete
from twelfth.engines.local.run_record import make_private, monitor_of, records
from twelfth.engines.local.supervisord import Supervisor
from twelfth.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Collection

    from twelfth.engines.state import State
    from twelfth.model.stack import Stack

OF_SUPERVISORD = ("supervisor.sock", "supervisord.conf", "supervisord.log", "supervisord.log.1", "supervisord.pid")
"""Files of a supervisord that is stopped; they are not moved."""

DATA = "volumes/"


class OldHome:
    """The old directory of a stack, which usually does not exist."""

    def __init__(self, stack: Stack, home: Path, state: State) -> None:
        """Take the stack, its directory of today, and its state, which has the lock."""
        self.state = state
        self.path = stack.directory / ".twelfth" / "local" / stack.project
        self.home = home
        self.releases = stack.directory / ".twelfth" / "releases"
        self.supervisor = Supervisor(self.path)

    def exists(self) -> bool:
        """Return whether something is to be moved."""
        return self.path.is_dir()

    def move(self, *, may_stop: bool) -> str:
        """Move everything, and return a line that reports it.

        Raises `BusyError` if a process of the stack is running and `may_stop` is not set, or if a run is running. If
        both directories have data, nothing is moved. If this is interrupted, the next command moves the rest.
        """
        old, new = entries(self.path), entries(self.home)
        if both := [name for name in old & new if name.startswith(DATA)]:
            return f"{self.path / both[0]} is ignored: {self.home / both[0]} has other data. Delete the wrong one"
        with disk_errors(self.home, REPEAT), self.state.lock("moving it out of a checkout"):
            self._refuse_runs()
            self._stop_processes(may_stop=may_stop)
            self._copy_releases()
            for name in order(old, new):
                make_private(self.home, *Path(name).parts[:-1])
                move(self.path / name, self.home / name)
            self._delete()
        return f"moved the stack from {self.path} to {self.home}"

    def _refuse_runs(self) -> None:
        if run := next((run for run in records(self.path) if run.is_running), None):
            monitor = monitor_of(self.path / "runs" / run.id)
            what = f"cannot move {self.path} to {self.home}: run {run.id} is running"
            raise BusyError(f"{what}. Repeat the command when it has exited, or stop it: kill {monitor}")

    def _stop_processes(self, *, may_stop: bool) -> None:
        if not self.supervisor.is_up():
            return
        if not may_stop:
            what = f"an older version started the stack in {self.path}"
            raise BusyError(f"{what}. To stop it, move its data to {self.home} and start it there: invoke up")
        for program in self.supervisor.states():
            self.supervisor.stop_program(program)
        self.supervisor.stop()

    def _copy_releases(self) -> None:
        """Copy the releases, the oldest first: other stacks of this checkout may use them, too."""
        copies = [path for path in self.releases.glob("*/") if is_release(path.name)]
        for path in sorted(copies, key=lambda path: path.stat().st_ctime):
            target = self.home / self.releases.name / path.name
            if not target.exists():
                make_private(self.home, target.parent.name)
                copy(path, target)

    def _delete(self) -> None:
        """Delete the remains, and the releases if this was the last stack of the checkout."""
        delete(self.path)
        if not any(self.path.parent.iterdir()):
            delete(self.path.parent)
            delete(self.releases)


def entries(home: Path) -> set[str]:
    """Return the paths of files, and of directories that have files, up to the second level."""
    paths = (*home.glob("[!.]*"), *home.glob("[!.]*/[!.]*"))
    return {str(path.relative_to(home)) for path in paths if path.is_file() or (path.parent != home and _has_any(path))}


def _has_any(directory: Path) -> bool:
    return directory.is_dir() and any(directory.iterdir())


def order(old: Collection[str], new: Collection[str]) -> list[str]:
    """Return what to move: the data last, without which no process can be started by mistake."""
    return sorted({*old} - {*new, *OF_SUPERVISORD}, key=lambda name: (name.startswith(DATA), name))


def move(source: Path, target: Path) -> None:
    """Rename a file or directory; if the target is on another file system, copy it, and mark it as moved."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy(source, target)
        source.rename(source.with_name(f".{source.name}.moved"))


def copy(source: Path, target: Path) -> None:
    """Copy a file or directory under another name, then rename it, so that a part of it is never taken for all."""
    staged = target.with_name(f".{target.name}.moving")
    if source.is_dir():
        delete(staged)
        shutil.copytree(source, staged, symlinks=True)
    else:
        shutil.copy2(source, staged)
    os.sync()
    staged.rename(target)
