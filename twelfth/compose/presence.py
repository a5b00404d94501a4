"""Look for jobs in the text of the Compose files, without Compose, which takes a tenth of a second."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from twelfth.compose.file_names import NAMES, OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JOBS, INCLUDE = "jobs", "include"
"""Keys that a text may have: `jobs` also for `x-jobs`; the files of an `include` may have jobs."""

_KEYS = re.compile(rf"\b({JOBS}|{INCLUDE})[\"']?\s*:")


def job_keys(directory: Path, environment: Mapping[str, str]) -> set[str]:
    """Return which of `JOBS` and `INCLUDE` the Compose files of a directory may have; none if they have no jobs."""
    try:
        texts = [path.read_text("utf-8", "replace") for path in _files(directory, environment)]
    except OSError:  # such as a file that Compose downloads
        return {JOBS, INCLUDE}
    return {key for text in texts for key in _KEYS.findall(text)}


def _files(directory: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files of COMPOSE_FILE, else those by name; raises `OSError` if `.env` may name others."""
    if names := environment.get("COMPOSE_FILE"):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        yield from (directory / name for name in names.split(separator))
        return
    for name in (environment.get("COMPOSE_ENV_FILES") or ".env").split(","):
        if (directory / name).is_file() and "COMPOSE_FILE" in (directory / name).read_text("utf-8", "replace"):
            raise FileNotFoundError(name)
    for place in (directory, *directory.parents):
        if any((place / name).is_file() for name in NAMES):
            yield from filter(lambda path: path.is_file(), (place / name for name in (*NAMES, *OVERRIDES)))
            return
