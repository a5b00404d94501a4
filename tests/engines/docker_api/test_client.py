"""The address of the daemon, from the environment."""

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
def test_daemon_with_an_ssh_address_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch, url: str, way: str) -> None:
    """It may answer, but a connection through ssh does not support the streams of a run."""
    monkeypatch.setenv("DOCKER_HOST", url)

    with pytest.raises(EngineError) as refused:
        client.connect()
    assert str(refused.value).endswith(f"; try: {way} && export DOCKER_HOST=unix:///tmp/docker.sock")
