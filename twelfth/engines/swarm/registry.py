"""Images of a Swarm: all nodes get the same image because they pull it by its digest."""

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
"""Digits of the digest that serve as the tag of an image without one."""


def named() -> str:
    """Return the host and port of the operator's registry (`REGISTRY`), "" if none is set."""
    return os.environ.get("REGISTRY", "")


def reference(api: docker.APIClient, image: str) -> str:
    """Return the name by which nodes get an image: with its digest in the registry, or its own; "" if it is missing."""
    inspected = images.inspect(api, image)
    if not named():
        return image if inspected else ""
    destination = in_registry(image)
    names = map(image_name, (inspected or {}).get("RepoDigests") or [])
    digest = next((name.digest for name in names if name.familiar == destination.familiar), "")
    return f"{destination.tagged}@{digest}" if digest else ""


def in_registry(image: str) -> ImageName:
    """Return an image's name with the operator's registry."""
    name = image_name(image)
    return ImageName(f"{named()}/{name.path}", name.tag or name.digest.partition(":")[2][:DIGITS])


def push(api: docker.APIClient, image: str, say: Say) -> None:
    """Push an image of this node to the registry; raises `EngineError` if the registry refuses it."""
    destination = in_registry(image)
    with docker_errors(f"cannot push {destination.tagged}"):
        api.tag(image, destination.repository, destination.tag or None)
        stream = api.push(destination.repository, tag=destination.tag or "latest", stream=True, decode=True)
        for line in progress.lines(stream, f"cannot push {destination.tagged}"):
            say(line)


def pulled(api: docker.APIClient, image: str) -> Body:
    """Return an inspected image, {} if it is missing; an image with a digest is pulled if the node does not have it."""
    if inspected := images.inspect(api, image):
        return inspected
    if "@" in image:
        for _ in images.pull(api, image):
            pass
    return images.inspect(api, image) or {}
