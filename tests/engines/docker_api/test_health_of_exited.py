"""A healthcheck whose container exits while the daemon starts the check."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from docker.errors import APIError
from requests import Response

from twelfth.engines.docker_api import health
from twelfth.errors import EngineError
from twelfth.model.snapshot import Replica

REPLICA = Replica("web", 1, "id", "running", {"healthcheck": '{"Test": ["CMD", "true"]}'})


def api(status: int) -> Any:
    """Return a daemon that refuses each check with a status."""
    response = Response()
    response.status_code = status

    def refuse(*_: object, **__: object) -> NoReturn:
        raise APIError("", response, "Container web-1 is not running: Exited (3)")

    return SimpleNamespace(exec_create=refuse)


@pytest.mark.parametrize("status", [409, 500])
def test_container_that_exited_meanwhile_is_not_ready(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's answer depends on when it exited; `up` then reports the output of the container."""
    monkeypatch.setattr(health, "running_seconds", lambda *_: 0.0)
    result = health.check_health(api(status), REPLICA, 1)

    assert (False, True) == (result.is_ready, "Container web-1 is not running: Exited (3)" in result.output)


def test_failure_of_the_daemon_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container still runs, so the check itself has no result."""
    monkeypatch.setattr(health, "running_seconds", lambda *_: 1.0)
    with pytest.raises(EngineError, match="is not running"):
        health.check_health(api(500), REPLICA, 1)
