"""Connect to the daemon that the docker command line uses, and call what the SDK lacks."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
from docker.errors import create_api_error_from_http_exception
from docker.utils import kwargs_from_env, version_gte
from requests.exceptions import HTTPError

from twelfth.engines.docker_api import contexts, settings
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine, no_daemon
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import requests

    from twelfth.engines.docker_api.container_spec import Body

ANSWER_WITHIN = 1
"""Seconds within which a daemon must answer, or it counts as absent."""

LONGEST_CALL = 60
"""Seconds within which any later call must start to answer, as by default in the SDK."""


def connect(context: str = "") -> docker.APIClient:
    """Return a connected low-level client for a context, by default for the daemon that the docker command line uses.

    Raises `EngineError` if there is no such context or no daemon answers.
    """
    by_environment = not context and os.environ.get("DOCKER_HOST")
    with docker_errors("the Docker settings are wrong"):
        where = kwargs_from_env() if by_environment else contexts.settings(context or settings.current_context())
    return connect_to(**where)


def connect_to(base_url: str = "", **options: Any) -> docker.APIClient:
    """Return a connected low-level client for a daemon; raises `EngineError` if none answers."""
    url = base_url or "the default socket"
    if url.startswith("ssh://"):
        return _connect_over_ssh(url)
    try:
        client = docker.APIClient(base_url or None, version="auto", timeout=ANSWER_WITHIN, **options)
    except docker.errors.DockerException as error:
        raise EngineError(no_daemon(url, error)) from error
    client.timeout = LONGEST_CALL
    return client


def _connect_over_ssh(url: str) -> docker.APIClient:
    from twelfth.engines.docker_api import ssh

    with docker_errors(f"cannot connect to {url}"):
        return ssh.connect(url, LONGEST_CALL)


def inspect_container(api: docker.APIClient, container: str) -> Body | None:
    """Return an inspected container, None if it is gone."""
    with gone_is_fine():
        answer: Body = api.inspect_container(container)
        return answer
    return None


def inspect_containers(api: docker.APIClient, listed: Iterable[Body]) -> list[Body]:
    """Inspect listed containers, without those that are gone by now."""
    inspected = (inspect_container(api, container["Id"]) for container in listed)
    return [container for container in inspected if container]


def remote_host(api: docker.APIClient) -> str:
    """Return the host of a daemon with a TCP or SSH address, an empty string for one on a socket of this machine."""
    url = urlsplit(api.base_url)
    if url.scheme in {"http", "https"}:
        return url.hostname or ""
    return getattr(api.get_adapter(api.base_url), "remote_host", "")


def machine(api: docker.APIClient) -> str:
    """Return the machine of a daemon with a TCP or SSH address as ssh takes it, "" for a socket or loopback address."""
    name: str = getattr(api.get_adapter(api.base_url), "machine", "") or remote_host(api)
    return "" if urlsplit(f"//{name}").hostname in {"localhost", "127.0.0.1", "::1"} else name


def shares_network(api: docker.APIClient) -> bool:
    """Return whether a daemon shares the network namespace of this process.

    A socket may lead to another machine (`ssh -L`), or to a daemon in a separate network.
    """
    path = getattr(api.get_adapter(api.base_url), "socket_path", None)
    if not path or api.info()["Name"] != socket.gethostname():
        return False
    process = _process_behind(path)
    if process == 0:  # one of the two is in a container
        return False
    with contextlib.suppress(OSError):  # namespaces of another user's process cannot be read
        return Path(f"/proc/{process}/ns/net").samefile("/proc/self/ns/net")
    return True


def _process_behind(path: str) -> int:
    """Return the id of the process that listens on a socket, 0 if it is not visible here, -1 if it is unknown."""
    if not hasattr(socket, "SO_PEERCRED"):
        return -1
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def post(api: docker.APIClient, path: str, body: Body, params: Mapping[str, Any]) -> None:
    """Send a POST request that the SDK has no method for; raises the errors of the SDK."""
    with api.post(f"{api.base_url}/v{api.api_version}{path}", json=body, params=params, timeout=LONGEST_CALL) as answer:
        refuse_failed(answer)


def post_stream(api: docker.APIClient, path: str, body: Body) -> requests.Response:
    """Send a POST request and return the daemon's answer as a stream."""
    answer = api.post(f"{api.base_url}/v{api.api_version}{path}", json=body, stream=True, timeout=(LONGEST_CALL, None))
    refuse_failed(answer)
    return answer


def split_networks(api: docker.APIClient, endpoints: Mapping[str, Body]) -> tuple[Body, Mapping[str, Body]]:
    """Return the part of a container's body with the networks that it is created on, and those to join later.

    From API 1.44 on, a container is created on all of its networks, before on only one.
    """
    count = len(endpoints) if version_gte(api.api_version, "1.44") else 1
    first, later = [*endpoints.items()][:count], [*endpoints.items()][count:]
    return {"NetworkingConfig": {"EndpointsConfig": dict(first)}}, dict(later)


def join_networks(api: docker.APIClient, container: str, endpoints: Mapping[str, Body]) -> None:
    """Connect a container to networks, with its settings on each."""
    for network, endpoint in endpoints.items():
        join_network(api, container, network, endpoint)


def join_network(api: docker.APIClient, container: str, network: str, endpoint: Body) -> None:
    """Connect a container to a network with its settings there; the SDK lacks some of them."""
    post(api, f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint}, {})


def stream(api: docker.APIClient, path: str, params: Mapping[str, Any], within: float | None) -> requests.Response:
    """Send a GET request and return the daemon's answer as a stream; each piece must arrive in `within` seconds."""
    url = f"{api.base_url}/v{api.api_version}{path}"
    answer = api.get(url, params=params, stream=True, timeout=(LONGEST_CALL, within))
    refuse_failed(answer)
    return answer


def refuse_failed(answer: requests.Response) -> None:
    """Raise the SDK's error for a failed request."""
    try:
        answer.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)
