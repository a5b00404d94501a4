"""What `/readyz` makes of the revisions that the data has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import fakeredis
import pytest

from service.counter import Counter
from twelfth_redis.keys import HISTORY

if TYPE_CHECKING:
    from tests.service.conftest import Application


@pytest.fixture
def store() -> fakeredis.FakeRedis:
    """Give an empty store."""
    return fakeredis.FakeRedis(server=fakeredis.FakeServer())


@pytest.fixture
def app(application: type[Application], store: fakeredis.FakeRedis) -> Application:
    """Give an application that needs two revisions."""
    return application(Counter(store), ("0001", "0002"))


@pytest.mark.parametrize(
    ("applied", "missing"),
    [([], "0001, 0002"), (["0001"], "0002"), (["0002", "0003"], "0001")],
)
def test_without_a_revision_that_it_needs_it_is_not_ready(
    app: Application, store: fakeredis.FakeRedis, applied: list[str], missing: str
) -> None:
    """503 by name, with what to type and when to ask again."""
    for revision in applied:
        store.hset(HISTORY, revision, "{}")
    reply = app.ask("/readyz")

    assert (503, "1") == (reply.status, reply.headers["Retry-After"])
    assert f"The data lacks revision {missing}; try: invoke migrate." == reply.body


@pytest.mark.parametrize("more", [[], ["0003"]], ids=["as it needs", "more than it needs"])
def test_with_all_that_it_needs_it_is_ready(app: Application, store: fakeredis.FakeRedis, more: list[str]) -> None:
    """Newer data serve older releases; JSON tells the revision, and since when it counts."""
    for revision in ("0001", "0002", *more):
        store.hset(HISTORY, revision, "{}")
    store.set("hits:since", "2026-11-23T22:00:00+00:00")
    reply = app.ask("/readyz", accept="application/json")

    assert 200 == reply.status
    assert json.loads(reply.body) == {
        "ready": True,
        "revision": (["0002", *more])[-1],
        "since": "2026-11-23T22:00:00+00:00",
        "pending": [],
    }


def test_a_record_that_is_none_is_not_ready(app: Application, store: fakeredis.FakeRedis) -> None:
    """503, and no traceback."""
    store.set(HISTORY, "x")

    assert 503 == app.ask("/readyz").status


def test_it_counts_all_the_same(app: Application) -> None:
    """A proxy sends no requests to a service that is not ready; those that arrive are counted."""

    assert "Hello World! 1 times." == app.ask().body
