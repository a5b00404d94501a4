"""Replace services in the modes of namespaces (`network_mode: service:NAME`) by containers, as the daemon expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.compose.container_keys import OF_SERVICE
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.errors import EngineError

if TYPE_CHECKING:
    import docker

    from twelfth.engines.docker_api.container_spec import Body

FIELDS = {"NetworkMode": "network_mode", "IpcMode": "ipc", "PidMode": "pid"}
"""Settings of the HostConfig with which a container joins another one's namespace, and Compose's names of them."""

OF_CONTAINER = "container:"
"""Prefix of the mode of a namespace that belongs to another container, before that container's id."""


def resolved(api: docker.APIClient, project: str, host: Body) -> Body:
    """Return a HostConfig with containers in place of services; raises `EngineError` for one without a container."""
    modes = {field: str(host.get(field) or "") for field in FIELDS}
    services = {field: mode.removeprefix(OF_SERVICE) for field, mode in modes.items() if mode.startswith(OF_SERVICE)}
    return host | {field: f"{OF_CONTAINER}{_container(api, project, service)}" for field, service in services.items()}


def _container(api: docker.APIClient, project: str, service: str) -> str:
    """Return the id of a container of a service, of a running one if possible."""
    labels = [f"{COMPOSE}project={project}", f"{COMPOSE}service={service}", f"{COMPOSE}oneoff=False"]
    listed = api.containers(all=True, filters={"label": labels})
    if not listed:
        raise EngineError(f"{service} has no replica whose namespace another service can join; see: invoke status")
    return str(max(reversed(listed), key=lambda container: bool(container["State"] == "running"))["Id"])
