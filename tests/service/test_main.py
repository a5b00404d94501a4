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
    """A signal comes while Redis takes its time: the hit is answered, its connection ends, the exit code is 0."""
    with ScriptedRedis(delay=0.3) as scripted, ThreadPoolExecutor(1) as client:
        process = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(scripted.port)})
        asked = client.submit(process.ask)
        eventually(lambda: scripted.incremented)
        process.signal(number)
        code, lines = process.end()

        assert (200, "close") == (asked.result().status, asked.result().headers["Connection"])
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


def test_who_had_connected_is_still_answered(serve: Callable[..., Process]) -> None:
    """Connections in the listen backlog when the signal comes were accepted by the kernel: they get their answers.

    By then that is that it is stopping.
    """
    process = serve(NOWHERE)
    process.signal(signal.SIGSTOP)
    waiting = process.begin(20, "/healthz")
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGCONT)

    assert [404] * 20 == [each.getresponse().status for each in waiting]
    assert 0 == process.end()[0]


def test_an_idle_connection_does_not_hold_the_stop(serve: Callable[..., Process]) -> None:
    """A kept-alive connection without a request is closed, well before the grace period is over."""
    process = serve(NOWHERE)
    process.begin(1, "/healthz")[0].getresponse().read()
    began = time.monotonic()
    process.signal(signal.SIGTERM)

    assert 0 == process.end()[0]
    assert time.monotonic() - began < 2


def test_a_stop_closes_the_door(serve: Callable[..., Process]) -> None:
    """After the end nobody listens on the port."""
    process = serve(NOWHERE)
    process.signal(signal.SIGTERM)
    process.end()

    with pytest.raises(ConnectionRefusedError):
        process.ask("/healthz")


def test_the_log_is_json_from_start_to_stop(serve: Callable[..., Process]) -> None:
    """Start, requests and stop are lines of the same form, signed by the replica."""
    process = serve({**NOWHERE, "REPLICA": "one"})
    process.ask("/nowhere")
    process.ask("/healthz")
    process.signal(signal.SIGTERM)
    _, lines = process.end()

    assert ["start", "request", "stop"] == [line["event"] for line in [process.started, *lines]]
    assert {"one"} == {line["replica"] for line in [process.started, *lines]}


def test_a_taken_port_is_one_line() -> None:
    """Somebody else has the port: exit 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert (1, f"service: cannot listen on 127.0.0.1 port {port}: Address already in use\n") == refused(
            NOWHERE, "--port", str(port)
        )


@pytest.mark.parametrize("port", ["x", "-1", "65536", ""])
def test_a_bad_port_is_misuse(port: str) -> None:
    """Exit 2 with argparse's usage."""
    code, said = refused(NOWHERE, f"--port={port}")

    assert (2, True) == (code, "must be a number from 0 to 65535" in said)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT_REDIS": "abc"}, "service: PORT_REDIS must be a number from 1 to 65535, not 'abc'\n"),
        ({"REDIS_URL": "redis://:secret@h/x"}, "service: REDIS_URL must end in the number of a database, such as /0\n"),
    ],
)
def test_bad_settings_are_one_line(environment: dict[str, str], said: str) -> None:
    """Exit 2, no traceback, no password."""

    assert (2, said) == refused(environment, "--port", "0")


def test_health_asks_for_readiness_until_there_was_some_and_then_for_life(
    serve: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails before the data is migrated, passes then, goes on passing without Redis, and fails with the process."""
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
    """In the words of Redis, which visitors are not told."""
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
    """Somebody who accepts and says nothing is given up."""
    monkeypatch.setattr(health, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert 1 == health.main(["--port", str(silent.getsockname()[1])])
