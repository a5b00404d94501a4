"""Translate Compose's options before the command, such as `-f`, into Compose's variables.

Compose reads these variables, and so do all processes that are started from here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.parser.argument import Argument

from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Mapping

SEPARATORS = (os.pathsep, "|", ";", "\n")
NAMES = ("file", "project-name", "env-file", "profile", "project-directory")
FLAGS = ("-f", "-p", *(f"--{name}" for name in NAMES[2:]))


@dataclass(frozen=True)
class ComposeOptions:
    """The options as they were typed."""

    files: tuple[str, ...] = ()
    project: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    directory: str = ""

    @classmethod
    def parsed(cls, arguments: Mapping[str, Argument]) -> ComposeOptions:
        """Return the options from the parsed arguments."""
        files, project, env_files, profiles, directory = (arguments[name].value for name in NAMES)
        return cls(tuple(files), project or "", tuple(env_files), tuple(profiles), directory or "")

    def words(self) -> list[str]:
        """Return the options as they can be typed."""
        values = (self.files, self.project, self.env_files, self.profiles, self.directory)
        pairs = zip(FLAGS, ((value,) if isinstance(value, str) else value for value in values), strict=True)
        return [word for flag, names in pairs for name in names if name for word in (flag, name)]

    def project_directory(self, here: Path) -> Path | None:
        """Return the directory that the options choose, as Compose does: that of the first file; None without any.

        Raises `MisuseError` if `--project-directory` is another one.
        """
        chosen = _absolute(here, self.directory) if self.directory else None
        if not self.files:
            return chosen
        first = _absolute(here, self.files[0]).parent
        if chosen not in {None, first}:
            why = f"the project directory is that of the first file, {first}"
            raise MisuseError(f"cannot use --project-directory {self.directory}: {why}. Omit --project-directory")
        return first

    def variables(self, here: Path) -> dict[str, str]:
        """Return Compose's variables; relative paths are relative to `here`."""
        values = {"COMPOSE_PROJECT_NAME": self.project, "COMPOSE_PROFILES": ",".join(self.profiles)}
        if self.env_files:
            values["COMPOSE_ENV_FILES"] = ",".join(_existing(here, "--env-file", name) for name in self.env_files)
        if self.files:
            paths = [_existing(here, "--file", name) for name in self.files]
            separator = next(mark for mark in SEPARATORS if not any(mark in path for path in paths))
            values |= {"COMPOSE_FILE": separator.join(paths), "COMPOSE_PATH_SEPARATOR": separator}
        return {name: value for name, value in values.items() if value}


def arguments() -> list[Argument]:
    """Return the options for Invoke's parser."""
    return [
        Argument(names=("file", "f"), kind=list, help="Read this Compose file (repeatable)"),
        Argument(names=("project-name", "p"), help="Set the name of the stack"),
        Argument(names=("env-file",), kind=list, help="Read this file instead of .env (repeatable)"),
        Argument(names=("profile",), kind=list, help="Enable this profile (repeatable)"),
        Argument(names=("project-directory",), help="Use this directory (default: that of the first file)"),
    ]


def _absolute(here: Path, name: str) -> Path:
    return Path(os.path.normpath(here / name))


def _existing(here: Path, option: str, name: str) -> str:
    path = _absolute(here, name)
    if name == "-":
        raise MisuseError(f"cannot read {option} -: the Compose file is read more than once. Write it to a file")
    if not path.is_file():
        why = "it is not a regular file" if path.exists() else "no such file"
        raise MisuseError(f"cannot read {option} {name}: {why}. Name a file that exists")
    if option == "--env-file" and "," in str(path):
        raise MisuseError(f"cannot read {option} {name}: Compose splits its path at the comma. Rename it")
    return str(path)
