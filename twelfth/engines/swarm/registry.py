"""Images of a Swarm: what its nodes ask for, which is the same for all of them where they have it by its digest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from docker.utils import parse_repository_tag

from twelfth.engines.docker import images, progress
from twelfth.engines.docker.errors import docker_errors

if TYPE_CHECKING:
    import docker

    from twelfth.engines.contract import Say
    from twelfth.engines.docker.replica import Body


def named() -> str:
    """Return the host and port of the registry that the operator names (`REGISTRY`), "" where there is none."""
    return os.environ.get("REGISTRY", "")


def reference(api: docker.APIClient, image: str) -> str:
    """Return how nodes have an image: by its digest in the registry, or by its name; "" where it is not there."""
    found = images.inspect(api, image)
    if not named():
        return image if found else ""
    name = f"{named()}/{image}"
    repository, _ = parse_repository_tag(name)
    digests = [each for each in (found or {}).get("RepoDigests") or [] if each.startswith(f"{repository}@")]
    return f"{name}@{digests[0].partition('@')[2]}" if digests else ""


def push(api: docker.APIClient, image: str, say: Say) -> None:
    """Give an image of this node's to the registry; raises `EngineError` where that does not take it."""
    name = f"{named()}/{image}"
    repository, tag = parse_repository_tag(name)
    with docker_errors(f"cannot push {name}"):
        api.tag(image, repository, tag)
        stream = api.push(repository, tag=tag or "latest", stream=True, decode=True)
        for line in progress.lines(stream, f"cannot push {name}"):
            say(line)


def pulled(api: docker.APIClient, image: str) -> Body:
    """Return an image as its daemon inspects it, pulled where it is not there: by its digest it can be no other."""
    if found := images.inspect(api, image):
        return found
    if "@" in image:
        for _ in images.pull(api, image):
            pass
    return images.inspect(api, image) or {}
