"""Turn an `OSError` of a disk into an error of one line, with the next command to type."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPEAT = "fix that, then repeat it"
"""The end of the line for any command but `up`."""


@contextlib.contextmanager
def disk_errors(path: Path, then: str = "fix that, then: invoke up") -> Iterator[None]:
    """Raise `EngineError` for an `OSError`, naming its file, else `path`; `then` is what the line ends with."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"cannot write {error.filename or path}: {error.strerror}; {then}") from error
