"""Which ports are published, and the error for one that cannot be."""

from __future__ import annotations

import pytest

from twelfth.engines.docker_api.errors import unpublished
from twelfth.engines.docker_api.ports import overlap, owner, publishes
from twelfth.model.service import Port


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("", "127.0.0.1", True),
        ("::", "", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "10.0.0.1", False),
        ("::", "::1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("0.0.0.0", "::1", False),
    ],
)
def test_addresses_overlap_where_one_includes_the_other(one: str, other: str, *, expected: bool) -> None:
    """The order makes no difference."""
    assert (expected, expected) == (overlap(one, other), overlap(other, one))


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (Port(80, 8000), True),
        (Port(80, 8000, "127.0.0.1"), True),
        (Port(80, 8000, "::1"), False),
        (Port(80, 8000, protocol="udp"), False),
        (Port(80, 8001), False),
    ],
)
def test_published_ports_are_compared_with_the_daemons_list(port: Port, *, expected: bool) -> None:
    """Number, protocol and address count; a port that is only exposed has no public number."""
    listed = [{"PrivatePort": 8001, "Type": "tcp"}, {"IP": "0.0.0.0", "PublicPort": 8000, "Type": "tcp"}]

    assert expected == publishes({"Ports": listed}, port)
    assert not publishes({"Ports": None}, port)


def test_owner_of_a_container_is_a_service_of_a_project() -> None:
    """A container may have no owner."""
    labels = {"com.docker.compose.project": "p", "com.docker.compose.service": "s"}

    assert [("p", "s"), ("", "")] == [owner({"Labels": each}) for each in (labels, {})]


OF_20 = "driver failed programming external connectivity on endpoint p-web-2 (0123456789abcdef0123456789abcdef): "


@pytest.mark.parametrize(
    ("text", "address", "why"),
    [
        (
            f"{OF_20}Error starting userland proxy: listen tcp4 0.0.0.0:8000: bind: address already in use",
            "0.0.0.0:8000",
            "address already in use",
        ),
        (
            f"{OF_20}Error starting userland proxy: listen tcp6 [::1]:8000: bind: cannot assign requested address",
            "[::1]:8000",
            "cannot assign requested address",
        ),
        (f"{OF_20}Bind for 10.0.0.1:80 failed: port is already allocated", "10.0.0.1:80", "port is already allocated"),
        (
            "failed to set up container networking: failed to bind host port 127.0.0.1:80/tcp: permission denied",
            "127.0.0.1:80",
            "permission denied",
        ),
    ],
)
def test_port_that_the_daemon_cannot_bind_is_an_error_of_one_line(text: str, address: str, why: str) -> None:
    """It is recognised for all versions of the daemon, and has the next command."""
    hint = "stop what listens there, or publish another port, then: invoke up"

    assert f"cannot publish {address} on the Docker daemon's machine: {why}; {hint}" == unpublished(text)


@pytest.mark.parametrize("text", ["no such image", "dial tcp 10.0.0.1:5000: connect: connection refused", OF_20])
def test_other_messages_with_ports_are_not_changed(text: str) -> None:
    """An example is a registry that does not answer."""
    assert "" == unpublished(text)
