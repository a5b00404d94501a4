"""Store the state of a stack in a directory of the operator, with a lock of the kernel's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, TextIO

from twelfth.engines.disk_errors import REPEAT, disk_errors
from twelfth.engines.local.release_copies import delete
from twelfth.engines.local.run_record import make_private
from twelfth.engines.state import State, holder_of, locked, this_process
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from twelfth.engines.state import Holder

TRIES, PAUSE = 10, 0.02
"""Attempts to get the lock, and seconds between them: `holder` of another process locks it for a moment."""

LOCK, CLAIMS = "lock", "claims"
LOST = "the lock of the stack was lost (invoke unlock took it away)"


class StateDirectory(State):
    """The state of one stack in a directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._locked: TextIO | None = None

    def read(self, directory: str) -> dict[str, bytes]:
        """Return the files of a directory that this process may read."""
        files = {}
        for path in (self.home / directory).glob("[!.]*"):
            with contextlib.suppress(OSError):
                files[path.name] = path.read_bytes()
        return files

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files under other names, then rename them."""
        with disk_errors(self.home, REPEAT):
            for name, content in files.items():
                path = self.home / name
                make_private(self.home, *path.relative_to(self.home).parts[:-1])
                staged = path.with_name(f".{path.name}.{time.monotonic_ns()}")
                try:
                    staged.touch(mode=0o600)
                    staged.write_bytes(content)
                    staged.replace(path)
                finally:
                    staged.unlink(missing_ok=True)

    def add(self, directory: str, files: Mapping[str, bytes]) -> bool:
        """Write files to a directory; the kernel follows links."""
        if not (self.home / directory).is_dir():
            return False
        self.write({f"{directory}/{name}": content for name, content in files.items()})
        return True

    def send(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Write files."""
        with contextlib.suppress(EngineError):
            self.add(directory, files)

    def link(self, path: str, name: str) -> None:
        """Create a symbolic link under another name, then rename it."""
        link = self.home / path
        staged = link.with_name(f".{link.name}.{time.monotonic_ns()}")
        with disk_errors(link, REPEAT):
            staged.symlink_to(name)
            staged.replace(link)

    def remove(self, directory: str = "") -> None:
        """Delete the directory except for the lock."""
        for path in self.home.glob(f"{directory}/" if directory else "*/"):
            delete(path)

    def claim(self, name: str) -> bool:
        """Create a file that must not exist."""
        path = self.home / CLAIMS / name
        with disk_errors(path, REPEAT):
            make_private(self.home, CLAIMS)
            try:
                path.touch(mode=0o600, exist_ok=False)
            except FileExistsError:
                return False
        return True

    def claims(self) -> frozenset[str]:
        """Return the names of the files."""
        return frozenset(path.name for path in (self.home / CLAIMS).glob("*"))

    def forget_claims(self, names: Iterable[str]) -> None:
        """Delete the files."""
        for name in names:
            (self.home / CLAIMS / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, action: str) -> Iterator[None]:
        """Lock a file, which contains the holder meanwhile; the kernel releases it if this process dies."""
        path = self.home / LOCK
        with disk_errors(path, REPEAT):
            make_private(self.home)
            file = _locked_file(path)
        with file:
            with contextlib.suppress(OSError):  # on a full disk `down` must still work
                file.write(this_process(action).to_json())
                file.flush()
            self._locked = file
            try:
                yield
            finally:
                self._locked = None
                file.truncate(0)

    def check_lock(self) -> None:
        """Raise `EngineError` if `unlock` has replaced the locked file."""
        if self._locked and not _is_current(self._locked, self.home / LOCK):
            raise EngineError(f"{LOST}; nothing more was changed. Try: invoke status")

    def holder(self) -> Holder | None:
        """Return the holder from the locked file."""
        path = self.home / LOCK
        try:
            with path.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder_of(path.read_text("utf-8", "replace"))
        except OSError:  # it does not exist yet, or belongs to another user: the holder is unknown
            return None
        return None

    def unlock(self) -> None:
        """Replace the locked file, so that the next command locks another one."""
        (self.home / LOCK).unlink(missing_ok=True)


def _locked_file(path: Path) -> TextIO:
    for _ in range(TRIES):
        file = path.open("a+", encoding="utf-8")
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(file, path):
                file.truncate(0)
                return file
        file.close()
        time.sleep(PAUSE)
    raise locked(holder_of(path.read_text("utf-8", "replace")))


def _is_current(file: TextIO, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
