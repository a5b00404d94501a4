"""The application: which request gets which answer."""

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIApplication

import bottle  # type: ignore[import-untyped]

from service.counter import Counter, NoIntegerError
from service.json_log import JsonLog
from service.middleware import ERROR, HITS, TARGET, asked_path, log_requests
from service.negotiation import prefers_json
from twelfth_redis.errors import RedisToolError, UnavailableError
from twelfth_redis.schema.revisions import pending


@dataclass(frozen=True)
class Answer:
    """What is answered: a text, the same as a value for JSON, and what the request's line in the log holds of it."""

    status: int
    text: str
    value: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)
    log_fields: Mapping[str, object] = field(default_factory=dict)


CHECKED_SECONDS = 2.0
"""Whoever did not ask `/healthz` for so long is no door, which asks several times a second."""


class Liveness:
    """What `/healthz` tells. A process that is checked says that it is leaving before it stops taking requests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = float("-inf")
        self._leaving = False
        self.was_ready = False

    def ask(self) -> bool:
        """Return whether the process goes on living."""
        self._asked = self._clock()
        return not self._leaving

    def leave(self) -> bool:
        """Say from now on that it is leaving; return whether anybody asked lately, who is to hear of it."""
        self._leaving = True
        return self._clock() - self._asked < CHECKED_SECONDS


COUNTED = "twelfth.counted"
"""Where the server leaves, in the environment of a hit, what became of it when it counted it together with others."""


def is_hit(method: str, target: str) -> bool:
    """Return whether a request with that method and target is a hit."""
    return method == "GET" and asked_path(target) == "/"


def create_app(counter: Counter, log: JsonLog, needed: tuple[str, ...], liveness: Liveness) -> WSGIApplication:
    """Return the application that counts with `counter`; its lines go to `log`, and it signs as the replica of that.

    `needed` are the revisions without which it is not ready; `liveness` knows when it is stopping.
    """
    app = bottle.Bottle()
    app.config["catchall"] = False  # what escapes goes to the log, not on a page
    app.default_error_handler = _refusal

    def remembered(answer: Answer) -> Answer:
        if answer.status == HTTPStatus.OK:
            liveness.was_ready = True
        return answer

    routes: dict[str, Callable[[], Answer]] = {
        "/": lambda: remembered(hit(counter, bottle.request.environ.get(COUNTED))),
        "/healthz": lambda: alive(liveness),
        "/readyz": lambda: remembered(ready(counter, needed)),
    }
    app.add_hook("before_request", lambda: _insist_on_a_path(routes.keys()))
    for path, decide in routes.items():
        app.route(path, "GET", lambda decide=decide: _body(decide()))
    # Bottle answers HEAD with the GET route, which would count.
    app.route("/", "HEAD", lambda: _body(Answer(200, "", {})))
    return log_requests(app, log)


def hit(counter: Counter, outcome: int | Exception | None = None) -> Answer:
    """Answer a hit with its number, or with why there is none; count it where no `outcome` is there yet."""
    match counter.hits(1)[0] if outcome is None else outcome:
        case int(number):
            return Answer(200, f"Hello World! {number} times.", {"hits": number}, log_fields={HITS: number})
        case UnavailableError() as error:
            return _away(error)
        case NoIntegerError() as error:
            return Answer(500, f"Not counted: {error}.", {"error": str(error)}, log_fields={ERROR: str(error)})
        case unforeseen:
            raise unforeseen


def alive(liveness: Liveness) -> Answer:
    """Answer that the process lives, and whether it was ready once; that it is not there where it is leaving."""
    if not liveness.ask():
        return Answer(404, "Stopping.", {"error": "Stopping"})
    return Answer(200, "ok", {"ok": True}, {"X-Was-Ready": "yes"} if liveness.was_ready else {})


def ready(counter: Counter, needed: tuple[str, ...]) -> Answer:
    """Answer whether a hit could be counted now, on data that has the revisions that this release needs.

    Revisions beyond those are fine: newer data must serve older releases (docs/migrations.md).
    """
    try:
        schema = counter.schema()
    except (UnavailableError, NoIntegerError) as error:
        return _away(error)
    missing = pending(needed, schema.revisions)
    known = {"revision": max(schema.revisions, default=""), "since": schema.since, "pending": list(missing)}
    if schema.unfinished:
        known["unfinished"] = schema.unfinished
    if missing:
        why = f"The data lacks revision {', '.join(missing)}; try: invoke migrate"
        return Answer(503, f"{why}.", {"error": why, **known}, {"Retry-After": "1"}, {ERROR: why})
    return Answer(200, "ready", {"ready": True, **known})


def _insist_on_a_path(known: Collection[str]) -> None:
    """Refuse what waitress and Bottle would bend into a path of ours: both decode, and drop what they do not like."""
    if asked_path(bottle.request.environ[TARGET]) not in known:
        raise bottle.HTTPError(404)


def _away(error: RedisToolError) -> Answer:
    why = "Redis is away; try again in a second"  # the details are the operator's business: they are in the log
    return Answer(503, f"{why}.", {"error": why}, {"Retry-After": "1"}, {ERROR: str(error)})


def _refusal(error: Any) -> bytes:  # noqa: ANN401 - bottle.HTTPError
    """Return the body of an answer that no route gave, such as 404 and 405."""
    why = {404: "Not found; GET / counts a hit", 405: "Only GET counts a hit"}.get(error.status_code, error.status_line)
    return _body(Answer(error.status_code, f"{why}.", {"error": why}))


def _body(answer: Answer) -> bytes:
    """Return the representation that the client prefers, and say in the headers of the response which one it is."""
    bottle.request.environ.update(answer.log_fields)
    as_json = prefers_json(bottle.request.environ.get("HTTP_ACCEPT", ""))
    response = bottle.response
    response.status = answer.status
    headers = response.headers
    headers["Content-Type"] = "application/json" if as_json else "text/plain; charset=utf-8"
    headers["Cache-Control"] = "no-store"
    headers["Vary"] = "Accept"
    headers.update(answer.headers)
    return (json.dumps(answer.value) if as_json else answer.text).encode()
