"""The machines of a Swarm, and the daemons of those that can be reached from here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import client
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

    from twelfth.engines.docker_api.container_spec import Body


class Nodes:
    """The nodes as a manager tells them, by id.

    The daemon of another one is asked for by `addresses`, by the node's name, or by the docker context of that name.
    """

    def __init__(self, manager: docker.APIClient, addresses: Mapping[str, str]) -> None:
        """Take the client of the manager that is asked; the node that it is on is where runs go by default."""
        self.manager, self.addresses = manager, addresses
        self._clients: dict[str, docker.APIClient | None] = {}

    @functools.cached_property
    def own(self) -> str:
        """Return the id of the manager's own node."""
        with docker_errors():
            return str(self.manager.info()["Swarm"]["NodeID"])

    @functools.cached_property
    def all(self) -> dict[str, Body]:
        """Return the nodes, by id."""
        with docker_errors():
            return {node["ID"]: node for node in self.manager.nodes()}

    def name(self, identity: str) -> str:
        """Return a node's name, its id where it has left."""
        return str(self.all[identity]["Description"]["Hostname"]) if identity in self.all else identity

    def is_down(self, identity: str) -> bool:
        """Return whether a node does not answer the Swarm any more, or has left it."""
        return identity not in self.all or self.all[identity]["Status"]["State"] == "down"

    def client(self, identity: str) -> docker.APIClient | None:
        """Return the client of a node's daemon, None where it is not known how to reach it or it does not answer."""
        if identity == self.own:
            return self.manager
        if identity not in self._clients:
            self._clients[identity] = None if self.is_down(identity) else self._connect(self.name(identity))
        return self._clients[identity]

    def _connect(self, name: str) -> docker.APIClient | None:
        try:
            return client.connect_to(self.addresses[name]) if name in self.addresses else client.connect(context=name)
        except EngineError:
            return None

    def reachable(self) -> dict[str, docker.APIClient]:
        """Return the clients of the nodes whose daemons can be asked, by id."""
        found = {identity: self.client(identity) for identity in self.all}
        return {identity: api for identity, api in found.items() if api}

    def chosen(self, wanted: str) -> str:
        """Return the id of the node of that name, or with that label (`NAME` or `NAME=VALUE`); by default our own.

        Raises `MisuseError` where there is none whose daemon can be reached.
        """
        if not wanted:
            return self.own
        found = [identity for identity, node in self.all.items() if _is_meant(node, wanted)]
        if here := next(filter(self.client, found), ""):
            return here
        if found:
            name = self.name(found[0])
            way = f"docker context create {name} --docker host=tcp://..., or x-swarm.nodes.{name} in the Compose file"
            raise MisuseError(f"--node {wanted}: the daemon of {name} is not reached from here; say where it is: {way}")
        names = ", ".join(map(self.name, self.all))
        raise MisuseError(f"--node {wanted}: there is no such node or label; the nodes are {names}")


def _is_meant(node: Body, wanted: str) -> bool:
    labels = node["Spec"].get("Labels") or {}
    name, has_value, value = wanted.partition("=")
    return node["Description"]["Hostname"] == wanted or (name in labels and (not has_value or labels[name] == value))
