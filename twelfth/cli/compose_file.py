"""The refusal of `-f FILE`, which chooses a Compose file in Compose's command line, and configures Invoke here."""

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
    typed = own_words(words)
    configured = [after for word, after in itertools.pairwise(typed) if word == "--config"]
    configured += [word.partition("=")[2] for word in typed if word.startswith("--config=")]
    return bool(file) and file not in configured


def unknown_option(words: Sequence[str], known: Collection[str]) -> str:
    """Return `-f` or `--file` if the command line has one of them and the command does not know it, else ""."""
    typed = [word.partition("=")[0] for word in own_words(words)]
    return next((option for option in (LONG, SHORT) if option in typed and option not in known), "")


def refusal(option: str, words: Sequence[str], file: str = "") -> str:
    """Return what to type instead of an option that chooses a Compose file, or in `logs` follows it, in Compose.

    `file` is the file if the words do not name it, as in `-ef FILE`. No value of another option is shown.
    """
    typed = own_words(words)
    if option == SHORT and "logs" in typed and SHORT in typed[typed.index("logs") :]:
        return "-f is not supported. Try: invoke logs --follow"
    files = [after for word, after in itertools.pairwise(typed) if word in {SHORT, LONG}]
    files += [match[1] for word in typed if (match := re.fullmatch(r"(?:-f=?|--file=)(.+)", word, re.DOTALL))]
    value = shlex.quote(os.pathsep.join(files) or file or "FILE")
    return f"{option} is not supported: COMPOSE_FILE chooses the Compose file. Try: COMPOSE_FILE={value} invoke config"
