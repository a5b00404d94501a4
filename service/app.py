"""The application: which request gets which answer (DESIGN section 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import bottle  # type: ignore[import-untyped]

from service.counter import Counter, NoIntegerError
from service.middleware import ERROR, HITS, asked_path, log_requests
from service.negotiation import prefers_json
from twelfth_redis.errors import UnavailableError
from twelfth_redis.schema.revisions import pending

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from wsgiref.types import WSGIApplication

    from service.json_log import JsonLog


@dataclass(frozen=True)
class Answer:
    """What is answered: a text, the same as a value for JSON, and what the request's line in the log holds of it."""

    status: int
    text: str
    value: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)
    log_fields: Mapping[str, object] = field(default_factory=dict)


def create_app(counter: Counter, replica: str, log: JsonLog, needed: tuple[str, ...]) -> WSGIApplication:
    """Return the application that counts with `counter` and signs as `replica`; its lines go to `log`.

    `needed` are the revisions without which it is not ready.
    """
    app = bottle.Bottle()
    app.config["catchall"] = False  # what escapes goes to the log, not on a page
    app.default_error_handler = _refusal
    was_ready: list[bool] = []

    def remembered(answer: Answer) -> Answer:
        if answer.status == HTTPStatus.OK and not was_ready:
            was_ready.append(True)
        return answer

    routes: dict[str, Callable[[], Answer]] = {
        "/": lambda: remembered(hit(counter)),
        "/healthz": lambda: Answer(200, "ok", {"ok": True}, {"X-Was-Ready": "yes"} if was_ready else {}),
        "/readyz": lambda: remembered(ready(counter, needed)),
    }
    app.add_hook("before_request", lambda: _insist_on_a_path(routes.keys()))
    for path, decide in routes.items():
        app.route(path, "GET", lambda decide=decide: _response(decide()))
    # Bottle answers HEAD with the GET route, which would count.
    app.route("/", "HEAD", lambda: _response(Answer(200, "", {})))
    return log_requests(app, replica, log)


def hit(counter: Counter) -> Answer:
    """Count one hit and answer with its number, or with why there is none."""
    try:
        number = counter.hit()
    except UnavailableError as error:
        return _away(error)
    except NoIntegerError as error:
        return Answer(500, f"Not counted: {error}.", {"error": str(error)}, log_fields={ERROR: str(error)})
    return Answer(200, f"Hello World! {number} times.", {"hits": number}, log_fields={HITS: number})


def ready(counter: Counter, needed: tuple[str, ...]) -> Answer:
    """Answer whether a hit could be counted now, on data that has the revisions that this release needs.

    Revisions beyond those are fine: newer data must serve older releases (docs/migrations.md).
    """
    try:
        schema = counter.schema()
    except (UnavailableError, NoIntegerError) as error:
        return _away(UnavailableError(str(error)))
    missing = pending(needed, schema.revisions)
    known = {"revision": max(schema.revisions, default=""), "since": schema.since, "pending": list(missing)}
    if missing:
        why = f"The data lacks revision {', '.join(missing)}; try: invoke migrate"
        return Answer(503, f"{why}.", {"error": why, **known}, {"Retry-After": "1"}, {ERROR: why})
    return Answer(200, "ready", {"ready": True, **known})


def _insist_on_a_path(known: Collection[str]) -> None:
    """Refuse what waitress and Bottle would bend into a path of ours: both decode, and drop what they do not like."""
    if asked_path(bottle.request.environ) not in known:
        raise bottle.HTTPError(404)


def _away(error: UnavailableError) -> Answer:
    why = "Redis is away; try again in a second"  # the details are the operator's business: they are in the log
    return Answer(503, f"{why}.", {"error": why}, {"Retry-After": "1"}, {ERROR: str(error)})


def _refusal(error: Any) -> bytes:  # noqa: ANN401 - bottle.HTTPError
    """Return the body of an answer that no route gave, such as 404 and 405."""
    why = {404: "Not found; GET / counts a hit", 405: "Only GET counts a hit"}.get(error.status_code, error.status_line)
    return _body(bottle.response, Answer(error.status_code, f"{why}.", {"error": why}))


def _response(answer: Answer) -> Any:  # noqa: ANN401 - bottle.HTTPResponse
    bottle.request.environ.update(answer.log_fields)
    response = bottle.HTTPResponse(status=answer.status, headers=dict(answer.headers))
    response.body = _body(response, answer)
    return response


def _body(response: Any, answer: Answer) -> bytes:  # noqa: ANN401 - Bottle has no types
    """Return the representation that the client prefers, and say in the headers which one it is."""
    as_json = prefers_json(bottle.request.get_header("Accept", ""))
    response.set_header("Content-Type", "application/json" if as_json else "text/plain; charset=utf-8")
    response.set_header("Cache-Control", "no-store")
    response.set_header("Vary", "Accept")
    return (json.dumps(answer.value) if as_json else answer.text).encode()
