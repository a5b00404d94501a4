"""Migrations as they are on disk: read, checked, imported.

A file is `NNNN_name.py`; the first line of its docstring is its title. It has `up(read, write)`, which queues what
is done at once; or, for many keys, `MATCH` (a glob, https://redis.io/docs/latest/commands/scan/) and
`each(keys, read, write)`, which queues what is done to one batch and must be safe to repeat. `down`, or `each_down`,
is the way back, where there is one. `READS` names the keys on which `up` and `down` decide: it is done again where
they change meanwhile. `CONTRACT = True` says that older releases cannot work with the data any more. `FORMER_CHECKSUMS`
are those of earlier texts of the file that did the same, such as before an import was renamed. A checksum is the
SHA-256 of the file with the line endings of Unix, whichever the checkout has.
"""

import hashlib
import re
import runpy
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.client import Pipeline

from twelfth_redis.errors import RefusedError
from twelfth_redis.schema.revisions import FILES

Step = Callable[[Redis, Pipeline], None]
Each = Callable[[list[bytes], Redis, Pipeline], None]

_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.py")


@dataclass(frozen=True)
class Way:
    """One direction of a migration: a step done at once, or what is done to each batch of the keys that match."""

    step: Step | None = None
    each: Each | None = None
    match: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Migration:
    """One revision; `former` has checksums of earlier equivalent texts, and of the same text with other line endings.

    `down` is None where there is no way back.
    """

    revision: str
    title: str
    checksum: str
    up: Way
    down: Way | None = None
    contract: bool = False
    former: tuple[str, ...] = ()

    def is_of(self, checksum: str) -> bool:
        """Return whether what was applied under a checksum is what this revision does."""
        return checksum in (self.checksum, *self.former)


def load(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations of a folder in order.

    Raises RefusedError, by name, for a gap, a number that is there twice, and a file that is none or fails to import.
    """
    paths = sorted(folder.glob("[0-9]*.py"))
    _refuse_disorder(paths)
    return tuple(_load(path) for path in paths)


def _shown(path: Path) -> str:
    """Return the path as messages name it: with two folders, such as admin/migrations/0001_adopt_hits.py."""
    return "/".join(path.parts[-3:])


def _refuse_disorder(paths: Iterable[Path]) -> None:
    before = ""
    for expected, path in enumerate(paths, 1):
        name = path.name
        if not _NAME.fullmatch(name):
            raise RefusedError(f"{_shown(path)} is not named NNNN_name.py ({FILES}); rename it")
        if before[:4] == name[:4]:
            raise RefusedError(f"revision {name[:4]} is there twice: {before} and {name}; give one the next number")
        if int(name[:4]) != expected:
            raise RefusedError(f"revision {expected:04} is missing before {name}; revisions have no gaps, from 0001 on")
        before = name


def checksums(content: bytes) -> tuple[str, ...]:
    """Return the SHA-256 of a file with Unix line endings, and the checksums that earlier versions may have recorded.

    Those were of the file as checked out, which has Windows line endings on some machines.
    """
    unix = content.replace(b"\r\n", b"\n")
    texts = dict.fromkeys((unix, unix.replace(b"\n", b"\r\n"), content))
    return tuple(hashlib.sha256(text).hexdigest() for text in texts)


def _load(path: Path) -> Migration:
    names = _names(path)
    checksum, *recorded = checksums(path.read_bytes())
    named, match = names.get("READS", ()), names.get("MATCH", "")
    reads = (named,) if isinstance(named, str) else tuple(named)
    up = _way(names.get("up"), names.get("each"), match, reads)
    if up is None:
        raise RefusedError(f"{_shown(path)} has neither up(read, write) nor MATCH and each(…); add one")
    return Migration(
        revision=path.name[:4],
        title=(names["__doc__"] or path.stem[5:].replace("_", " ")).strip().partition("\n")[0].rstrip("."),
        checksum=checksum,
        up=up,
        down=_way(names.get("down"), names.get("each_down"), match, reads),
        contract=bool(names.get("CONTRACT", False)),
        former=(*names.get("FORMER_CHECKSUMS", ()), *recorded),
    )


def _way(step: Step | None, each: Each | None, match: str, reads: tuple[str, ...]) -> Way | None:
    if step is None and (each is None or not match):
        return None
    return Way(step, None if step else each, match, reads)


def _names(path: Path) -> dict[str, Any]:
    """Return what the file defines: its own name begins with a digit, so no import statement could."""
    try:
        return runpy.run_path(str(path))
    except Exception as error:
        why = traceback.format_exception_only(error)[-1].strip()
        raise RefusedError(f"{_shown(path)} does not import ({why}); fix it") from error
