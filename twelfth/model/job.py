"""A job: the definition of a named one-off process, and when it is started; frozen values.

Jobs and schedules are those of Compose (`jobs:`), with settings of this tool under `x-twelfth`.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.model.service import Service

FORBID, QUEUE = "forbid", "queue"
"""What happens to a run while another one of its job is in progress: it is refused, or waits."""

ONE, SKIP = "one", "skip"
"""What happens to fires that were missed: the last one is made up for, or none."""


OF_JOB = "job-"
"""Prefix of the tag of an image that is built for a job; the rest is the digest of its build context."""


@dataclass(frozen=True)
class Schedule:
    """When a job is started: a crontab expression in a time zone, "" for that of the scheduler's machine."""

    cron: str
    timezone: str = ""
    concurrency: str = FORBID
    missed_fires: str = ONE


@dataclass(frozen=True)
class Notify:
    """Where the end of a run or change is reported: to a URL, or to a command on the operator's machine.

    `on` is `failure` or `always`. `output` is the number of last lines of the run's output that are sent.
    """

    on: str = "failure"
    url: str = ""
    command: tuple[str, ...] = ()
    output: int = 0


@dataclass(frozen=True)
class Changes:
    """What a one-off container declares differently from its service: a declared container, and the keys that are set.

    Settings under other keys are those of the service.
    """

    container: Service
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Job:
    """A job.

    `service` is the service from whose running container it is made, "" for a job with a separate image. `after` are
    the jobs that run before it, `conditions` the services that must be running, each with its condition.
    `schedules` is empty for a job that only operators start. `timeout` is in seconds. `confirm` is the question that
    is asked before a start. `notify` replaces that of the file. With `keep`, that many stored outputs are kept.
    `refusals` are the errors of its definition, which a start raises.
    """

    name: str
    changes: Changes
    service: str = ""
    help: str = ""
    is_manual: bool = True
    schedules: tuple[Schedule, ...] = ()
    after: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    timeout: float | None = None
    needs_reason: bool = False
    concurrency: str = ""
    tty: bool | None = None
    confirm: str = ""
    notify: Notify | None = None
    keep: int = 0
    refusals: tuple[str, ...] = ()

    @property
    def has_separate_image(self) -> bool:
        """Return whether it is made from an image that is no service's."""
        return not self.service and bool(self.changes.container.image)

    @property
    def command(self) -> tuple[str, ...]:
        """The declared command, () if it has none."""
        return self.changes.container.command or ()

    @property
    def summary(self) -> str:
        """The line that describes it, "" if it has neither help nor a command."""
        return self.help or (f"Run {shlex.join(self.command)}" if self.command else "")
