"""The progress of a service that Swarm rolls out, and the reason if Swarm gives up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.errors import one_line
from twelfth.engines.swarm.service_spec import SPEC
from twelfth.engines.swarm.snapshot import FAILED, RUNNING

if TYPE_CHECKING:
    from twelfth.engines.docker_api.container_spec import Body

IN_PROGRESS = {"updating", "rollback_started"}
GIVEN_UP = {"paused", "rollback_paused", "rollback_completed"}
"""States of an update (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Service, `UpdateStatus`)."""

CLOCKS = 1.0
"""Seconds by which the clocks of two nodes may differ."""


@dataclass(frozen=True)
class Rolling:
    """A service at one moment: its inspection, its tasks, the oldest first, and the digest of the new specification.

    `since` is the time of the update, in seconds since the epoch.
    """

    service: Body
    tasks: tuple[Body, ...]
    digest: str
    since: float

    @property
    def state(self) -> str:
        """The state of the update; an empty string for one that has just started, and for a new service."""
        return str((self.service.get("UpdateStatus") or {}).get("State", ""))

    @property
    def new(self) -> list[Body]:
        """The tasks with the new specification."""
        return [task for task in self.tasks if digest(task["Spec"]) == self.digest]

    @property
    def running(self) -> int:
        """The number of new tasks that are running."""
        return sum(map(_is_running, self.new))

    @property
    def failed(self) -> list[Body]:
        """The new tasks that have failed since the update."""
        return [
            task for task in self.new if task["Status"]["State"] in FAILED and _changed(task) >= self.since - CLOCKS
        ]

    @property
    def is_given_up(self) -> bool:
        """Whether the update has failed; Swarm itself restarts the tasks of a new service for ever."""
        return self.state in GIVEN_UP or bool(self.failed and not self.state)

    def is_done(self, replicas: int) -> bool:
        """Return whether this number of new tasks is running, and no other task should run."""
        desired = sum(task["DesiredState"] == RUNNING for task in self.tasks)
        return self.state not in IN_PROGRESS and self.running == desired == replicas

    def why(self, name: str, within: float, last_line: str) -> str:
        """Return why a service was not ready in `within` seconds, with the last line of its last task's output."""
        if not self.last_task:
            return f"{name} is not ready after {within:g} s (no node takes it)"
        status = self.last_task["Status"]
        what = "exited" if status["State"] in FAILED else f"is not ready after {within:g} s"
        reason = one_line(status.get("Err") or status.get("Message") or "")
        return f"{name} {what} ({reason})" + (f": {one_line(last_line)}" if last_line else "")

    @property
    def last_task(self) -> Body | None:
        """The task that explains a failure: the last that failed, else the last new one, None if there is none."""
        return next(reversed(self.failed or self.new), None)


def digest(spec: Body) -> str:
    """Return the digest in a task's specification; an empty string if another tool created its service."""
    return str((spec["ContainerSpec"].get("Labels") or {}).get(SPEC, ""))


def _is_running(task: Body) -> bool:
    return (task["Status"]["State"], task["DesiredState"]) == (RUNNING, RUNNING)


def _changed(task: Body) -> float:
    return datetime.fromisoformat(task["Status"]["Timestamp"]).timestamp()
