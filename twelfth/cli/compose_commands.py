"""Answer commands of Compose that twelfth does not have with the command to type."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

INSTEAD = {
    "convert": "invoke config",
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
    if word == "help":
        names = [name for name in words[words.index(word) + 1 :] if not name.startswith("-")] if word in words else []
        return f"there is no command help. Try: {' '.join(['invoke --help', *names[:1]])}"
    if word in INSTEAD:
        return f"there is no command {word}. Try: {INSTEAD[word]}"
    if word not in OF_COMPOSE:
        return ""
    typed = [*words[words.index(word) :]] if word in words else [word]
    typed = [word, "--help"] if any("=" in part for part in typed) else [part for part in typed if part != "--"]
    return f"there is no command {word}. Try: docker compose {shlex.join(typed)}"


_GRACE = "each service has a grace period. Set stop_grace_period in the Compose file"

OPTIONS = {
    "build --no-cache": "a release is built once. For the next one, set build.no_cache: true in the Compose file",
    "build --pull": "a release is built once. For the next one, set build.pull: true in the Compose file",
    "config --format": "it prints YAML or JSON. Try: invoke config --json",
    "down --rmi": "rollback needs the images of releases. Try: invoke prune",
    "down --timeout": _GRACE,
    "down -t": _GRACE,
    "exec --detach": "it keeps no record. Try: invoke run --detach -- COMMAND",
    "exec -d": "it keeps no record. Try: invoke run --detach -- COMMAND",
    "logs --no-color": "its output has no colors. Omit --no-color",
    "logs --no-log-prefix": "lines start with the replica. Try: docker compose logs --no-log-prefix",
    "logs --timestamps": "lines have no timestamps. Try: docker compose logs --timestamps",
    "logs -t": "lines have no timestamps. Try: docker compose logs --timestamps",
    "ps --format": "it prints a table or JSON. Try: invoke ps --json",
    "ps --services": "it lists replicas and runs. Try: invoke config --services",
    "pull --ignore-pull-failures": "it always pulls the other images. Omit --ignore-pull-failures",
    "restart --timeout": _GRACE,
    "restart -t": _GRACE,
    "run --interactive": "input is always passed. Omit --interactive",
    "run --name": "a run has an id. Omit --name",
    "run --no-deps": "a run never starts a service. Omit --no-deps",
    "run --publish": "a run publishes no ports. Omit --publish",
    "run --rm": "the container keeps the output of the run, and later runs remove it. Omit --rm",
    "run --service-ports": "a run publishes no ports. Omit --service-ports",
    "run -P": "a run publishes no ports. Omit -P",
    "run -i": "input is always passed. Omit -i",
    "run -p": "a run publishes no ports. Omit -p",
    "start --wait": "it always waits. Omit --wait",
    "stop --timeout": _GRACE,
    "stop -t": _GRACE,
    "up --force-recreate": "it replaces only what has changed. Try: invoke restart",
    "up --no-build": "it builds only what is missing. To deploy a release without a build: invoke up --release ID",
    "up --no-deps": "what a service depends on is replaced only if it has changed. Omit --no-deps",
    "up --no-recreate": "it replaces only what has changed. Try: invoke start",
    "up --pull": "images are pulled separately. Try: invoke pull",
    "up --timeout": _GRACE,
    "up -t": _GRACE,
}
"""Why twelfth does not have an option of Compose, and what to type instead."""


def answer_to_option(command: str, option: str) -> str:
    """Return the error for an option of Compose that a command does not have, "" for any other."""
    name = option.partition("=")[0]
    why = OPTIONS.get(f"{command} {name}")
    return f"{command} has no option {name}: {why}" if why else ""


def answer_to_service(command: str, word: str, services: Collection[str] = ()) -> str:
    """Return the error for a word that a command does not take, such as a second service; "" for any other command.

    `services` are the names of the stack's services.
    """
    if command == "build":
        return f"build {word} is not supported: a release has the images of all services. Try: invoke build"
    if command == "down":
        return f"down {word} is not supported: down removes the whole stack. Try: invoke stop {shlex.quote(word)}"
    if command == "run":
        typed = f"--service {word} -- COMMAND" if word in services else f"-- {shlex.quote(word)} …"
        return f"run {word} is not supported: the command comes after --. Try: invoke run {typed}"
    return ""
