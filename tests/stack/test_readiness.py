"""What a stack's door says of itself."""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from twelfth.engines.tcp import free
from twelfth.stack import readiness
from twelfth.stack.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def answering() -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """Give an address, and the list of what it answers next."""
    answers: list[tuple[int, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("X-Request-Id", "abc")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", answers
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, {"ready": True, "revision": "0002", "since": "now"}, Readiness(ready=True, revision="0002", since="now")),
        (503, {"error": "why", "pending": ["0001", "0002"]}, Readiness(why="why", lacking="0001, 0002")),
        (503, {"error": "Redis is away"}, Readiness(why="Redis is away")),
        (200, [], Readiness(ready=True)),
        (200, {"ready": True, "revision": None, "pending": []}, Readiness(ready=True)),
    ],
)
def test_answer_is_told(
    answering: tuple[str, list[tuple[int, bytes]]], status: int, body: object, said: Readiness
) -> None:
    """Ready or why not, and how the data stands."""
    address, answers = answering
    answers.append((status, json.dumps(body).encode()))

    assert replace(said, request="abc") == readiness.ask(address)


def test_foreign_answer_and_none_at_all_say_nothing(answering: tuple[str, list[tuple[int, bytes]]]) -> None:
    """Such as the page of a proxy."""
    address, answers = answering
    answers.append((503, b"<html>no server"))

    assert Readiness(request="abc") == readiness.ask(address)
    assert Readiness() == readiness.ask(f"127.0.0.1:{free('127.0.0.1')}")


@pytest.mark.parametrize(
    ("address", "url"),
    [("0.0.0.0:80", "http://127.0.0.1:80"), (":::80", "http://[::1]:80"), ("::1:80", "http://[::1]:80")],
)
def test_address_becomes_a_url_that_can_be_reached(address: str, url: str) -> None:
    """Every address means this machine."""
    assert url == readiness.url(address)
