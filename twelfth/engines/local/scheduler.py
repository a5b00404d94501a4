"""The scheduler of a stack under its supervisord, from `up` to `down`; its specification is not that of a replica."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import twelfth
from twelfth.engines.json_file import read_json, write_json
from twelfth.engines.local.inherited_environment import has_interpreter, inherited
from twelfth.engines.local.run_record import make_private

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.engines.local.supervisord import Supervisor

PROGRAM = "scheduler"
"""Its name in supervisord; those of replicas have a number."""

COMMAND = [sys.executable, "-P", "-m", "twelfth", "schedule"]

GRACE = 5
"""Seconds that it has to exit; runs that it has started continue."""


def keep(supervisor: Supervisor, home: Path, directory: Path, variables: Mapping[str, str]) -> None:
    """Start it in a project's directory; restart it if its specification has changed. Raises `OSError`."""
    environment = {**inherited(), **variables, "INVOKE_ENGINE": "local", "XDG_STATE_HOME": str(home.parents[1])}
    environment["PYTHONPATH"] = str(Path(twelfth.__file__).parents[1])
    spec = {
        "command": COMMAND,
        "environment": environment,
        "directory": str(directory),
        "version": twelfth.__version__,
    }
    path, earlier = home / f"{PROGRAM}.json", read_json(home / f"{PROGRAM}.json")
    if earlier == spec and has_interpreter(environment) and supervisor.states().get(PROGRAM) in {"starting", "running"}:
        return
    supervisor.start()
    supervisor.remove(PROGRAM)
    make_private(home, "logs")
    write_json(path, spec)
    supervisor.add(PROGRAM, path, restart="always", grace=GRACE)


def stop(supervisor: Supervisor, home: Path) -> None:
    """Stop it, if it is running."""
    if (home / f"{PROGRAM}.json").exists():
        supervisor.remove(PROGRAM)
        for suffix in (".json", ".starts"):
            (home / f"{PROGRAM}{suffix}").unlink(missing_ok=True)
