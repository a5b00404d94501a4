"""Move the record of deploys that versions before 0.4 kept in the checkout to the state of the stack."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from twelfth.stack.deploy_record import Deploy, Deploys, read_deploys, write_deploys

if TYPE_CHECKING:
    from pathlib import Path

    from twelfth.engines.contract import Engine


def adopt_old_record(engine: Engine) -> str:
    """Move the record, unless the stack has one, and return a line that reports it; "" if there is none."""
    path = engine.stack.directory / ".twelfth" / f"{engine.stack.project}.deploys.json"
    record = _read(path)
    if record is None or read_deploys(engine.state) != Deploys():
        return ""
    write_deploys(engine.state, record)
    with contextlib.suppress(OSError):  # the next command leaves it alone, since the stack has a record then
        path.rename(path.with_suffix(".moved"))
    return f"copied the record of deploys from {path} to the state of the stack"


def _read(path: Path) -> Deploys | None:
    """Return the old record, None if it is missing, empty or damaged."""
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        record = Deploys(
            tuple(Deploy(**deploy) for deploy in values["deployed"]),
            {str(name): int(number) for name, number in values["scale"].items()},
            frozenset(map(str, values["built"])),
            tuple(map(str, values.get("accepted", ()))),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if record != Deploys() else None
