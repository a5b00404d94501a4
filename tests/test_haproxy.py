"""What the door promises, with the real HAProxy and its real settings before workers of the test's own."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import eventually, make_project, require
from twelfth.engines.docker.engine import Docker
from twelfth.errors import EngineError
from twelfth.model.service import Reload
from twelfth.stack import lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.conftest import Project

HEADERS_WITHIN = 5
"""Seconds that docs/stack.md gives a client for its request's headers."""
PAUSE_SECONDS = 0.2
WORKER = '''
"""Read and print each request, and answer as its path says."""

import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        print("received", self.path, flush=True)
        if self.path == "/garbles":
            self.wfile.write(b"no HTTP\\r\\n\\r\\n")
        elif self.path == "/hangs":
            time.sleep(60)
        elif self.path != "/breaks":
            time.sleep(4.5 if self.path == "/slow" else 0)
            self.send_response(503 if self.path == "/refuses" else 200)
            self.end_headers()


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
'''


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Give a stack that is up, whose two workers break their promises."""
    require("docker")
    made = make_project("docker", tmp_path_factory.mktemp("door"))
    (made.directory / "service" / "__main__.py").write_text(WORKER, "utf-8")
    made.up("worker=2")
    yield made
    made.end()


def status(door: Project, path: str) -> int:
    """Return the status of the answer to one request, which is sent once."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(door.environment["PORT"]), 10)) as client:
        client.request("GET", path)
        return client.getresponse().status


@pytest.mark.parametrize(
    ("path", "expected"), [("/breaks", 502), ("/garbles", 502), ("/refuses", 503), ("/hangs", 504)]
)
def test_request_that_reached_a_worker_is_sent_to_none_again(door: Project, path: str, expected: int) -> None:
    """Whatever becomes of it there: the worker may have counted it."""
    answered = status(door, path)
    received = door.invoke("logs", "worker").stdout.count(f"received {path}\n")

    assert (expected, 1) == (answered, received)


def test_access_log_has_one_json_object_per_request(door: Project) -> None:
    """Whatever a client sends: a quote stays within its value, and a query, which may contain a secret, is left out."""
    requests = (
        b'GET /log"%22\\,"status":1?secret HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc-1\r\n',
        b'GET /log HTTP/1.1\r\nHost: h\r\nX-Request-Id: "x\r\n',
        b'G"ET /log HTTP/1.1\r\nHost: h\r\n',
    )
    for request in requests:
        with socket.create_connection(("127.0.0.1", int(door.environment["PORT"])), 10) as client:
            client.sendall(request + b"Connection: close\r\n\r\n")
            while client.recv(65536):
                pass

    lines = [line for line in api(door).logs(identity(door)).decode().splitlines() if line.startswith("{")]
    quoted, replaced, invalid = [json.loads(line) for line in lines[-3:]]
    assert ("request", "GET", '/log"%22\\,"status":1', 200) == tuple(
        quoted[name] for name in ("event", "method", "path", "status")
    )
    assert ("abc-1", 36) == (quoted["request_id"], len(replaced["request_id"]))
    assert 400 == invalid["status"]
    assert "secret" not in lines[-3]


def first_line(port: int, later: bytes) -> bytes:
    """Begin a request, send `later` again and again, and return the answer's first line, nothing if there is none."""
    with socket.create_connection(("127.0.0.1", port), PAUSE_SECONDS) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: door\r\nX-Slow: ")
        for _ in range(round((HEADERS_WITHIN + 2) / PAUSE_SECONDS)):
            with contextlib.suppress(TimeoutError):
                return client.recv(1000).partition(b"\r\n")[0]
            client.sendall(later)
    return b""


def test_client_that_does_not_finish_its_request_is_cut_off(door: Project) -> None:
    """One that stalls, and one that sends byte by byte: neither may hold the door for long."""
    with ThreadPoolExecutor(2) as clients:
        lines = list(clients.map(lambda later: first_line(int(door.environment["PORT"]), later), (b"", b"x")))

    assert [b"HTTP/1.1 408 Request Time-out"] * 2 == lines


def header(door: Project) -> str | None:
    """Return a header of an answer that only the door's settings can have given."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(door.environment["PORT"]), 10)) as client:
        client.request("GET", "/")
        return client.getresponse().headers["X-Door"]


def identity(door: Project) -> str:
    """Return the id of the door's container."""
    (found,) = door.engine().replicas("web")
    return found.id


def api(door: Project) -> docker.APIClient:
    """Return the client of the engine."""
    engine = door.engine()
    assert isinstance(engine, Docker)
    return engine.api


def leave_check(door: Project, replica: str) -> None:
    """Leave a container as the check of a client that was killed does."""
    (found,) = door.engine().replicas("web")
    api(door).create_container(found.image, name=f"{door.name}-{replica}-check")


