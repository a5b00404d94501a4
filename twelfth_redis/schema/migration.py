"""Read, check and import the files of migrations.

A file is `NNNN_name.py`; the first line of its docstring is its title. It has `up(read, write)`, which queues the
commands of one transaction; or, for many keys, `MATCH` (a glob, https://redis.io/docs/latest/commands/scan/) and
`each(keys, read, write)`, which queues the commands for one batch and must be safe to repeat. `down` or `each_down`,
both optional, revert it. `READS` names the keys that `up` and `down` read to decide: if they change meanwhile, the
step is repeated. `CONTRACT = True` means that older releases cannot work with the data afterwards.
`FORMER_CHECKSUMS` are the checksums of earlier, equivalent texts of the file, such as before an import was renamed. A
checksum is the SHA-256 of the file with Unix line endings, whatever the checkout has.
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
BatchStep = Callable[[list[bytes], Redis, Pipeline], None]

_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.py")


@dataclass(frozen=True)
class Way:
    """One direction of a migration: `step` in one transaction, or `batch_step` per batch of matching keys."""

    step: Step | None = None
    batch_step: BatchStep | None = None
    match: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Migration:
    """One revision; `former` are checksums of earlier equivalent texts, and of the same text with other line endings.

    `down` is None if it cannot be reverted.
    """

    revision: str
    title: str
    checksum: str
    up: Way
    down: Way | None = None
    contract: bool = False
    former: tuple[str, ...] = ()

    def is_of(self, checksum: str) -> bool:
        """Return whether a checksum is this revision's or that of an equivalent text."""
        return checksum in (self.checksum, *self.former)


def load(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations of a folder in order.

    Raises RefusedError that names the file: for a gap, a duplicate number, an invalid name, and a failing import.
    """
    paths = sorted(folder.glob("[0-9]*.py"))
    _refuse_disorder(paths)
    return tuple(_load(path) for path in paths)


def _shown(path: Path) -> str:
    # With two folders, such as admin/migrations/0001_adopt_hits.py.
    return "/".join(path.parts[-3:])


def _refuse_disorder(paths: Iterable[Path]) -> None:
    before = ""
    for expected, path in enumerate(paths, 1):
        name = path.name
        if not _NAME.fullmatch(name):
            raise RefusedError(f"{_shown(path)} is not named NNNN_name.py ({FILES}). Try: rename it")
        if before[:4] == name[:4]:
            raise RefusedError(
                f"revision {name[:4]} is a duplicate: {before} and {name}. Try: give one of them the next number"
            )
        if int(name[:4]) != expected:
            raise RefusedError(
                f"revision {expected:04} is missing before {name}: revisions start at 0001 and have no gaps"
            )
        before = name


def checksums(content: bytes) -> tuple[str, ...]:
    """Return the SHA-256 of a file with Unix line endings, and the checksums that earlier versions may have recorded.

    Earlier versions hashed the file as checked out, which has Windows line endings on some machines.
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
        raise RefusedError(f"{_shown(path)} has neither up(read, write) nor MATCH and each(…). Try: add one of them")
    return Migration(
        revision=path.name[:4],
        title=(names["__doc__"] or path.stem[5:].replace("_", " ")).strip().partition("\n")[0].rstrip("."),
        checksum=checksum,
        up=up,
        down=_way(names.get("down"), names.get("each_down"), match, reads),
        contract=bool(names.get("CONTRACT", False)),
        former=(*names.get("FORMER_CHECKSUMS", ()), *recorded),
    )


def _way(step: Step | None, batch_step: BatchStep | None, match: str, reads: tuple[str, ...]) -> Way | None:
    if step is None and (batch_step is None or not match):
        return None
    return Way(step, None if step else batch_step, match, reads)


def _names(path: Path) -> dict[str, Any]:
    # Its name starts with a digit, so no import statement could load it.
    try:
        return runpy.run_path(str(path))
    except Exception as error:
        why = traceback.format_exception_only(error)[-1].strip()
        raise RefusedError(f"{_shown(path)} cannot be imported: {why}") from error
