"""What a notification contains: JSON about the end of a run or change; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twelfth.hints import as_typed

if TYPE_CHECKING:
    from twelfth.model.record import Record

LONGEST_OUTPUT = 64 << 10
"""Bytes of output at most, the last ones."""

FIELDS = (
    *("id", "kind", "what", "job", "command", "engine", "release", "release_before", "operator", "host", "trigger"),
    *("reason", "state", "exit_code", "seconds", "started", "finished", "error"),
)
"""Fields of a record that are sent."""


def content(record: Record, project: str, output: bytes | None = None) -> bytes:
    """Return the JSON about a record's end, with the end of the given output."""
    values: dict[str, Any] = {name: getattr(record, name) for name in FIELDS} | {"project": project}
    if record.is_run:
        values["logs"] = as_typed(f"invoke logs --run {record.id}")
    if output is not None:
        values["output"] = output[-LONGEST_OUTPUT:].decode(errors="replace")
    return json.dumps(values).encode()
