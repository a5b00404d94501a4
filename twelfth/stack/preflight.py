"""What must be clear before a plan is executed, so that nothing is touched where it cannot succeed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from twelfth.engines import tcp
from twelfth.errors import BusyError, MisuseError
from twelfth.stack import plan
from twelfth.stack.steps import CreateReplica

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.stack.steps import Step


def refuse_disturbing_runs(engine: Engine, steps: Iterable[Step]) -> None:
    """Raise `BusyError` where the steps would take away the network or the release of an unfinished run."""
    steps = tuple(steps)  # without any, the record of runs, which takes a while to read, need not be asked
    if steps and (runs := plan.disturbed(steps, engine.runs.records())):
        names = ", ".join(f"{run.id} ({' '.join(shlex.join(run.command).split())[:40]})" for run in runs)
        raise BusyError(
            f"this would replace the release under a run: {names}; invoke stop {runs[0].id}, or: invoke up --force"
        )


def refuse_taken_ports(engine: Engine, steps: Iterable[Step]) -> None:
    """Raise `MisuseError` for a port that a new replica needs and somebody else has."""
    for step in steps:
        if isinstance(step, CreateReplica) and step.number == 1 and step.instead is None:
            for port in engine.host_ports(step.service):
                if why := tcp.why_taken(port.host, port.published):
                    hint = f"stop what listens there, or: PORT={port.published + 1} invoke up"
                    raise MisuseError(f"port {port.published} is not free ({why}); {hint}")
