"""The errors that an operator can cause or meet; each is one line that ends with what to type next, as he types it.

Exit codes are those of docs/runs.md: 2 for misuse and 125 when the engine failed, the latter as `docker run`
has it (https://docs.docker.com/engine/containers/run/#exit-status).
"""

from __future__ import annotations


class TwelfthError(Exception):
    """Anything that twelfth says instead of a traceback; `exit_code` is what the process ends with."""

    exit_code = 125


class MisuseError(TwelfthError):
    """The command line or a file of the operator's is wrong; nothing was done."""

    exit_code = 2


class NoReleaseError(MisuseError):
    """The release that was named is not here."""


class EngineError(TwelfthError):
    """The engine could not do what was asked."""


class NoLogError(EngineError):
    """What was printed is kept nowhere."""


class BusyError(TwelfthError):
    """Somebody else is working on the same thing right now."""


class NotUpError(TwelfthError):
    """The command needs a stack that is up, and it is not."""


class NoWorkerError(NotUpError):
    """Nothing runs that a run could be made from."""


class IdentityError(TwelfthError):
    """A run would not be made from what serves."""


class ServiceError(TwelfthError):
    """The service answers wrongly, or not at all."""

    exit_code = 1
