"""Images of a Swarm: what its nodes ask for, which is the same for all of them where they have it by its digest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import images, progress
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.model.image_name import ImageName, image_name

if TYPE_CHECKING:
    import docker

    from twelfth.engines.contract import Say
    from twelfth.engines.docker_api.container_spec import Body

DIGITS = 12
"""Digits of the digest that name an image without a tag."""


def named() -> str:
    """Return the host and port of the registry that the operator names (`REGISTRY`), "" where there is none."""
    return os.environ.get("REGISTRY", "")


def reference(api: docker.APIClient, image: str) -> str:
    """Return how nodes have an image: by its digest in the registry, or by its name; "" where it is not there."""
    found = images.inspect(api, image)
    if not named():
        return image if found else ""
    destination = in_registry(image)
    here = map(image_name, (found or {}).get("RepoDigests") or [])
    digest = next((each.digest for each in here if each.familiar == destination.familiar), "")
    return f"{destination.tagged}@{digest}" if digest else ""


def in_registry(image: str) -> ImageName:
    """Return an image's name with the operator's registry instead of its own."""
    name = image_name(image)
    return ImageName(f"{named()}/{name.path}", name.tag or name.digest.partition(":")[2][:DIGITS])


def push(api: docker.APIClient, image: str, say: Say) -> None:
    """Give an image of this node's to the registry; raises `EngineError` where that does not take it."""
    destination = in_registry(image)
    with docker_errors(f"cannot push {destination.tagged}"):
        api.tag(image, destination.repository, destination.tag or None)
        stream = api.push(destination.repository, tag=destination.tag or "latest", stream=True, decode=True)
        for line in progress.lines(stream, f"cannot push {destination.tagged}"):
            say(line)


def pulled(api: docker.APIClient, image: str) -> Body:
    """Return an image as its daemon inspects it, pulled where it is not there: by its digest it can be no other."""
    if found := images.inspect(api, image):
        return found
    if "@" in image:
        for _ in images.pull(api, image):
            pass
    return images.inspect(api, image) or {}
