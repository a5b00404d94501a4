"""The errors that operators see; each is one line that ends with the command to type next.

Exit codes are those of docs/runs.md: 2 for invalid use and 125 for a failure of the engine, as `docker run`
has it (https://docs.docker.com/engine/containers/run/#exit-status).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.api import RunResult


class TwelfthError(Exception):
    """An error that is printed as one line instead of a traceback; `exit_code` is that of the process."""

    exit_code = 125


class MisuseError(TwelfthError):
    """An argument or a file of the project is invalid; nothing was changed."""

    exit_code = 2


class NoRecordError(MisuseError):
    """No record has the id."""


class NoReleaseError(MisuseError):
    """The named release is not built."""


class EngineError(TwelfthError):
    """The engine failed."""


class NoLogError(EngineError):
    """The output is not kept."""


class BusyError(TwelfthError):
    """Another process is changing the same thing."""


class JobRunningError(BusyError):
    """Another run of the job is running."""


class NotUpError(TwelfthError):
    """The command needs a stack that is up, and it is not."""


class NoWorkerError(NotUpError):
    """No replica is running that a run could be made from."""


class IdentityError(TwelfthError):
    """A run would differ from the running release."""


class ServiceError(TwelfthError):
    """The service answers with an error, or not at all."""

    exit_code = 1


class RunFailedError(TwelfthError):
    """A run that a task started with `check` failed; `result` is its `RunResult`."""

    def __init__(self, result: RunResult) -> None:
        """Take the exit code of the run."""
        hint = f"Try: invoke logs --run {result.id}"
        super().__init__(f"run {result.id} exited with code {result.exit_code}. {hint}")
        self.result, self.exit_code = result, result.exit_code
