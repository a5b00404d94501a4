"""The machines of a Swarm, and connections to the daemons of the reachable ones."""

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
    """The nodes that a manager lists, by id.

    The address of another node's daemon is in `addresses`, by the node's name, or in the docker context of that name.
    """

    def __init__(self, manager: docker.APIClient, addresses: Mapping[str, str]) -> None:
        self.manager, self.addresses = manager, addresses
        self._clients: dict[str, docker.APIClient | None] = {}

    @functools.cached_property
    def local_id(self) -> str:
        """The id of the manager's node, on which runs are started by default."""
        with docker_errors():
            return str(self.manager.info()["Swarm"]["NodeID"])

    @functools.cached_property
    def all(self) -> dict[str, Body]:
        """The nodes by id."""
        with docker_errors():
            return {node["ID"]: node for node in self.manager.nodes()}

    def name(self, node_id: str) -> str:
        """Return a node's name, or its id if it has left the Swarm."""
        return str(self.all[node_id]["Description"]["Hostname"]) if node_id in self.all else node_id

    def is_down(self, node_id: str) -> bool:
        """Return whether a node no longer answers the Swarm, or has left it."""
        return node_id not in self.all or self.all[node_id]["Status"]["State"] == "down"

    def client(self, node_id: str) -> docker.APIClient | None:
        """Return the client of a node's daemon, None if its address is unknown or it does not answer."""
        if node_id == self.local_id:
            return self.manager
        if node_id not in self._clients:
            self._clients[node_id] = None if self.is_down(node_id) else self._connect(self.name(node_id))
        return self._clients[node_id]

    def _connect(self, name: str) -> docker.APIClient | None:
        try:
            return client.connect_to(self.addresses[name]) if name in self.addresses else client.connect(context=name)
        except EngineError:
            return None

    def reachable(self) -> dict[str, docker.APIClient]:
        """Return the clients of the nodes whose daemons answer, by id."""
        clients = {node_id: self.client(node_id) for node_id in self.all}
        return {node_id: api for node_id, api in clients.items() if api}

    def chosen(self, selector: str) -> str:
        """Return the id of the node with that name or label (`NAME` or `NAME=VALUE`), by default the manager's node.

        Raises `MisuseError` if there is no such node, or its daemon cannot be reached.
        """
        if not selector:
            return self.local_id
        matching = [node_id for node_id, node in self.all.items() if _matches(node, selector)]
        if reachable := next(filter(self.client, matching), ""):
            return reachable
        if matching:
            name = self.name(matching[0])
            hint = f"docker context create {name} --docker host=tcp://..., or x-swarm.nodes.{name} in the Compose file"
            raise MisuseError(f"--node {selector}: the daemon of {name} cannot be reached; declare its address: {hint}")
        names = ", ".join(map(self.name, self.all))
        raise MisuseError(f"--node {selector}: there is no such node or label; the nodes are {names}")


def _matches(node: Body, selector: str) -> bool:
    labels = node["Spec"].get("Labels") or {}
    name, has_value, value = selector.partition("=")
    return node["Description"]["Hostname"] == selector or (name in labels and (not has_value or labels[name] == value))
