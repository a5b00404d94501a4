"""JSON files that are complete or missing: they are written under another name and then renamed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object to a file that only this user may read; raises `OSError` and keeps the previous file then."""
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        staged.touch(mode=0o600)
        staged.write_text(json.dumps(values, indent=1), "utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file, an empty one if the file is missing or is not a JSON object."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def has_shape(values: Mapping[str, Any], shape: Mapping[str, Any]) -> bool:
    """Return whether an object has, at least, values of these names and types."""
    return all(isinstance(values.get(name), kind) for name, kind in shape.items())
