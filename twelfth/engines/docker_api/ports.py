"""Decide from the daemon's list of containers which ports are published; pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.container_spec import COMPOSE

if TYPE_CHECKING:
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Port


def publishes(listed: Body, port: Port) -> bool:
    """Return whether a listed container publishes a port at an overlapping address."""
    published = (entry for entry in listed["Ports"] or [] if entry.get("PublicPort") == port.published)
    return any(entry["Type"] == port.protocol and overlap(entry.get("IP", ""), port.host) for entry in published)


def overlap(host: str, other_host: str) -> bool:
    """Return whether two addresses overlap; an empty one stands for all addresses."""
    if not host or not other_host or host == other_host:
        return True
    first, second = ipaddress.ip_address(host), ipaddress.ip_address(other_host)
    return first.version == second.version and (first == second or first.is_unspecified or second.is_unspecified)


def owner(listed: Body) -> tuple[str, str]:
    """Return the project and service of a listed container, empty if neither Compose nor twelfth made it."""
    return listed["Labels"].get(f"{COMPOSE}project", ""), listed["Labels"].get(f"{COMPOSE}service", "")
