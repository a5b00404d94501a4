"""The application: which request gets which response."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

import bottle  # type: ignore[import-untyped]

from service.counter import Counter, NoIntegerError
from twelfth_redis.errors import RedisToolError, UnavailableError
from twelfth_redis.schema.revisions import pending

CHECKED_SECONDS = 2.0  # a process whose `/healthz` was not requested for so long has no proxy, which checks it often
_HOST = re.compile("https?://[^/?#]+", re.IGNORECASE)
_LOG = logging.getLogger("service")


class Answer(NamedTuple):
    """A response as text and as JSON; `reason` is for the operator, as it may name addresses and users."""

    status: int
    text: str
    value: Mapping[str, object]
    headers: Mapping[str, str] = {}
    reason: str = ""


class App:
    """The WSGI application; it is ready if the data has the `required` revisions, and `replica` signs responses."""

    def __init__(self, counter: Counter, required: tuple[str, ...], replica: str) -> None:
        self.replica, self._counter, self._required = replica, counter, required
        self._headers = [("Cache-Control", "no-store"), ("X-Served-By", replica)]
        self.in_flight, self.last_finished = set[int](), 0.0
        self._was_ready, self._is_failing, self._is_stopping, self._checked = False, False, False, float("-inf")
        self._bottle = bottle.Bottle()
        self._bottle.config["catchall"] = False  # waitress logs an exception, and responds with 500
        self._bottle.get("/", callback=self._hit)
        self._bottle.route("/", "HEAD", lambda: _body(Answer(200, "", {})))  # Bottle would call the GET route
        self._bottle.get("/healthz", callback=self._alive)
        self._bottle.get("/readyz", callback=self._ready)
        self._bottle.default_error_handler = _refuse

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a request, by its target as it was sent: waitress and Bottle decode it, and only `/` may count."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:  # noqa: ANN401 - exc_info
            return start_response(status, headers + self._headers, *error)

        environ["PATH_INFO"] = path = _path(environ["REQUEST_URI"])
        self.in_flight.add(thread := threading.get_ident())
        try:
            return self._bottle(environ, start)  # type: ignore[no-any-return]
        finally:
            self.in_flight.discard(thread)
            if path != "/healthz":  # a proxy sends these until the end
                self.last_finished = time.monotonic()

    def stop(self) -> bool:
        """Fail checks from now on; return whether a proxy checks this process."""
        self._is_stopping = True
        return time.monotonic() - self._checked < CHECKED_SECONDS

    def _hit(self) -> bytes:
        try:
            number = self._counter.hit()
        except NoIntegerError as error:
            answer = Answer(500, f"Not counted: {error}.", {"error": str(error)}, reason=str(error))
        except UnavailableError as error:
            answer = _unavailable(error)
        else:
            answer = Answer(200, f"Hello World! {number} times.", {"hits": number})
        if self._is_failing != bool(answer.reason):  # an outage is two lines in the log, however many hits fail
            self._is_failing = bool(answer.reason)
            _LOG.warning("hits fail" if answer.reason else "hits are counted again", {"reason": answer.reason})
        return _body(answer)

    def _ready(self) -> bytes:
        answer = ready(self._counter, self._required)
        self._was_ready |= answer.status == HTTPStatus.OK
        return _body(answer)

    def _alive(self) -> bytes:
        self._checked = time.monotonic()
        if self._is_stopping:
            return _body(Answer(404, "Stopping.", {"error": "Stopping"}))
        return _body(Answer(200, "ok", {"ok": True}, {"X-Was-Ready": "yes"} if self._was_ready else {}))


def ready(counter: Counter, required: tuple[str, ...]) -> Answer:
    """Answer whether a hit could be counted now, on data with the required revisions or more (docs/migrations.md)."""
    try:
        revisions, since, unfinished = counter.schema()
    except (UnavailableError, NoIntegerError) as error:
        return _unavailable(error)
    missing = pending(required, revisions)
    state = {"revision": max(revisions, default=""), "since": since, "pending": list(missing)}
    state |= {"unfinished": unfinished} if unfinished else {}
    if missing:
        why = f"The data lacks revision {', '.join(missing)}; try: invoke migrate"
        return Answer(503, f"{why}.", {"error": why, **state}, {"Retry-After": "1"}, why)
    return Answer(200, "ready", {"ready": True, **state})


def _body(answer: Answer) -> bytes:
    as_json = "application/json" in bottle.request.environ.get("HTTP_ACCEPT", "")
    response = bottle.response
    if answer.status != HTTPStatus.OK:
        response.status = answer.status
    response.headers["Content-Type"] = "application/json" if as_json else "text/plain; charset=utf-8"
    for name, value in answer.headers.items():
        response.headers[name] = value
    return (json.dumps(answer.value) if as_json else answer.text).encode()


def _refuse(error: Any) -> bytes:  # noqa: ANN401 - bottle.HTTPError
    return _body(Answer(error.status_code, f"{error.status_line}.", {"error": error.status_line}))


def _unavailable(error: RedisToolError) -> Answer:
    why = "Redis is away; try again in a second"
    return Answer(503, f"{why}.", {"error": why}, {"Retry-After": "1"}, str(error))


def _path(target: str) -> str:
    """Return the path of a target, which may name a host (RFC 9112, section 3.2.2); no route has what is escaped."""
    host = _HOST.match(target)
    path = target[host.end() if host else 0 :].partition("?")[0]
    return path.encode("ascii", "backslashreplace").decode() or "/"
