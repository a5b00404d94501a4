"""The program's name in messages: they are written with `invoke` and shown with the program that was typed."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
from pathlib import Path

PROGRAMS = ("invoke", "inv", "twelfth")
"""The programs that these commands are typed with."""

JOBS_UNKNOWN = "the commands of jobs are missing"
"""What a command reports before the reason if the Compose file cannot be read; the scheduler looks for it."""

options: list[str] = []
"""Compose's options before the command, such as `-p stage`: a hint without them would concern another stack."""


@functools.cache
def program() -> str:
    """Return the program that was typed, such as `twelfth` or `./inv`.

    For any other program, such as a script that calls `up()`, it is `twelfth`.
    `./inv` sets TWELFTH_PROGRAM, which is removed from the environment here: child processes were not typed as `./inv`.
    """
    path = Path(sys.argv[0])
    name = path.parent.name if path.name == "__main__.py" else path.name
    return os.environ.pop("TWELFTH_PROGRAM", "") or (name if name in PROGRAMS else "twelfth")


def as_typed(message: str) -> str:
    """Return a message whose hints (`invoke up`) start with the program and Compose's options that were typed."""
    typed = shlex.join(options)
    compose, invoke = (" ".join(filter(None, (name, typed))) for name in ("docker compose", program()))
    message = re.sub(r"(?<=Try: )docker compose (?=[a-z])", lambda _: f"{compose} ", message)
    return re.sub(r"(?<![\w/.-])invoke (?=-?-?[a-z])", lambda _: f"{invoke} ", message)


def command_name(name: str) -> str:
    """Return what is typed to start a job or program: Invoke's commands have dashes, and it reads dots as a path."""
    return name.replace("_", "-").replace(".", "-")
