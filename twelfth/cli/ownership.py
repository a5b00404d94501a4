"""Refuse project files of other users, as Git refuses their repositories.

A project's files are executed (`tasks.py`) or decide what is executed on this machine (`compose.yaml`, for example by
`notify`, and `invoke.yaml`), and are searched for in parent directories. Without this rule, the owner of a parent
directory could run commands as every user who works below it. The rule is that of `safe.directory`
(https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory).
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError
from twelfth.operator_name import user_name
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SAFE = "TWELFTH_SAFE_DIRECTORY"
"""The variable that names directories whose files are used regardless of the owner, or `*` for all."""


def refuse_foreign(directory: Path, files: Iterable[Path], environment: Mapping[str, str]) -> None:
    """Raise `MisuseError` if one of the files exists and it or the directory belongs to another user."""
    existing = [path for path in files if path.exists()]
    if not existing or _is_safe(directory, environment):
        return
    users = trusted_users(environment)
    for path in (directory, *existing):
        if (owner := path.stat().st_uid) not in users:
            why = f"it belongs to {user_name(owner)}, and you are {user_name(os.geteuid())}"
            hint = f"if you trust its files: {SAFE}={shlex.quote(str(directory))} invoke status"
            raise MisuseError(f"cannot use {printable(str(path))}: {why}; {hint}")


def trusted_users(environment: Mapping[str, str]) -> frozenset[int]:
    """Return the users whose files are used: the effective user and, under sudo, the user who called it."""
    user, caller = os.geteuid(), environment.get("SUDO_UID", "")
    return frozenset({user, int(caller)} if user == 0 and caller.isdecimal() else {user})


def _is_safe(directory: Path, environment: Mapping[str, str]) -> bool:
    trusted = [path for path in environment.get(SAFE, "").split(os.pathsep) if path]
    return "*" in trusted or any(Path(path).resolve() == directory.resolve() for path in trusted)
