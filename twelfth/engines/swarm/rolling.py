"""How far Swarm is with a service that it was told to roll, and what to say where it gives up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.errors import one_line
from twelfth.engines.swarm.service_spec import SPEC
from twelfth.engines.swarm.snapshot import FAILED, RUNNING

if TYPE_CHECKING:
    from twelfth.engines.docker_api.container_spec import Body

GOING = {"updating", "rollback_started"}
GIVEN_UP = {"paused", "rollback_paused", "rollback_completed"}
"""States of an update (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Service, `UpdateStatus`)."""

CLOCKS = 1.0
"""Seconds by which the clocks of two machines may differ."""


@dataclass(frozen=True)
class Rolling:
    """A service at one moment: as it is inspected, its tasks, the oldest first, and the digest of what is wanted.

    `since` is when it was told to roll, in seconds since the epoch.
    """

    service: Body
    tasks: tuple[Body, ...]
    digest: str
    since: float

    @property
    def state(self) -> str:
        """Return how the update stands; an empty string for one that has just begun, and for a new service."""
        return str((self.service.get("UpdateStatus") or {}).get("State", ""))

    @property
    def new(self) -> list[Body]:
        """Return the tasks of what is wanted."""
        return [each for each in self.tasks if digest(each["Spec"]) == self.digest]

    @property
    def serving(self) -> int:
        """Return how many of the new tasks serve."""
        return sum(map(_serves, self.new))

    @property
    def failed(self) -> list[Body]:
        """Return the new tasks that have failed since it was told to roll."""
        return [
            each for each in self.new if each["Status"]["State"] in FAILED and _changed(each) >= self.since - CLOCKS
        ]

    @property
    def is_given_up(self) -> bool:
        """Return whether Swarm will not go on; a new service it would try to start for ever."""
        return self.state in GIVEN_UP or bool(self.failed and not self.state)

    def is_done(self, replicas: int) -> bool:
        """Return whether so many new tasks serve, and no other task is meant to."""
        meant = sum(each["DesiredState"] == RUNNING for each in self.tasks)
        return self.state not in GOING and self.serving == meant == replicas

    def why(self, name: str, within: float, last_words: str) -> str:
        """Return what to say of a service that was not ready in `within` seconds, with its last task's own words."""
        if not self.last_task:
            return f"{name} is not ready after {within:g} s (no node takes it)"
        status = self.last_task["Status"]
        how = "ended" if status["State"] in FAILED else f"is not ready after {within:g} s"
        words = one_line(status.get("Err") or status.get("Message") or "")
        return f"{name} {how} ({words})" + (f": {one_line(last_words)}" if last_words else "")

    @property
    def last_task(self) -> Body | None:
        """Return the task whose words count: the last that failed, else the last new one, None where there is none."""
        return next(reversed(self.failed or self.new), None)


def digest(spec: Body) -> str:
    """Return the digest of a task's specification; an empty string where another tool made its service."""
    return str((spec["ContainerSpec"].get("Labels") or {}).get(SPEC, ""))


def _serves(task: Body) -> bool:
    return (task["Status"]["State"], task["DesiredState"]) == (RUNNING, RUNNING)


def _changed(task: Body) -> float:
    return datetime.fromisoformat(task["Status"]["Timestamp"]).timestamp()
