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
"""Commands of Compose that also work on containers that twelfth has created."""


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


OPTIONS = {
    "build --no-cache": "a release is built once. For the next one, set build.no_cache: true in the Compose file",
    "build --pull": "a release is built once. For the next one, set build.pull: true in the Compose file",
    "down --rmi": "rollback needs the images of releases. Try: invoke prune",
    "down --timeout": "each service has a grace period. Set stop_grace_period in the Compose file",
    "logs --no-color": "its output has no colors. Omit --no-color",
    "logs --timestamps": "lines have no timestamps. Try: docker compose logs --timestamps",
    "ps --services": "it lists replicas and runs. Try: invoke config --services",
    "run --no-deps": "a run never starts a service. Omit --no-deps",
    "run --rm": "the container keeps the output of the run, and later runs remove it. Omit --rm",
    "up --force-recreate": "it replaces only what has changed. Try: invoke restart",
    "up --no-build": "it builds only what is missing. To deploy a release without a build: invoke up --release ID",
    "up --no-deps": "what a service depends on is replaced only if it has changed. Omit --no-deps",
}
"""Why twelfth does not have an option of Compose, and what to type instead."""

SHORT_OPTIONS = {"down -t": "down --timeout", "logs -t": "logs --timestamps"}


def answer_to_option(command: str, option: str) -> str:
    """Return the error for an option of Compose that a command does not have, "" for any other."""
    name = option.partition("=")[0]
    key = f"{command} {name}"
    why = OPTIONS.get(SHORT_OPTIONS.get(key, key))
    return f"{command} has no option {name}: {why}" if why else ""


def answer_to_service(command: str, word: str) -> str:
    """Return the error for a word after `build` or `down`, which take no services; "" for any other command."""
    if command == "build":
        return f"build {word} is not supported: a release has the images of all services. Try: invoke build"
    if command == "down":
        return f"down {word} is not supported: down removes the whole stack. Try: invoke stop {shlex.quote(word)}"
    return ""
