"""Files that take long to write: whole under their name, or not there at all.

While it grows a file has a name of its own, `.NAME.XXXXXXXX.twelfth-part`, and is locked; what a killed process left
is deleted by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
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
    """Return the name of a backup taken at a moment, now if none is given: it sorts by time, in UTC."""
    now = moment or datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03}Z{mark}.resp.gz"


def path_of_now(directory: Path, mark: str = "") -> Path:
    """Return a path of this moment in a directory, which is made where there is none, for its owner only."""
    try:
        directory.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise EngineError(f"cannot make {directory}: {error.strerror}; fix that, or name a FILE") from error
    return new_path(directory / name_of(mark=mark))


def new_path(path: Path) -> Path:
    """Return the path; raises `MisuseError` for one that is there, or whose directory is not."""
    if path.is_dir():
        raise MisuseError(f"{path} is a directory; name a file in it")
    if path.exists():
        raise MisuseError(f"{path} is there already, and is left alone; choose another name")
    if not path.parent.is_dir():
        raise MisuseError(f"there is no directory {path.parent}; make it, or choose another name")
    return path


@contextlib.contextmanager
def written(path: Path) -> Iterator[tuple[int, Path]]:
    """Give a file to write (its descriptor and its name for now), which becomes `path` when the block ends well.

    Readable by its owner only. Raises `EngineError` where it cannot be written; nothing is left of it then.
    """
    _sweep(path.parent)
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        part = Path(name)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield number, part
            os.fsync(number)
            _name(part, path)
        finally:
            os.close(number)
            part.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise EngineError(
            f"cannot write {path}: {error.strerror}; nothing is left of it; fix that, repeat it"
        ) from error


def _name(part: Path, path: Path) -> None:
    """Give a file its name; raises `MisuseError` where somebody else was faster. A rename would replace theirs."""
    try:
        path.hardlink_to(part)
    except FileExistsError as error:
        raise MisuseError(f"{path} is there by now, and is left alone; choose another name") from error
    except OSError:  # a file system without hard links
        part.rename(path)


def _sweep(directory: Path) -> None:
    """Delete what processes that were killed left behind: nobody holds its lock. What is no file is left alone."""
    for left in directory.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(left.lstat().st_mode):  # to open a FIFO would wait, a device may do anything
                _sweep_unlocked(left)


def _sweep_unlocked(left: Path) -> None:
    number = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left.unlink()
    finally:
        os.close(number)


def _sync(directory: Path) -> None:
    """Make the new name last: it is the directory's content."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
