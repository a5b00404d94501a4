"""Claims of a stack on a daemon: containers that are never started, whose names are unique.

They have no label of Compose or of a run, so they are neither services nor orphans. `docker container prune` removes
them: the process that claims something has to record it elsewhere, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines.docker_api import state_image
from twelfth.engines.docker_api.errors import CONFLICT, docker_errors, gone_is_fine

if TYPE_CHECKING:
    from collections.abc import Iterable

    import docker

CLAIM = "twelfth.claim"
"""Label of the container; the value is the project."""


class Claims:
    """The claims of one project."""

    def __init__(self, api: docker.APIClient, project: str) -> None:
        self.api, self.project = api, project
        self._prefix = f"twelfth-claim-{project}."  # a project's name has no dot

    def claim(self, name: str) -> bool:
        """Create the container; return whether no other process had done so."""
        with docker_errors("cannot claim the fire"):
            body = {
                "Image": state_image.ensure(self.api),
                "Cmd": [state_image.WAIT],
                "Labels": {CLAIM: self.project},
                "HostConfig": {"NetworkMode": "none", "ReadonlyRootfs": True},
            }
            try:
                self.api.create_container_from_config(body, f"{self._prefix}{name}")
            except APIError as error:
                if error.status_code != CONFLICT:
                    raise
                return False
        return True

    def names(self) -> frozenset[str]:
        """Return the names of the claims."""
        with docker_errors():
            containers = self.api.containers(all=True, filters={"label": f"{CLAIM}={self.project}"})
        names = [name.lstrip("/") for container in containers for name in container["Names"] or ()]
        return frozenset(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def remove(self, names: Iterable[str]) -> None:
        """Remove the containers of claims."""
        for name in names:
            with docker_errors(), gone_is_fine():
                self.api.remove_container(f"{self._prefix}{name}")
