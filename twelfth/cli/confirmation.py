"""Ask before data is replaced."""

from __future__ import annotations

import sys

from invoke.exceptions import Exit

from twelfth.cli.command import FAILED
from twelfth.errors import MisuseError
from twelfth.runs import descriptors


def confirm(question: str) -> None:
    """Ask on the terminal; exit with 1 if the answer is not yes, with 2 if there can be no answer."""
    if why := _why_unanswerable():
        raise MisuseError(f"cannot ask for confirmation: {why}. To continue without a question: --yes")
    if answer(f"{question} [y/N] ") not in {"y", "yes"}:
        raise Exit("twelfth: nothing was changed", FAILED)


def is_answerable() -> bool:
    """Return whether a question can be asked on the terminal."""
    return not _why_unanswerable()


def answer(question: str) -> str:
    """Ask on the terminal, and return the answer in lower case."""
    print(question, end="", flush=True)
    reply = descriptors.read(sys.stdin.fileno()).decode(errors="replace")  # waits if non-blocking, unlike `input`
    return reply.strip().lower()


def _why_unanswerable() -> str:
    for name, stream in (("input", sys.stdin), ("output", sys.stdout)):
        if not (stream and stream.isatty()):
            return f"standard {name} is not a terminal"
    return "this process is in the background" if descriptors.is_in_background(sys.stdin.fileno()) else ""
