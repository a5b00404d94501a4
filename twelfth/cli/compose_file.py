"""Refuse `-f FILE` after a command, and under `invoke` also Compose's other options, with what to type instead."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from typing import TYPE_CHECKING

from twelfth.hints import program

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SHORT, LONG = "-f", "--file"
VARIABLES = {
    "--env-file": "COMPOSE_ENV_FILES",
    "--profile": "COMPOSE_PROFILES",
    "--project-name": "COMPOSE_PROJECT_NAME",
}
"""The variables that replace options of Compose under `invoke`."""


def words_before_dashes(words: Sequence[str]) -> list[str]:
    """Return the words of a command line before `--`; the words after it are for the program of a run."""
    return list(itertools.takewhile(lambda word: word != "--", words))


def is_chosen(file: str, words: Sequence[str]) -> bool:
    """Return whether Invoke's configuration file was given as `-f FILE` instead of `--config FILE`."""
    typed = words_before_dashes(words)
    configured = [value for word, value in itertools.pairwise(typed) if word == "--config"]
    configured += [word.partition("=")[2] for word in typed if word.startswith("--config=")]
    return bool(file) and file not in configured


def unknown_option(words: Sequence[str], known: Collection[str]) -> str:
    """Return `-f` or `--file` if the command line contains it and the command does not have that option, else ""."""
    typed = [word.partition("=")[0] for word in words_before_dashes(words)]
    return next((option for option in (LONG, SHORT) if option in typed and option not in known), "")


def refusal(option: str, words: Sequence[str], file: str = "", command: str = "config") -> str:
    """Return the error for a `-f` or `--file` that does not name a Compose file, with the command to type instead.

    `file` is the file if the words do not name it, as in `-ef FILE`. Values of other options are not shown.
    """
    typed = words_before_dashes(words)
    files = [value for word, value in itertools.pairwise(typed) if word in {SHORT, LONG}]
    files += [match[1] for word in typed if (match := re.fullmatch(r"(?:-f=?|--file=)(.+)", word, re.DOTALL))]
    files = files or [file or "FILE"]
    if program() == "twelfth":
        choice = " ".join(f"-f {shlex.quote(name)}" for name in files)
        return f"{option} comes before the command. Try: twelfth {choice} {command}"
    why = "COMPOSE_FILE chooses the Compose file"
    return f"{option} is not supported: {why}. Try: COMPOSE_FILE={shlex.quote(os.pathsep.join(files))} invoke {command}"


def refusal_of_option(option: str, words: Sequence[str]) -> str:
    """Return the error for an option of Compose that `invoke` does not have, "" for any other."""
    if option not in VARIABLES:
        return ""
    typed = words_before_dashes(words)
    pairs = itertools.pairwise([part for word in typed for part in re.split(f"(?<=^{option})=", word, maxsplit=1)])
    values = [value for word, value in pairs if word == option]
    variable = VARIABLES[option]
    hint = f"Try: {variable}={shlex.quote(','.join(values) or 'VALUE')} invoke config"
    return f"{option} is not supported: {variable} has the same effect. {hint}"
