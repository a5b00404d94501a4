"""The generated proxy: what it takes over, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twelfth.compose.proxy import LISTEN, configuration, why_refused, with_proxy
from twelfth.model.service import Mount, Port, Service
from twelfth.model.stack import PROXY, Proxy, Stack

if TYPE_CHECKING:
    from tests.compose.conftest import Project

APP = Service("app", "app", networks=("default",), ports=(Port(8000, 80), Port(9000)))
STACK = Stack("project", Path(), (APP,), proxy=Proxy("app", 8000))


def test_proxy_takes_over_the_published_port_only() -> None:
    """Another port of the service stays."""
    stack = with_proxy(STACK)
    app, proxy = stack.services

    assert app.ports == (Port(9000),)
    assert (proxy.name, proxy.ports, proxy.depends_on) == (PROXY, (Port(LISTEN, 80),), ("app",))
    assert not app.is_replaced_in_place
    assert proxy.local is None
    assert (stack.run_service, stack.ingress_of(["app", PROXY])) == ("app", PROXY)


@pytest.mark.parametrize(
    ("app", "why"),
    [
        (replace(APP, ports=()), "is not published"),
        (replace(APP, ports=(Port(8000, 80), Port(8000, 81))), "more than once"),
        (replace(APP, ports=(Port(8000, 80, protocol="udp"),)), "is not published"),
        (replace(APP, container_name="one"), "is called one"),
        (replace(APP, mounts=(Mount("volume", "/data", "data"),)), "keeps its data in the volume data"),
        (replace(APP, networks=()), "has no network"),
    ],
)
def test_service_that_cannot_roll_behind_a_proxy_is_refused(app: Service, why: str) -> None:
    """The message has the reason."""
    assert why in why_refused(STACK.with_service(app))


def test_service_that_has_the_name_of_the_proxy_is_refused() -> None:
    """It would be replaced by the proxy."""
    assert "rename" in why_refused(replace(STACK, services=(APP, Service(PROXY, "nginx"))))
    assert not why_refused(STACK)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("port: '0'", "port is 0"),
        ("port: http", "port is http"),
        ("port: 80, image: ''", "image is not the name of an image"),
        (r'port: 80, health: "/a\n  b"', "health is /a"),
        ("port: 80, health: '/a#b'", "health is /a#b"),
    ],
)
def test_invalid_value_is_refused(project: Project, key: str, why: str) -> None:
    """A path of the healthcheck is a word of the generated configuration."""
    text = f"services: {{app: {{image: x, ports: ['8000:80']}}}}\nx-twelfth: {{proxy: {{service: app, {key}}}}}\n"
    assert f"x-twelfth.proxy.{why}" in project.refused(text)


def test_port_may_be_a_variable(project: Project) -> None:
    """Compose makes a text of it under an `x-` key."""
    text = "services: {app: {image: x, ports: ['8000:80']}}\nx-twelfth: {proxy: {service: app, port: '$PORT'}}\n"
    assert Proxy("app", 80) == project.read(text, PORT="80").proxy


def test_checks_are_by_tcp_unless_a_path_is_declared() -> None:
    """The number of slots is that of the most replicas."""
    by_tcp, by_http = (configuration(Proxy("app", 8000, health=path), 7) for path in ("", "/healthz"))

    assert "option httpchk" not in by_tcp
    assert "uri /healthz" in by_http
    assert "server-template replica 1-7 app:8000 check" in by_tcp
