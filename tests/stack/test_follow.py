"""A followed log continues with a service's new replicas, and is read no faster than its reader takes it."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.memory_engine import MemoryState, World
from twelfth.errors import EngineError, NoLogError
from twelfth.model.service import Service
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Stack
from twelfth.stack import follow
from twelfth.stack.follow import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from twelfth.engines.contract import Engine


@dataclass
class Logging:
    """An engine whose replicas come and go, each with a log."""

    stack: Stack
    here: dict[str, Callable[[], Iterator[bytes]]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    state: MemoryState = field(default_factory=lambda: MemoryState(World()))

    def replicas_of(self, services: Sequence[str]) -> tuple[Replica, ...]:
        """Return those of these services, or all."""
        replicas = [Replica(name[:-2], int(name[-1]), name, "running", {}) for name in self.here]
        return tuple(replica for replica in replicas if not services or replica.service in services)

    def logs(self, replica: Replica, **asked: Any) -> Iterator[bytes]:
        """Return the log of one."""
        self.asked.append({"id": replica.id} | asked)
        return self.here[replica.id]()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logging:
    """Return an engine, asked often."""
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(follow, "SETTLING", 0.3)
    return Logging(Stack("p", tmp_path, (Service("worker", "b"),)))


WEB = b"web-1    | two\n"


def follower(engine: Logging, *services: str, **begin: Any) -> Iterator[bytes]:
    """Return the lines of services, or of all."""
    replicas = engine.replicas_of(services)
    return Follower(cast("Engine", engine), services, lambda _: None, **begin).lines(replicas)


@pytest.mark.parametrize(("services", "others"), [(("worker",), []), (("web", "worker"), [WEB]), ((), [WEB])])
def test_log_goes_on_with_the_replicas_that_a_deploy_makes(
    engine: Logging, services: tuple[str, ...], others: list[bytes]
) -> None:
    """From their first line on, whatever part of the first ones was asked for; those of other services are left out."""

    def second(name: str) -> Iterator[bytes]:
        engine.here.pop(name)
        yield b"two\n"

    def first() -> Iterator[bytes]:
        yield b"one\n"
        del engine.here["worker-1"]
        engine.here |= {name: lambda name=name: second(name) for name in ("web-1", "worker-2")}  # type: ignore[misc]

    engine.here["worker-1"] = first
    first_line, *lines = follower(engine, *services, last=5)

    assert b"worker-1 | one\n" == first_line
    assert sorted([*others, b"worker-2 | two\n"]) == sorted(lines)
    assert [5, None, *[None for _ in others]] == [asked["last"] for asked in engine.asked]


def test_log_is_followed_as_long_as_a_deploy_is_under_way(engine: Logging) -> None:
    """A service that is replaced in place has no replica for a while."""

    def first() -> Iterator[bytes]:
        yield b"one\n"
        engine.here.clear()

    engine.here["worker-1"] = first
    lines = follower(engine)
    with engine.state.lock("up"):
        assert b"worker-1 | one\n" == next(lines)
        time.sleep(0.5)
        engine.here["worker-2"] = lambda: iter([b"two\n"])
        assert b"worker-2 | two\n" == next(lines)
    engine.here.clear()
    assert [] == list(lines)


def test_replica_that_is_started_again_is_followed_from_there(engine: Logging) -> None:
    """What it printed before is not repeated."""
    engine.here["worker-1"] = lambda: iter([b"one\n"])
    lines = follower(engine)
    assert [b"worker-1 | one\n"] * 2 == [next(lines), next(lines)]

    assert engine.asked[0]["since"] is None
    assert engine.asked[1]["since"] is not None
    lines.close()  # type: ignore[attr-defined]


def test_reader_that_stops_holds_up_the_log(engine: Logging) -> None:
    """Instead of growing without a bound."""
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        for number in itertools.count():
            taken.append(number)
            yield b"x" * 1000 + b"\n"

    engine.here["worker-1"] = endless
    lines = follower(engine)
    next(lines)
    time.sleep(0.5)

    assert len(taken) < 3 * follow.WAITING
    lines.close()  # type: ignore[attr-defined]


def test_log_that_fails_ends_all(engine: Logging) -> None:
    """As when the daemon goes away."""

    def failing() -> Iterator[bytes]:
        yield b"one\n"
        raise EngineError("the daemon is away")

    engine.here["worker-1"] = failing
    lines = follower(engine)
    assert b"worker-1 | one\n" == next(lines)
    with pytest.raises(EngineError, match="the daemon is away"):
        next(lines)


def test_log_that_is_not_kept_does_not_hide_the_others(engine: Logging) -> None:
    """It is named once."""
    said: list[str] = []

    def unkept() -> Iterator[bytes]:
        raise NoLogError("not kept")
        yield b""

    def kept() -> Iterator[bytes]:
        time.sleep(0.2)
        yield b"two\n"
        time.sleep(0.3)
        engine.here.clear()

    engine.here |= {"worker-1": unkept, "worker-2": kept}
    lines = Follower(cast("Engine", engine), (), said.append).lines(engine.replicas_of(()))

    assert [b"worker-2 | two\n"] == list(lines)
    assert ["worker-1: not kept"] == said


@pytest.mark.parametrize(
    ("names", "message"), [(["1"], "worker-1: not kept"), (["1", "2"], "cannot show logs: the output of worker-")]
)
def test_log_that_is_not_kept_is_an_error_if_there_is_no_other(engine: Logging, names: list[str], message: str) -> None:
    """At once: it will not be kept later either."""

    def unkept() -> Iterator[bytes]:
        raise NoLogError("not kept")
        yield b""

    engine.here |= {f"worker-{name}": unkept for name in names}
    with pytest.raises(NoLogError, match=f"^{message}"):
        list(follower(engine))
