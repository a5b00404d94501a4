"""A web application that counts its hits in Redis."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import redis
import waitress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

store = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request."""
    path = environ["PATH_INFO"]
    if path not in {"/", "/healthz"}:
        return _answer(start_response, "404 Not Found", "not found\n")
    try:
        text = f"Hello World! {store.incr('hits')} times.\n" if path == "/" else f"{store.ping()}\n"
    except redis.RedisError as error:
        return _answer(start_response, "503 Service Unavailable", f"Redis: {error}\n")
    return _answer(start_response, "200 OK", text)


def _answer(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain")])
    return [text.encode()]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waitress.serve(application, host=os.environ.get("HOST", "0.0.0.0"), port=int(os.environ.get("PORT", "8000")))
