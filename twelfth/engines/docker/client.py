"""The connection to the daemon that the docker command line would talk to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twelfth.engines.docker.errors import docker_errors, gone_is_fine, no_daemon, over_ssh
from twelfth.errors import EngineError

if TYPE_CHECKING:
    import docker

    from twelfth.engines.docker.replica import Body

ANSWER_WITHIN = 1
"""Seconds that a daemon has to answer before it counts as absent."""

LONGEST_CALL = 60
"""Seconds that any later call may take to begin to answer, the SDK's own default."""


def connect() -> docker.APIClient:
    """Return the low-level client, connected; raises `EngineError` where no daemon answers."""
    import docker
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name
    from docker.utils import kwargs_from_env

    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    with docker_errors("the Docker settings are wrong"):
        where = kwargs_from_env() if os.environ.get("DOCKER_HOST") else ContextAPI.kwargs_from_context(name)
    if not where:
        raise EngineError(f"there is no Docker context {name}; see: docker context ls")
    url = where.get("base_url", "the default socket")
    if url.startswith("ssh://"):
        raise EngineError(over_ssh(url))
    try:
        client = docker.APIClient(version="auto", timeout=ANSWER_WITHIN, **where)
    except docker.errors.DockerException as error:
        raise EngineError(no_daemon(url, error)) from error
    client.timeout = LONGEST_CALL
    return client


def inspect_container(api: docker.APIClient, identity: str) -> Body | None:
    """Return what the daemon says of a container, None where it is gone."""
    with gone_is_fine():
        answer: Body = api.inspect_container(identity)
        return answer
    return None
