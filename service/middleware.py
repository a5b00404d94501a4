"""What every request gets, whatever answers it: an id, the name of the replica, one line in the log."""

import random
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from service.json_log import JsonLog
from twelfth_redis.errors import SettingsError

HITS, ERROR = "twelfth.hits", "twelfth.error"
"""Where the application leaves, in the environment of the request, what its line should hold."""

TARGET = "REQUEST_URI"
"""Where waitress leaves the request's target as it came; WSGI itself has no such thing."""

QUIET = frozenset({"/healthz", "/readyz"})
_ABSOLUTE = re.compile("https?://[^/?#]+", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LONGEST_PATH = 1024


def log_requests(application: WSGIApplication, log: JsonLog) -> WSGIApplication:
    """Return `application` with X-Served-By, X-Request-Id, and a line a request; checks are silent while all is well.

    What the application lets escape becomes a 500, its traceback a field of the line.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        identity = _request_id(environ)
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:  # noqa: ANN401
            statuses.append(status)
            return start_response(status, [*headers, ("X-Served-By", log.replica), ("X-Request-Id", identity)], *rest)

        try:
            body = application(environ, start)
        except Exception:  # noqa: BLE001 - the last line of defence
            environ[ERROR] = traceback.format_exc()
            body = _broken(start)
        _log_request(log, environ, identity, int(statuses[-1][:3]), time.perf_counter() - started)
        return body

    return answer


def read_replica(environment: Mapping[str, str]) -> str:
    """Return the name of this process among its like: REPLICA, else the host's name.

    Raises SettingsError where it would break a header, X-Served-By.
    """
    name = environment.get("REPLICA") or socket.gethostname()
    if not (name.isascii() and name.isprintable()):
        raise SettingsError(f"REPLICA must be printable ASCII, not {name[:40]!r}")
    return name


def asked_path(target: str) -> str:
    """Return the path of a request's target as it came, nothing of it decoded.

    A target in absolute form, as a proxy may send it, has its path behind the host (RFC 9112, section 3.2.2).
    """
    if absolute := _ABSOLUTE.match(target):
        return target[absolute.end() :].partition("?")[0] or "/"
    return target.partition("?")[0]


def _request_id(environ: WSGIEnvironment) -> str:
    """Return the caller's X-Request-Id where it is decent, so that one id follows a request from the door on."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _broken(start: Callable[..., object]) -> Iterable[bytes]:
    text = b"Something broke; the log has the details."
    start("500 Internal Server Error", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def _log_request(log: JsonLog, environ: WSGIEnvironment, identity: str, status: int, seconds: float) -> None:
    path = asked_path(environ[TARGET])
    if path in QUIET and status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return
    fields = {name: environ[key] for name, key in (("hits", HITS), ("error", ERROR)) if key in environ}
    log.note(
        "request",
        request_id=identity,
        method=environ["REQUEST_METHOD"],
        path=path[:_LONGEST_PATH],
        status=status,
        ms=round(seconds * 1000, 1),
        **fields,
    )
