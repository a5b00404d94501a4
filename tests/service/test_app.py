"""Which request gets which answer, on a counter in a fake Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fakeredis
import pytest

from service.counter import HIGHEST, Counter

if TYPE_CHECKING:
    from tests.service.conftest import Application


class BrokenCounter:
    """A counter with a defect."""

    def hit(self) -> int:
        """Fail as no one expects."""
        raise ZeroDivisionError


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

    assert '{"error": "404 Not Found"}' == app.ask("/x", accept="application/json").body


@pytest.mark.parametrize("foreign", [b"abc", b"", b" 1", b"1.5", b"\xff"])
def test_a_foreign_value_is_a_clear_error(
    app: Application, store: fakeredis.FakeRedis, caplog: pytest.LogCaptureFixture, foreign: bytes
) -> None:
    """500 says what the matter is and what to type, in the answer and in the log."""
    store.set("hits", foreign)
    reply = app.ask()

    assert (500, "Not counted: the key hits holds no integer; `invoke reset` sets it to 0.") == (
        reply.status,
        reply.body,
    )
    assert "the key hits holds no integer; `invoke reset` sets it to 0" in str(caplog.records[-1].args)


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
    """`/` and `/readyz` answer 503, `/healthz` 200; both recover with Redis."""
    store.connection_pool.connection_kwargs["server"].connected = False
    replies = {path: app.ask(path) for path in ("/", "/readyz", "/healthz")}
    store.connection_pool.connection_kwargs["server"].connected = True

    assert {"/": 503, "/readyz": 503, "/healthz": 200} == {path: reply.status for path, reply in replies.items()}
    assert "1" == replies["/"].headers["Retry-After"] == replies["/readyz"].headers["Retry-After"]
    assert "Hello World! 1 times." == app.ask().body


def test_an_outage_is_two_lines(app: Application, store: fakeredis.FakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    """However many hits fail: its reason, and that it is over."""
    server = store.connection_pool.connection_kwargs["server"]
    server.connected = False
    statuses = [app.ask().status for _ in range(3)]
    server.connected = True
    statuses += [app.ask().status for _ in range(2)]

    assert [503, 503, 503, 200, 200] == statuses
    assert ["hits fail", "hits are counted again"] == caplog.messages
    assert "connection error" in str(caplog.records[0].args)


def test_an_unexpected_error_reaches_the_server(application: type[Application]) -> None:
    """The server logs it with its traceback, and responds with 500."""
    app = application(BrokenCounter())  # type: ignore[arg-type]

    with pytest.raises(ZeroDivisionError):
        app.ask()
