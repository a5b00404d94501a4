"""Which port of this machine a process of the local engine gets."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded, eventually
from twelfth.engines import tcp
from twelfth.engines.json_file import read_json
from twelfth.engines.local.engine import Local
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.stack import deploy, lifecycle
from twelfth.stack.status import address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("state_of_test")

ASKS = ("python3", "-c", "import socket; socket.create_connection(('127.0.0.1', <port>)).close()")
LISTENS = ("python3", "-m", "http.server", "--bind", "127.0.0.1", "<port>")


@pytest.fixture
def stack(tmp_path: Path, state_of_test: Path) -> Iterator[Stack]:  # noqa: ARG001 - before the last `down`
    """Return a stack of one service with a public port; it is taken down after the test."""
    local = LocalSettings(LISTENS, port=tcp.free("127.0.0.1"))
    stack = Stack("p", tmp_path, (Service("app", "app", local=local, stop_grace=1, restart="no", monitor=0.2),))
    yield stack
    lifecycle.down(Local(stack), Recorded())


def kill(engine: Local, name: str) -> None:
    """Kill a process once supervisord considers it started, after a second, so that it is not started again."""
    assert eventually(lambda: engine.supervisor.states()[name] == "running")
    (pid,) = [process["pid"] for process in engine.supervisor._call("getAllProcessInfo") if process["name"] == name]  # noqa: SLF001 - it has no other use
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: engine.supervisor.states()[name].startswith("exited"))


def test_port_of_the_services_load_balancer_is_free_for_its_replicas(stack: Stack) -> None:
    """All processes of the service have exited. A reboot ends the load balancer and supervisord, too."""
    deploy.up(Local(stack), Recorded())
    (before,) = Local(stack).replicas("app")
    port = int(before.address.rpartition(":")[2])
    for state in ("exited (-1)", "stopped"):
        if state == "stopped":
            os.kill(int((Local(stack).home / "supervisord.pid").read_text("utf-8")), signal.SIGKILL)
            assert eventually(lambda: not tcp.answers("127.0.0.1", port))
        else:
            kill(Local(stack), "app-1")
        report = Recorded()
        deploy.up(Local(stack), report)

        assert [f"Start app-1 ({state})"] == report.steps
        assert [(before.id, True)] == [(replica.id, replica.serves) for replica in Local(stack).replicas("app")]
        assert tcp.answers("127.0.0.1", port)


def test_each_replica_without_a_public_port_has_a_separate_one(tmp_path: Path) -> None:
    """Other services use the load balancer's port, which stays when the replicas are replaced."""
    local = LocalSettings(LISTENS, healthcheck=ASKS)
    service = Service("app", "app", local=local, stop_grace=1, replicas=2, monitor=0.2)
    engine = Local(Stack("p", tmp_path, (service,)))
    try:
        deploy.up(engine, Recorded())
        specs = [read_json(path) for path in sorted((engine.home / "services").glob("app-?.json"))]
        port = engine.ports.port("app")
        assert 3 == len({port, *(spec["port"] for spec in specs)})
        assert tcp.answers("127.0.0.1", port)
        assert "" == address(engine.stack, engine.observe())

        changed = replace(service, local=replace(local, environment=(("A", "1"),)))
        again = Local(Stack("p", tmp_path, (changed,)))
        deploy.up(again, Recorded())
        assert port == again.ports.port("app")
        assert tcp.answers("127.0.0.1", port)
        assert () == deploy.plan_up(again)
    finally:
        lifecycle.down(engine, Recorded())
