"""The errors that an operator can cause or meet; each is one line that ends with what to type next, as he types it.

Exit codes are those of docs/runs.md: 2 for misuse and 125 when the engine failed, the latter as `docker run`
has it (https://docs.docker.com/engine/containers/run/#exit-status).
"""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path

PROGRAMS = ("invoke", "inv", "twelfth")
"""The programs that these commands are typed with; the first is the one that messages are written with."""


class TwelfthError(Exception):
    """Anything that twelfth says instead of a traceback; `exit_code` is what the process ends with."""

    exit_code = 125


class MisuseError(TwelfthError):
    """The command line or a file of the operator's is wrong; nothing was done."""

    exit_code = 2


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


@functools.cache
def program() -> str:
    """Return the program that was typed, such as `twelfth` or `./inv`.

    `./inv` says so in TWELFTH_PROGRAM, which is taken out of the environment here: what we start was not typed so.
    """
    path = Path(sys.argv[0])
    name = path.parent.name if path.name == "__main__.py" else path.name
    return os.environ.pop("TWELFTH_PROGRAM", "") or (name if name in PROGRAMS else PROGRAMS[0])


def as_typed(message: str) -> str:
    """Return a message whose hints (`invoke up`) name the program that was typed."""
    return re.sub(r"(?<![\w/.-])invoke (?=-?-?[a-z])", lambda _: f"{program()} ", message)
