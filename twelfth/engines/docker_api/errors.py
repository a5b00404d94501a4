"""Turn the Docker SDK's errors into one line with the next command to type."""

from __future__ import annotations

import contextlib
import http.client
import re
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions
from docker.errors import APIError, DockerException, NotFound

from twelfth.errors import BusyError, EngineError, NoLogError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFLICT = 409
NOT_IMPLEMENTED = 501
"""The daemon's status for a log that it sends elsewhere and cannot read."""

LENGTH = 200
"""The most characters of a daemon's message that are shown."""


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    """Ignore the error for a missing container, image, network or volume."""
    with contextlib.suppress(NotFound):
        yield


GONE = "the Docker daemon went away ({}); try: docker version"


@contextlib.contextmanager
def docker_errors(doing: str = "docker", gone: str = GONE) -> Iterator[None]:
    """Raise `EngineError` or `BusyError` for the SDK's errors.

    `doing` starts the message. `gone` is the message, with a place for the cause, if the connection breaks.
    """
    try:
        yield
    except APIError as error:
        explanation = str(error.explanation or error)
        if refused := unpublished(explanation):
            raise EngineError(refused) from error
        text = one_line(explanation)
        if error.status_code == CONFLICT:
            raise BusyError(
                f"docker: {text}; let what is at work on this stack finish, then repeat the command"
            ) from error
        kind = NoLogError if error.status_code == NOT_IMPLEMENTED else EngineError
        raise kind(f"{doing}: {text}; {advice(text)}") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise EngineError(gone.format(cause(error))) from error
    except DockerException as error:
        raise EngineError(f"docker: {one_line(str(error))}; try: docker version") from error


def unpublished(text: str) -> str:
    """Return the error for a port that the daemon could not publish, or "" for any other message.

    The words around the address and the cause differ between versions of the daemon.
    """
    address = _ADDRESS.search(text) if _UNPUBLISHED.search(text) else None
    if address is None:
        return ""
    why = one_line(text.rpartition(": ")[2])
    hint = "stop what listens there, or publish another port, then: invoke up"
    return f"cannot publish {address[0]} on the Docker daemon's machine: {why}; {hint}"


_UNPUBLISHED = re.compile("external connectivity|bind host port|Bind for")
_ADDRESS = re.compile(r"(?:[0-9]+(?:\.[0-9]+){3}|\[[0-9a-f:.]+\]):[0-9]+")


def no_daemon(where: str, error: Exception) -> str:
    """Return the error if no daemon answers."""
    if "Permission denied" in str(error):
        why = f"no permission to use the Docker daemon at {where}"
        return f"{why}. Join the group docker, then try again"
    return f"no Docker daemon answers at {where}. Start it, then try again"


def cause(error: BaseException) -> str:
    """Return the original cause of a connection's error, which HTTP libraries wrap several times."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke off"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return one_line(getattr(error, "strerror", None) or str(error))


def advice(text: str) -> str:
    """Return a hint for a daemon's message."""
    return next((hint for words, hint in HINTS if any(word in text for word in words)), "fix that, then: invoke up")


HINTS = (
    (("no space left",), "free some (docker system df), then: invoke up"),
    (("requires BuildKit",), "install docker buildx for BuildKit, then: invoke up"),
    (("unknown instruction",), "fix that (what only BuildKit knows needs docker buildx), then: invoke up"),
    (("No such image",), "invoke up builds it"),
    (
        ("pull", "registry", "lookup", "dial tcp", "manifest"),
        "without a registry, declare images that this machine has (docker images), then: invoke up",
    ),
)


def one_line(text: str, length: int = LENGTH) -> str:
    """Return a message on one line, shortened to `length`."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