@contextlib.contextmanager
def settings(door: Project, line: str) -> Iterator[None]:
    """Have one line more in the public part of the door's settings, in a new file as editors write it."""
    file = door.directory / "web" / "haproxy.cfg"
    before, new = file.read_text("utf-8"), file.with_name("new")
    new.write_text(before.replace("frontend public\n", f"frontend public\n    {line}\n"), "utf-8")
    new.replace(file)
    try:
        yield
    finally:
        file.write_text(before, "utf-8")


@contextlib.contextmanager
def visitors(door: Project) -> Iterator[list[int]]:
    """Yield the statuses of a light load, which continues inside the block."""
    statuses: list[int] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.wait(0.005):
            statuses.append(status(door, "/"))

    with ThreadPoolExecutor(2) as pool:
        going = [pool.submit(visit) for _ in range(2)]
        try:
            yield statuses
        finally:
            is_over.set()
        for each in going:
            each.result()


def test_changed_settings_are_loaded_and_no_visitor_notices(door: Project) -> None:
    """The container stays, and another `up` has nothing to do."""
    before = identity(door)
    with settings(door, "http-response set-header X-Door two"):
        assert header(door) is None
        with visitors(door) as statuses:
            door.up("worker=2")
            assert eventually(lambda: header(door) == "two")

        assert ["Reload web-1 (config./usr/local/etc/haproxy/haproxy.cfg changed)"] == door.steps()
        assert {200} == set(statuses)
        assert [] == door.plan("worker=2")
        assert before == identity(door)


@pytest.mark.thorough
@pytest.mark.parametrize("signal", ["SIGUSR1", "SIGUSR2"])
def test_slow_answer_survives_a_reload_and_a_stop_of_the_door(door: Project, signal: str) -> None:
    """One that takes nearly as long as the door waits for a worker."""
    (replica,), engine = door.engine().replicas("web"), door.engine()
    before = door.invoke("logs", "worker").stdout.count("received /slow\n")
    with ThreadPoolExecutor(1) as client:
        answered = client.submit(status, door, "/slow")
        assert eventually(lambda: door.invoke("logs", "worker").stdout.count("received /slow\n") > before)
        api(door).kill(replica.id, signal)

        assert 200 == answered.result()
    assert eventually(lambda: [signal == "SIGUSR2"] == [each.is_running for each in engine.replicas("web")])
    engine.start_replica(replica)
    assert eventually(lambda: engine.check_health(engine.replicas("web")[0]).is_ready)


@pytest.mark.thorough
def test_settings_that_the_door_refuses_touch_nothing(door: Project) -> None:
    """It continues with its present configuration, also after a restart."""
    door.up("worker=2")
    before, engine = identity(door), door.engine()
    with settings(door, "htp-response set-header X-Door three"):
        with pytest.raises(
            EngineError, match=r"unknown keyword 'htp-response'.*; it still runs with the previous one; fix that"
        ):
            door.up("worker=2")
        (replica,) = engine.replicas("web")
        engine.stop_replica(replica)
        engine.start_replica(replica)
        assert eventually(lambda: engine.check_health(replica).is_ready)

    assert before == identity(door)
    assert [] == door.plan("worker=2")


@pytest.mark.thorough
def test_settings_that_were_not_loaded_to_the_end_are_loaded_by_the_next_up(door: Project) -> None:
    """Even where the file is by then what it was."""
    door.up("worker=2")
    before, engine = identity(door), door.engine()
    (replica,), web = engine.replicas("web"), engine.stack.service("web")
    assert web
    with settings(door, "http-response set-header X-Door four"), pytest.raises(EngineError):
        engine.reload_replica(replace(web, reload=Reload("SIGNONE")), replica)  # the file was copied, the signal fails

    leave_check(door, "web-1")
    door.up("worker=2")
    assert ["Reload web-1 (config./usr/local/etc/haproxy/haproxy.cfg changed)"] == door.steps()
    assert [] == door.plan("worker=2")
    assert before == identity(door)


@pytest.mark.thorough
def test_door_whose_record_of_settings_is_lost_is_replaced(door: Project) -> None:
    """It may not be possible to restart it; `down` removes the contents of its settings, and the check's container."""
    door.up("worker=2")
    state = door.engine().state
    state.write({f"stack/{name}": b"torn" for name in state.read("stack") if name.startswith("loaded-web-1")})

    assert ["Replace web-1 (config./usr/local/etc/haproxy/haproxy.cfg changed)"] == door.plan("worker=2")
    door.up("worker=2")
    assert [] == door.plan("worker=2")
    leave_check(door, "web-1")
    lifecycle.down(engine := cast("Docker", door.engine()), door.report)
    assert [] == api(door).containers(all=True, filters={"name": f"{door.name}-web-"})
    files = engine.state.read_tree("files")
    assert files
    assert {b""} == {file.content for file in files.values()}
