"""Answer commands of Compose that twelfth does not have with the command to type."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

INSTEAD = {
    "create": "invoke up",
    "images": "invoke releases",
    "version": "invoke --version",
}
"""What twelfth has instead, by the command of Compose."""

OF_COMPOSE = {
    *("attach", "commit", "cp", "events", "export", "kill", "ls", "pause", "port", "push", "rm"),
    *("stats", "top", "unpause", "volumes", "watch"),
}
"""The commands that Compose executes on the containers of a stack, also if twelfth has created them."""


def answer(word: str, words: Sequence[str]) -> str:
    """Return the error for an unknown command that Compose has, with the command to type; "" for any other word.

    `words` are those of the command line. They are repeated only without a `NAME=VALUE`, which may be a secret.
    """
    if word in INSTEAD:
        return f"there is no command {word}. Try: {INSTEAD[word]}"
    if word not in OF_COMPOSE:
        return ""
    typed = [*words[words.index(word) :]] if word in words else [word]
    typed = [word, "--help"] if any("=" in part for part in typed) else [part for part in typed if part != "--"]
    return f"there is no command {word}. Try: docker compose {shlex.join(typed)}"


def answer_to_service(command: str, word: str) -> str:
    """Return the error for a word after `up` or `down`, which take no services; "" for any other command."""
    if command == "up":
        return f"up takes no {word}: it deploys the whole stack, and replaces only what has changed. Try: invoke up"
    if command == "down":
        return f"down takes no {word}: it removes the whole stack. Try: invoke stop {shlex.quote(word)}"
    return ""
