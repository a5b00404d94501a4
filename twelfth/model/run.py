"""A run: the request for it, and its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.model.job import Changes
    from twelfth.model.service import Pairs
    from twelfth.model.snapshot import Replica


RUN = "run"

OPERATOR, SCHEDULE = "operator", "schedule"
"""What starts a run."""


@dataclass(frozen=True)
class Terminal:
    """The operator's terminal when a run is requested; `kind` is its TERM."""

    rows: int
    columns: int
    kind: str = ""


@dataclass(frozen=True)
class RunRequest:
    """A requested run: a command, the replica that it is made from, and the requested differences.

    `environment` has the overrides. `timeout` is in seconds, None for no limit. An `interactive` run has an input. A
    copy of the output is kept unless `kept` is False, as for a backup, whose output is all of the data. An admin
    process gets variables that name its run; any other command has the environment of the replica.
    """

    id: str
    command: tuple[str, ...]
    replica: Replica
    environment: Pairs = ()
    operator: str = ""
    reason: str = ""
    timeout: float | None = None
    tty: bool = False
    interactive: bool = True
    kept: bool = True
    is_admin_process: bool = False
    purpose: str = ""
    """The text by which a later command finds the run, such as that of a release command; or ""."""

    terminal: Terminal | None = None
    """The run's terminal when it starts; None for a run without a terminal."""

    host: str = ""
    """The operator's machine."""

    kind: str = RUN
    """What the record calls the run: `run`, or `restore`, which changes data."""

    what: str = ""
    """What it is done to, such as the name of the file that is restored."""

    must_be_recorded: bool = True
    """Whether the run does not start if its record cannot be written."""

    node: str = ""
    """The machine to run on, if the engine has several; "" for the default."""

    job: str = ""
    """The name of the job that is started, "" for any other command."""

    trigger: str = OPERATOR
    """What started it: an operator, or a schedule."""

    concurrency: str = ""
    """What happens to it while another run of its job is running: it is refused (`forbid`), waits (`queue`), or ""."""

    notify: str = ""
    """When its end is reported: `failure`, `always`, or "" for never."""

    changes: Changes | None = None
    """What a job or hook declares differently from the service of the replica."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """Return the names of the requested differences: of variables, then the Compose keys of other settings."""
        changed = self.changes.container.environment if self.changes else ()
        keys = self.changes.keys - {"command", "environment"} if self.changes else ()
        return (*dict.fromkeys(name for name, _ in (*changed, *self.environment)), *sorted(keys))

    @property
    def identifying_environment(self) -> Pairs:
        """Return the variables that name the run to an admin process, as Heroku's DYNO does, for its own records."""
        if not self.is_admin_process:
            return ()
        values = {"OPERATOR": self.operator, "RELEASE": self.replica.release, "RUN": self.id}
        return tuple((f"TWELFTH_{name}", value) for name, value in values.items())


@dataclass(frozen=True)
class Run:
    """The record of a run. Times are ISO 8601 in UTC; `overrides` are names of settings, never values.

    `state` is `running`, `done`, `failed`, `timeout` or `stopped`; `created` if the client died before the start,
    `lost` if the machine failed during the run, `unreachable` if the machine cannot be asked. `seconds` and `exit_code`
    are None for a run that has not exited. With `source_mounted` the code was in a mounted directory of the machine,
    not in the release. With `discards_output` no copy of the output is kept.
    """

    id: str
    command: tuple[str, ...]
    engine: str
    release: str
    image: str
    operator: str
    reason: str
    overrides: tuple[str, ...]
    started: str
    finished: str
    seconds: float | None
    state: str
    exit_code: int | None
    source_mounted: bool = False
    purpose: str = ""
    host: str = ""
    kind: str = RUN
    what: str = ""
    job: str = ""
    trigger: str = OPERATOR
    notify: str = ""
    discards_output: bool = False

    @property
    def is_running(self) -> bool:
        """Return whether the run may still be running."""
        return self.exit_code is None and self.state not in {"created", "lost", "unreachable"}
