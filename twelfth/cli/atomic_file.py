"""Write a file that takes long: it gets its name only when it is complete.

Until then its name is `.NAME.XXXXXXXX.twelfth-part`, and it is locked. The next process deletes the file of a process
that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = ".twelfth-part"


def name_of(moment: datetime | None = None, mark: str = "") -> str:
    """Return the name of a backup, by default of one taken now; names sort by time, in UTC."""
    now = moment or datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03}Z{mark}.resp.gz"


def path_of_now(directory: Path, mark: str = "") -> Path:
    """Return a path that is named after the current time; creates the directory, accessible to its owner only."""
    try:
        directory.parent.mkdir(exist_ok=True, parents=True, mode=0o700)
        directory.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise EngineError(f"cannot create {directory}: {error.strerror}. Try: invoke backup FILE") from error
    return new_path(directory / name_of(mark=mark))


def new_path(path: Path) -> Path:
    """Return the path; raises `MisuseError` if it exists, or if its directory is missing."""
    if path.exists() and not path.is_dir():
        raise MisuseError(f"cannot write {path}: it already exists; choose another name")
    return _in_directory(path)


def replaceable_path(path: Path, mark: bytes) -> Path:
    """Return the path with its links resolved; raises `MisuseError` for a file that does not start with the mark."""
    path = path.resolve()
    if path.exists() and not path.is_dir() and not (path.is_file() and _starts_with(path, mark)):
        raise MisuseError(f"cannot write {path}: it is not a page of runs; choose another name")
    return _in_directory(path)


def _starts_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) in {mark, b""}


def _in_directory(path: Path) -> Path:
    if path.is_dir():
        raise MisuseError(f"cannot write {path}: it is a directory; choose a file in it")
    if not path.parent.is_dir():
        raise MisuseError(f"cannot write {path}: no such directory. Try: mkdir -p {shlex.quote(str(path.parent))}")
    return path


@contextlib.contextmanager
def written(path: Path, *, replaces: bool = False) -> Iterator[tuple[int, Path]]:
    """Provide a file to write, its descriptor and its temporary path, and rename it to `path` if the block succeeds.

    Only its owner can read the file. If it `replaces` another one, it gets the mode of that file. Raises `EngineError`
    if it cannot be written, and deletes it.
    """
    _sweep(path.parent)
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        part = Path(name)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield number, part
            if replaces and path.exists():
                os.fchmod(number, stat.S_IMODE(path.stat().st_mode))
            os.fsync(number)
            part.replace(path) if replaces else _name(part, path)
        finally:
            os.close(number)
            part.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise EngineError(f"cannot write {path}: {error.strerror}; the incomplete file was deleted") from error


def _name(part: Path, path: Path) -> None:
    try:  # a link fails if another process has created the path meanwhile; a rename would replace its file
        path.hardlink_to(part)
    except FileExistsError as error:
        raise MisuseError(f"cannot write {path}: another process has created it; choose another name") from error
    except OSError:  # a file system without hard links
        part.rename(path)


def _sweep(directory: Path) -> None:
    """Delete files of killed processes: their locks are free. Only regular files are opened: opening a FIFO blocks."""
    for path in directory.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(path.lstat().st_mode):
                _sweep_unlocked(path)


def _sweep_unlocked(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(number)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:  # the new name is content of the directory, so it is durable only after this
        os.fsync(number)
    finally:
        os.close(number)
