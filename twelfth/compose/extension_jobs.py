"""Read jobs under `x-jobs`, for files that Compose before 5.6 must read, too: it rejects `jobs:`.

Compose checks nothing under an `x-` key. Jobs that use short notations are passed through Compose a second time, as
`jobs:` of the same project.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = "x-jobs"

MANUAL = {"manual": True}
"""The triggers of a job without any; Compose requires some."""

NAME = re.compile("[a-zA-Z0-9._-]+")
"""Matches the names that Compose allows."""

CANONICAL = {
    "image": str,
    "user": str,
    "working_dir": str,
    "command": list,
    "environment": dict,
    "triggers": dict,
    "x-twelfth": dict,
}
"""The keys of a job that is already in Compose's canonical notation, and the types of their values."""


def merged(model: Mapping[str, Any], convert: Callable[[str], Mapping[str, Any]], file: str) -> dict[str, Any]:
    """Return the jobs of a model, with those under `x-jobs` as `convert`, which passes a text to Compose, returns them.

    Raises `MisuseError` for names that Compose refuses under `jobs`, and if both keys have a job of one name.
    """
    jobs, others = model.get("jobs") or {}, model.get(KEY) or {}
    if not isinstance(others, dict) or not all(isinstance(keys, dict | None) for keys in others.values()):
        raise MisuseError(f"{file}: {KEY} must be a mapping of jobs. Try: write NAME: {{command: [program, argument]}}")
    if twice := sorted(jobs.keys() & others.keys()):
        raise MisuseError(f"{file}: {KEY}.{twice[0]} is also in jobs. Try: remove one of them")
    if invalid := sorted(str(name) for name in others if not NAME.fullmatch(str(name))):
        raise MisuseError(f"{file}: {KEY}.{invalid[0]} is not a name. Try: write letters, digits, dots, - and _")
    if same := sorted(others.keys() & (model.get("services") or {}).keys()):
        raise MisuseError(f"{file}: {KEY}.{same[0]} is also the name of a service. Try: rename the job")
    declared = {name: {"triggers": MANUAL, **(keys or {})} for name, keys in others.items()}
    if all(map(_is_canonical, declared.values())):
        return jobs | {name: {"networks": {"default": None}, **keys} for name, keys in declared.items()}
    rest = {key: value for key, value in model.items() if key not in {"jobs", KEY}}
    text = json.dumps(rest | {"jobs": jobs | declared}).replace("$", "$$")
    return dict(convert(text).get("jobs") or {})


def _is_canonical(keys: Mapping[str, Any]) -> bool:
    if not all(isinstance(value, CANONICAL.get(key, ())) for key, value in keys.items()):
        return False
    texts = (*keys.get("command", ()), *keys.get("environment", {}).values())
    return all(isinstance(text, str) for text in texts)
