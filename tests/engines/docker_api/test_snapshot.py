"""The Engine API's answers as values."""

from __future__ import annotations

import contextlib

import docker
import pytest

from tests.conftest import require_program
from tests.engines.docker_api.values import IMAGE, inspected
from twelfth.engines.docker_api import client, snapshot, ssh


def test_release_is_read_from_the_label_not_the_tag() -> None:
    """A tag can move to another image; a container's label stays."""
    moved = IMAGE | {"RepoTags": ["app:ffffffffffff"]}

    assert "0123456789ab" == snapshot.replica(inspected(), moved, {}).release


@pytest.mark.parametrize(
    ("published", "host", "address"),
    [
        ("0.0.0.0", "", "0.0.0.0:8080"),
        ("0.0.0.0", "engine.example", "engine.example:8080"),
        ("", "engine.example", "engine.example:8080"),
        ("::", "fd00::1", "fd00::1:8080"),
        ("127.0.0.1", "engine.example", "127.0.0.1:8080"),
        ("192.0.2.7", "engine.example", "192.0.2.7:8080"),
    ],
)
def test_port_of_a_remote_daemon_is_reached_on_its_machine(published: str, host: str, address: str) -> None:
    """A port on all addresses is reached at that machine's; a port on one address is reached there."""
    bound = {"Ports": {"80/tcp": [{"HostIp": published, "HostPort": "8080"}]}, "Networks": {}}
    container = inspected() | {"NetworkSettings": bound}

    assert address == snapshot.replica(container, IMAGE, {}, host).address


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("tcp://engine.example:2375", "engine.example"),
        ("http://[fd00::1]:2375", "fd00::1"),
        ("unix:///var/run/docker.sock", ""),
    ],
)
def test_only_a_daemon_over_tcp_is_remote(url: str, host: str) -> None:
    """A socket belongs to this machine."""
    with contextlib.closing(docker.APIClient(url, version="1.41")) as api:
        assert host == client.remote_host(api)


@pytest.mark.parametrize(
    ("url", "machine"),
    [
        ("tcp://engine.example:2375", "engine.example"),
        ("tcp://127.0.0.1:2375", ""),
        ("unix:///var/run/docker.sock", ""),
        ("ssh://ann@engine.example:2222/run/docker.sock", "ann@engine.example:2222"),
        ("ssh://localhost", ""),
    ],
)
def test_machine_of_a_daemon_is_named_as_ssh_takes_it(url: str, machine: str) -> None:
    """It shares no addresses with this machine; a loopback address does."""
    is_ssh = url.startswith("ssh:")
    if is_ssh:
        require_program("ssh")
    with contextlib.closing(docker.APIClient("unix:///nowhere" if is_ssh else url, version="1.41")) as api:
        if is_ssh:
            api.mount("http+docker://", ssh.Adapter(url))
        assert machine == client.machine(api)
        assert not (is_ssh and client.shares_network(api))
