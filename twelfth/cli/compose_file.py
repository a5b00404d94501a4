"""The refusal of `-f FILE`, which chooses a Compose file in Compose's own command line, and configures Invoke here."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SHORT, LONG = "-f", "--file"


def own_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line before `--`; those after it belong to the program of a run."""
    return list(itertools.takewhile(lambda word: word != "--", words))


def is_chosen(file: str, words: Sequence[str]) -> bool:
    """Return whether the file that Invoke takes for its configuration was given as `-f FILE`, not `--config FILE`."""
    own = own_words(words)
    configured = [after for word, after in itertools.pairwise(own) if word == "--config"]
    configured += [word.partition("=")[2] for word in own if word.startswith("--config=")]
    return bool(file) and file not in configured


def unknown_option(words: Sequence[str], known: Collection[str]) -> str:
    """Return `-f` or `--file` if one of them is there and the command that is read does not know it, else ""."""
    own = [word.partition("=")[0] for word in own_words(words)]
    return next((option for option in (LONG, SHORT) if option in own and option not in known), "")


def refusal(option: str, words: Sequence[str], commands: Collection[str], file: str = "") -> str:
    """Return what to type instead of an option that chooses a Compose file, or in `logs` follows it, in Compose.

    `file` is the file if the words do not name it, as in `-ef FILE`. No value of another option is shown.
    """
    own = own_words(words)
    chosen = [after for word, after in itertools.pairwise(own) if word in {SHORT, LONG}]
    command = next((word for word in own if word in commands and word not in chosen), "config")
    after = own[own.index(command) + 1 :] if command in own else []
    if command == "logs" and option == SHORT and SHORT in after:
        services = [word for word in after if not word.startswith("-")]
        return f"-f is not supported. Try: {shlex.join(['invoke', command, '--follow', *services[:1]])}"
    arguments = itertools.takewhile(lambda word: not word.startswith("-"), _without_option(after))
    typed = [shlex.join(["invoke", command, *arguments]), *(["-- …"] if "--" in words else [])]
    chosen += [match[1] for word in own if (match := re.fullmatch(r"(?:-f=?|--file=)(.+)", word, re.DOTALL))]
    where = shlex.quote(os.pathsep.join(chosen) or file or "FILE")
    why = "the Compose file is chosen by COMPOSE_FILE"
    return f"{option} is not supported: {why}. Try: COMPOSE_FILE={where} {' '.join(typed)}"


def _without_option(words: Sequence[str]) -> list[str]:
    values = [place + 1 for place, word in enumerate(words) if word in {SHORT, LONG}]
    rest = [word for place, word in enumerate(words) if place not in values]
    return [word for word in rest if not word.startswith((SHORT, f"{LONG}=")) and word != LONG]
