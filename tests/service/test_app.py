"""Which request gets which answer, on a counter in a fake Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fakeredis
import pytest

from service.counter import HIGHEST, Counter

if TYPE_CHECKING:
    from tests.service.conftest import Application


@pytest.fixture
def store() -> fakeredis.FakeRedis:
    """Give an empty store."""
    return fakeredis.FakeRedis(server=fakeredis.FakeServer())


@pytest.fixture
def app(application: type[Application], store: fakeredis.FakeRedis) -> Application:
    """Give the application on that store."""
    return application(Counter(store))


def test_a_hit_is_answered_with_the_sentence(app: Application) -> None:
    """The body is exactly the sentence, plain, not to be stored, signed by the replica."""
    app.ask()
    reply = app.ask()

    assert (200, "Hello World! 2 times.") == (reply.status, reply.body)
    assert "text/plain; charset=utf-8" == reply.headers["Content-Type"]
    assert ("no-store", "one") == (reply.headers["Cache-Control"], reply.headers["X-Served-By"])


def test_json_is_given_when_asked_for(app: Application) -> None:
    """The same hit as a value."""
    reply = app.ask(accept="application/json")

    assert ('{"hits": 1}', "application/json") == (reply.body, reply.headers["Content-Type"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("GET", "/favicon.ico", 404),
        ("GET", "/nowhere", 404),
        ("GET", "//", 404),
        ("POST", "/", 405),
        ("OPTIONS", "/", 405),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/\xff", 404),
    ],
)
def test_nothing_else_counts(app: Application, store: fakeredis.FakeRedis, method: str, path: str, status: int) -> None:
    """Only GET / is a hit."""

    assert status == app.ask(path, method).status
    assert store.get("hits") is None


def test_head_has_no_body(app: Application) -> None:
    """HEAD / tells the headers of a hit and no more."""

    assert "" == app.ask(method="HEAD").body


def test_a_wrong_method_is_told_the_right_ones(app: Application) -> None:
    """405 comes with Allow."""

    assert "GET,HEAD" == app.ask(method="DELETE").headers["Allow"]


def test_a_refusal_is_json_too_when_asked_for(app: Application) -> None:
    """404 has a short body in the form that the client prefers."""

    assert '{"error": "Not found; GET / counts a hit"}' == app.ask("/x", accept="application/json").body


@pytest.mark.parametrize("foreign", [b"abc", b"", b" 1", b"1.5", b"\xff"])
def test_a_foreign_value_is_a_clear_error(app: Application, store: fakeredis.FakeRedis, foreign: bytes) -> None:
    """500 says what the matter is and what to type, in the answer and in the log."""
    store.set("hits", foreign)
    reply = app.ask()

    assert (500, "Not counted: the key hits holds no integer; `invoke reset` sets it to 0.") == (
        reply.status,
        reply.body,
    )
    assert "the key hits holds no integer; `invoke reset` sets it to 0" == app.lines[-1]["error"]


def test_a_foreign_type_is_a_clear_error(app: Application, store: fakeredis.FakeRedis) -> None:
    """A list cannot be counted on either."""
    store.lpush("hits", 1)

    assert (500, True) == (app.ask().status, "holds no integer" in app.ask().body)


def test_the_end_of_64_bits_is_a_clear_error(app: Application, store: fakeredis.FakeRedis) -> None:
    """The last number is handed out; the next hit says that there is none."""
    store.set("hits", HIGHEST - 1)

    assert f"Hello World! {HIGHEST} times." == app.ask().body
    assert "Not counted: the key hits is at the end of 64 bits; `invoke reset` sets it to 0." == app.ask().body


def test_a_foreign_set_is_a_reset(app: Application, store: fakeredis.FakeRedis) -> None:
    """The chapter's own SET hits 0 works."""
    app.ask()
    store.set("hits", 0)

    assert "Hello World! 1 times." == app.ask().body


def test_redis_away_is_503_with_retry_after(app: Application, store: fakeredis.FakeRedis) -> None:
    """The count and the readiness say so, the liveness does not care, and all is well as soon as Redis is back."""
    store.connection_pool.connection_kwargs["server"].connected = False
    replies = {path: app.ask(path) for path in ("/", "/readyz", "/healthz")}
    store.connection_pool.connection_kwargs["server"].connected = True

    assert {"/": 503, "/readyz": 503, "/healthz": 200} == {path: reply.status for path, reply in replies.items()}
    assert "1" == replies["/"].headers["Retry-After"] == replies["/readyz"].headers["Retry-After"]
    assert "Hello World! 1 times." == app.ask().body


def test_a_hit_has_one_line(app: Application) -> None:
    """The line tells what was asked and answered, and the number that was handed out."""
    app.ask(x_request_id="abc-1")
    line = app.lines[0]
    expected = {
        "event": "request",
        "replica": "one",
        "request_id": "abc-1",
        "method": "GET",
        "path": "/",
        "status": 200,
    }

    assert 1 == len(app.lines)
    assert expected | {"hits": 1} == {name: line[name] for name in [*expected, "hits"]}
    assert line["ms"] >= 0


def test_checks_do_not_flood_the_log(app: Application) -> None:
    """A check is logged only when it fails."""
    app.ask("/healthz")
    app.ask("/readyz")

    assert [] == app.lines


def test_a_line_cannot_be_forged(app: Application) -> None:
    """Line breaks in a path stay within one line, and an indecent request id is replaced."""
    app.ask('/\n{"event": "forged"}', x_request_id='x"\n')

    assert ['/\n{"event": "forged"}'] == [line["path"] for line in app.lines]
    assert app.lines[0]["request_id"].isalnum()


def test_what_breaks_is_a_line_not_a_page(application: type[Application]) -> None:
    """An error that nobody foresaw is a short 500 to the client, and a traceback in the log."""
    app = application(None)  # type: ignore[arg-type]
    reply = app.ask()

    assert (500, "Something broke; the log has the details.") == (reply.status, reply.body)
    assert "AttributeError" in app.lines[0]["error"]
