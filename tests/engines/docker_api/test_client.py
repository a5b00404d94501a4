"""Where the daemon is, as the environment tells it."""

from __future__ import annotations

import pytest

from twelfth.engines.docker_api import client
from twelfth.errors import EngineError


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("ssh://ann@far", "ssh -fnNT -L /tmp/docker.sock:/var/run/docker.sock ann@far"),
        ("ssh://far:2222/", "ssh -fnNT -p 2222 -L /tmp/docker.sock:/var/run/docker.sock far"),
    ],
)
def test_daemon_behind_ssh_is_refused_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch, url: str, way: str) -> None:
    """It may well answer; a connection through ssh has no streams that a run could be attached to."""
    monkeypatch.setenv("DOCKER_HOST", url)

    with pytest.raises(EngineError) as refused:
        client.connect()
    assert str(refused.value).endswith(f"; try: {way} && export DOCKER_HOST=unix:///tmp/docker.sock")
