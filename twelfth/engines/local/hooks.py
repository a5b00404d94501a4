"""Execute a hook of a replica: a process with the directory and environment of the replica's."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.model.hook import Hook


def execute(hook: Hook, spec: Mapping[str, Any]) -> tuple[int, str]:
    """Return the exit code and output of a hook; `spec` is the replica's specification.

    All processes of this engine have the operator's user, and no directory of an image.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a command of the Compose file
            hook.command,
            cwd=spec["directory"],
            env={**spec["environment"], **dict(hook.environment)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        return 127 if isinstance(error, FileNotFoundError) else 126, f"{hook.command[0]}: {error.strerror}"
    return done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout.decode(errors="replace")
