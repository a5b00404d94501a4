"""The service as a process: how it starts, how it stops, how it is asked for its health."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service import health
from service.schema import MIGRATIONS
from tests.real_redis import RealRedis, ScriptedRedis, eventually
from twelfth_redis.keys import HISTORY
from twelfth_redis.schema.revisions import required

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Process

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": "1"}


def refused(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Return exit code and standard error of a service that does not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "service", "--host", "127.0.0.1", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished(serve: Callable[..., Process], number: int) -> None:
    """A signal comes while Redis takes its time: the hit is answered, the exit code is 0."""
    with ScriptedRedis(delay=0.3) as scripted, ThreadPoolExecutor(1) as client:
        process = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(scripted.port)})
        asked = client.submit(process.ask)
        eventually(lambda: scripted.incremented)
        process.signal(number)
        code, lines = process.end()

        assert 200 == asked.result().status
    assert (0, "stop", 0) == (code, lines[-1]["event"], lines[-1]["unfinished"])


def test_requests_in_the_queue_are_finished(serve: Callable[..., Process]) -> None:
    """One thread, six requests, then SIGTERM: the ones that wait for the thread are answered as well."""
    with ScriptedRedis(delay=0.1) as scripted:
        process = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(scripted.port)}, "--threads", "1")
        asked = process.begin(6, "/")
        eventually(lambda: scripted.incremented)
        process.signal(signal.SIGTERM)

        assert [200] * 6 == [each.getresponse().status for each in asked]
        assert 0 == process.end()[0]


def test_clients_in_the_backlog_are_answered(serve: Callable[..., Process]) -> None:
    """The kernel accepted their connections before the signal came; they may learn that it is stopping."""
    process = serve(NOWHERE)
    process.signal(signal.SIGSTOP)
    waiting = process.begin(20, "/healthz")
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGCONT)

    assert {each.getresponse().status for each in waiting} <= {200, 404}
    assert 0 == process.end()[0]


def test_an_idle_connection_does_not_hold_the_stop(serve: Callable[..., Process]) -> None:
    """A kept-alive connection without a request is closed, well before the grace period is over."""
    process = serve(NOWHERE)
    process.begin(1, "/healthz")[0].getresponse().read()
    began = time.monotonic()
    process.signal(signal.SIGTERM)

    assert 0 == process.end()[0]
    assert time.monotonic() - began < 4


def test_a_stop_closes_the_door(serve: Callable[..., Process]) -> None:
    """After the exit no process listens on the port."""
    process = serve(NOWHERE)
    process.signal(signal.SIGTERM)
    process.end()

    with pytest.raises(ConnectionRefusedError):
        process.ask("/healthz")


def test_the_log_is_json_from_start_to_stop(serve: Callable[..., Process]) -> None:
    """Requests are not in it: the proxy logs them."""
    process = serve({**NOWHERE, "REPLICA": "one"})
    process.ask("/nowhere")
    process.ask("/")
    process.signal(signal.SIGTERM)
    _, lines = process.end()

    assert ["start", "hits fail", "stop"] == [line["event"] for line in [process.started, *lines]]
    assert ("one", "one") == (process.started["replica"], lines[-1]["replica"])
    assert "Connection refused" in lines[0]["reason"]


def test_a_taken_port_is_one_line() -> None:
    """The port is taken: exit 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, said = refused(NOWHERE, "--port", str(port))

    assert (1, 1) == (code, said.count("\n"))
    assert said.startswith("service: cannot listen: Address already in use")
    assert str(port) in said


@pytest.mark.parametrize(
    ("port", "error"), [("x", "invalid int value: 'x'"), ("-1", "must be 0-65535"), ("65536", "must be 0-65535")]
)
def test_an_invalid_port_is_refused(port: str, error: str) -> None:
    """Exit 2, no traceback."""
    code, said = refused(NOWHERE, f"--port={port}")

    assert (2, True, False) == (code, error in said, "Traceback" in said)


def test_a_replica_that_would_break_a_header_is_refused() -> None:
    """The name goes into X-Served-By."""
    code, said = refused(NOWHERE | {"REPLICA": "a\r\nSet-Cookie: b"})

    assert (2, True) == (code, "REPLICA must be printable ASCII" in said)


def test_a_replica_is_named_by_its_environment_or_its_host(serve: Callable[..., Process]) -> None:
    """An empty variable is one that is not set."""
    names = [serve(NOWHERE | {"REPLICA": name}).started["replica"] for name in ("one", "")]

    assert ["one", socket.gethostname()] == names


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT_REDIS": "abc"}, "service: PORT_REDIS must be a number from 1 to 65535, not 'abc'\n"),
        ({"REDIS_URL": "redis://:secret@h/x"}, "service: REDIS_URL must end in a database number, such as /0\n"),
    ],
)
def test_bad_settings_are_one_line(environment: dict[str, str], said: str) -> None:
    """Exit 2, no traceback, no password."""

    assert (2, said) == refused(environment, "--port", "0")


def test_health_asks_for_readiness_until_there_was_some_and_then_for_life(
    serve: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails before the data is migrated, passes then, also without Redis, and fails with the process."""
    redis = RealRedis(tmp_path)
    for name, value in redis.environment.items():
        monkeypatch.setenv(name, value)
    process = serve(redis.environment)

    def check() -> int:
        return health.main(["--port", str(process.port)])

    codes = [check()]
    redis.client.hset(HISTORY, mapping=dict.fromkeys(required(MIGRATIONS), "{}"))
    codes.append(check())
    redis.kill()
    codes.append(check())
    process.signal(signal.SIGTERM)
    process.end()

    assert [1, 0, 0, 1] == [*codes, check()]


@pytest.mark.parametrize(
    ("environment", "why"),
    [({}, "data lacks revision"), ({"REDIS_URL": "redis://:wrong@{place}/0"}, "WRONGPASS"), (NOWHERE, "refused")],
)
def test_health_tells_the_operator_why(
    serve: Callable[..., Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    why: str,
) -> None:
    """In the words of Redis, which clients do not see."""
    redis = RealRedis(tmp_path)
    if "REDIS_URL" in environment:
        redis.client.config_set("requirepass", "right")
    place = f"127.0.0.1:{redis.port}"
    own = redis.environment | {name: value.format(place=place) for name, value in environment.items()}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    process = serve(own)

    code = health.main(["--port", str(process.port)])
    redis.kill()

    assert (1, True) == (code, why in json.loads(capsys.readouterr().out)["error"])


def test_a_process_that_hangs_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts a connection and never answers is given up."""
    monkeypatch.setattr(health, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert 1 == health.main(["--port", str(silent.getsockname()[1])])
