"""The images of jobs with a separate image: `up` stores their ids with the stack, and runs use exactly these.

Each has a separate file, next to those of deploys.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.engines.state import State

DIRECTORY, PREFIX = "stack", "job-"
"""The directory of the state, and the prefix of the files of jobs."""


@dataclass(frozen=True)
class FixedImage:
    """The image of a job: its name when it was fixed, and its id."""

    reference: str
    id: str


def read_fixed(state: State) -> dict[str, FixedImage]:
    """Return the fixed images by job; what is missing or damaged counts as not fixed."""
    files = state.read(DIRECTORY)
    images = {name.removeprefix(PREFIX): _parsed(text) for name, text in files.items() if name.startswith(PREFIX)}
    return {job: image for job, image in images.items() if image}


def fix(state: State, images: Mapping[str, FixedImage]) -> None:
    """Store the images of these jobs; raises `EngineError`."""
    state.write({f"{DIRECTORY}/{PREFIX}{job}": json.dumps(asdict(image)).encode() for job, image in images.items()})


def _parsed(content: bytes) -> FixedImage | None:
    try:
        image = FixedImage(**json.loads(content))
    except (ValueError, TypeError):
        return None
    return image if image.id else None
