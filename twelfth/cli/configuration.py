"""Load Invoke's configuration, except for Python files, which it would execute, and files of other users."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.config import Config

from twelfth.cli.command import MISUSE, failure, warn
from twelfth.cli.ownership import trusted_users
from twelfth.operator_name import user_name

if TYPE_CHECKING:
    from os import PathLike

ROOT = 0
SUFFIXES = ("yaml", "yml", "json")
FILES = tuple(f"invoke.{suffix}" for suffix in SUFFIXES)
"""The names under which a project's configuration is looked for."""


class Configuration(Config):
    """Invoke's configuration from YAML, JSON and the environment."""

    def set_runtime_path(self, path: PathLike[str] | None) -> None:
        """Set the configuration file that `--config` names; refuse one in Python."""
        if path and str(path).endswith(".py"):
            raise failure(f"cannot load {path}: configuration in Python is unsupported; write it as YAML", MISUSE)
        super().set_runtime_path(path)

    def _load_py(self, path: str) -> dict[str, Any]:
        with suppress(PermissionError):
            if Path(path).exists():
                warn(f"{path} is ignored: configuration in Python is unsupported; write it as YAML")
        raise _missing(path)

    def _load_yaml(self, path: PathLike[str]) -> Any:
        self._refuse_foreign(Path(path))
        return super()._load_yaml(path)

    _load_yml = _load_yaml

    def _load_json(self, path: PathLike[str]) -> Any:
        self._refuse_foreign(Path(path))
        return super()._load_json(path)

    def _refuse_foreign(self, path: Path) -> None:
        """Refuse a file of the system or of the home directory that another user owns, such as after `su`."""
        is_in_project = self._project_prefix and str(path).startswith(self._project_prefix)
        if is_in_project or str(path) == str(self._runtime_path):
            return  # files of the project are checked with its directory, and the runtime file was named by the caller
        try:
            owner = path.stat().st_uid
        except PermissionError:  # such as in HOME=/root
            raise _missing(path) from None
        if owner not in trusted_users(os.environ) | {ROOT}:
            raise failure(f"cannot use {path}: it belongs to {user_name(owner)}; remove it, or set HOME", MISUSE)


def _missing(path: str | Path) -> FileNotFoundError:
    """Invoke looks for the next file after this error."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
