"""JSON files that are whole or not there: written to another name and renamed, and read with patience."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object that only this user may read; raises `OSError` and leaves what was there."""
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        staged.touch(mode=0o600)
        staged.write_text(json.dumps(values, indent=1), "utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file holds; an empty one where the file is not there or garbled."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def has_shape(values: Mapping[str, Any], shape: Mapping[str, Any]) -> bool:
    """Return whether an object that was read has, at least, the values of these names and types."""
    return all(isinstance(values.get(name), kind) for name, kind in shape.items())
