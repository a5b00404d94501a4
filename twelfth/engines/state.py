"""The state of a stack: small files and a lock, stored where the stack is, so that every checkout has the same.

Files are written whole. A crash can tear a file: readers ignore what is not valid.
No single file is ever deleted, since the archive API of a Docker daemon can only add and replace.
"""

from __future__ import annotations

import json
import socket
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.errors import BusyError
from twelfth.operator_name import operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class Holder:
    """The process that has the lock of a stack: who started it, on which host, what it does, since when (ISO 8601)."""

    operator: str
    host: str
    action: str
    since: str

    def __str__(self) -> str:
        """Return the holder as messages show it."""
        name = f"{self.operator} on {self.host}" if self.host else self.operator
        return f"{name} ({self.action} since {self.since})" if self.action else name

    def to_json(self) -> str:
        """Return the holder as JSON on one line."""
        return json.dumps(asdict(self))


def this_process(action: str) -> Holder:
    """Return this process as the holder of a lock."""
    return Holder(operator(), socket.gethostname(), action, datetime.now(UTC).isoformat(timespec="seconds"))


def holder_of(text: str) -> Holder:
    """Return the holder from its JSON; from anything else, an unknown holder."""
    try:
        values = json.loads(text)
        return Holder(*(str(values[name]) for name in ("operator", "host", "action", "since")))
    except (ValueError, TypeError, KeyError):
        return Holder("another process", "", "", "")


def locked(holder: Holder) -> BusyError:
    """Return the error for a lock that another process has."""
    hint = "Try again when that is done; if that process is gone: invoke unlock"
    return BusyError(f"the stack is locked by {holder}. {hint}")


class State(ABC):
    """The stored state of one stack. Paths are relative, with `/` between a directory and a name.

    Its methods raise `EngineError` if the place where the state is stored fails.
    """

    @abstractmethod
    def read(self, directory: str) -> dict[str, bytes]:
        """Return the files of a directory by name, without those of its subdirectories; {} if it is missing."""

    @abstractmethod
    def write(self, files: Mapping[str, bytes]) -> None:
        """Create or replace files by path, with the directories that they need."""

    @abstractmethod
    def add(self, directory: str, files: Mapping[str, bytes]) -> bool:
        """Create or replace files by name in an existing directory or link; return False if that is missing."""

    @abstractmethod
    def send(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Add files without waiting for the result; they may be lost. This process may exit when it returns."""

    @abstractmethod
    def link(self, path: str, name: str) -> None:
        """Make a path stand for the directory of that name next to it, for `read`, `add` and `send`."""

    def pack(self, directory: str) -> None:  # noqa: B027 - by default a file costs little
        """Store the files of a directory together: few will be added, and none will change."""

    @abstractmethod
    def remove(self, directory: str = "") -> None:
        """Remove a directory with all that it contains, or all files and claims; the lock stays."""

    @abstractmethod
    def claim(self, name: str) -> bool:
        """Claim a name; return False if a process has claimed it before. Files are read again after it.

        Of several processes that claim it at the same time, one gets it, on whichever machine. A claim stays when its
        process exits. A name is letters, digits, `.`, `_` and `-`.
        """

    @abstractmethod
    def claims(self) -> frozenset[str]:
        """Return the claimed names."""

    @abstractmethod
    def forget_claims(self, names: Iterable[str]) -> None:
        """Make names available again."""

    @abstractmethod
    def lock(self, action: str) -> AbstractContextManager[None]:
        """Hold the lock of the stack, of which there is one for all operators, to do `action`, such as "deploying".

        It ends with this process, however that exits. Raises `BusyError` with the holder's name if another process has
        it.
        """

    @abstractmethod
    def check_lock(self) -> None:
        """Raise `EngineError` if this process held the lock and has lost it; then it must change nothing more."""

    @abstractmethod
    def holder(self) -> Holder | None:
        """Return the process that has the lock, None if there is none."""

    @abstractmethod
    def unlock(self) -> None:
        """Take the lock away from the process that has it, which notices at its next step."""
