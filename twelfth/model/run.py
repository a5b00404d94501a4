"""A run: as it is requested, and as it is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Pairs


@dataclass(frozen=True)
class Terminal:
    """The operator's terminal when a run is requested; `kind` is its TERM."""

    rows: int
    columns: int
    kind: str = ""


@dataclass(frozen=True)
class RunRequest:
    """A requested run: a command, the replica whose release and environment it gets, and the requested differences.

    `environment` are overrides; `timeout` is in seconds, None for as long as it takes; `interactive` means that the
    run gets an input; where the output is not `kept`, only its client has it, such as all the data of a backup. An
    admin process of the release gets variables that name its run; any other has exactly the worker's environment.
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
    """The text by which a later command finds the run, such as the release command of a release; or ""."""

    terminal: Terminal | None = None
    """The run's terminal from the first byte on; None for a run without a terminal."""

    node: str = ""
    """The machine that it is to go to, where the engine has several; an empty string for the usual one."""

    @property
    def identifying_environment(self) -> Pairs:
        """Return the variables that name the run to an admin process, as Heroku's DYNO does, for its own records."""
        if not self.is_admin_process:
            return ()
        values = {"OPERATOR": self.operator, "RELEASE": self.replica.release, "RUN": self.id}
        return tuple((f"TWELFTH_{name}", value) for name, value in values.items())


@dataclass(frozen=True)
class Run:
    """The record of a run. Times are ISO 8601 in UTC; `overrides` are names of environment variables, never values.

    `state` is `running`, `done`, `failed`, `timeout` or `stopped`; `created` for one whose client died before it was
    started, `lost` for one whose machine did, `unreachable` where that cannot be asked. `seconds` and `exit_code` are
    None where it has not ended. With `source_mounted` its code was not the release's, but a directory's of the machine.
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

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self.exit_code is None and self.state not in {"created", "lost", "unreachable"}
