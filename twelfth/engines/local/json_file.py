"""JSON files that are whole or not there: written aside and renamed, and read with patience."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object that only this user may read; raises `OSError` and leaves what was there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        aside.touch(mode=0o600)
        aside.write_text(json.dumps(values, indent=1), "utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file holds; an empty one where the file is not there or garbled."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
