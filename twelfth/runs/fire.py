"""The fire of a schedule: the scheduler starts a job's command in a child process, and names the fire in a variable.

So a fire does what the command does for an operator, even if the project replaces that command.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from twelfth.model.job import FORBID

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "TWELFTH_FIRE"


@dataclass(frozen=True)
class Fire:
    """The fire of a job: the id of the run that it starts, and what happens while another run of the job is running."""

    job: str
    run_id: str
    concurrency: str = FORBID

    def to_environment(self) -> dict[str, str]:
        """Return the variable for the child process."""
        return {VARIABLE: json.dumps(asdict(self))}


def current(job: str, environment: Mapping[str, str] = os.environ) -> Fire | None:
    """Return the fire of this job that started this process, or None."""
    try:
        fire = Fire(**json.loads(environment[VARIABLE]))
    except (KeyError, ValueError, TypeError):
        return None
    return fire if job and fire.job == job else None
