"""The lane of a record in the timeline, and the class of its outcome."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from twelfth.model.record import UNKNOWN

if TYPE_CHECKING:
    from twelfth.model.record import Record

CHANGES = "changes"
"""The lane of changes to the stack, which start no process."""

DEPLOYS = frozenset({"up", "rollback"})
"""Changes after which another release may be running."""


def lane(record: Record) -> str:
    """Return the job of a run, else its program; `changes` for anything else."""
    if not record.is_run:
        return CHANGES
    if record.job:
        return record.job
    match record.command:
        case ("python" | "python3", "-m", module, *_):
            return module.removeprefix("admin.")
        case ("python" | "python3", script, *_) if script.endswith(".py"):
            return PurePosixPath(script).name
    return PurePosixPath(record.command[0]).name or record.command[0]


def outcome(record: Record) -> str:
    """Return how a record ended in one word, which is the class of its marks."""
    if not record.has_ended:
        return "active"
    if record.state == UNKNOWN:
        return UNKNOWN
    return "failed" if record.has_failed else "done"
