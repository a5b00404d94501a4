"""Inspect, build and pull images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth import build_context
from twelfth.compose import container_keys
from twelfth.engines.docker_api import buildkit, progress
from twelfth.engines.docker_api.container_spec import BUILT_BY, BUILT_FOR
from twelfth.engines.docker_api.errors import gone_is_fine, one_line
from twelfth.errors import EngineError
from twelfth.model.image_name import HUB, image_name
from twelfth.operator_name import operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Build


def inspect(api: docker.APIClient, name: str) -> Body | None:
    """Return an inspected image, None if it is missing."""
    with gone_is_fine():
        answer: Body = api.inspect_image(name)
        return answer
    return None


def digest(image: Body, reference: str) -> str:
    """Return an inspected image's name with the digest in the repository of a reference, "" if it has none there."""
    searched, names = image_name(reference), map(image_name, image.get("RepoDigests") or [])
    digests = [name.digest for name in names if name.familiar == searched.familiar]
    chosen = searched.digest if searched.digest in digests else next(iter(digests), "")
    return f"{searched.repository}@{chosen}" if chosen else ""


def build(api: docker.APIClient, image: str, spec: Build, project: str = "") -> Iterator[str]:
    """Build an image, and yield its steps; raises `EngineError` if a step fails.

    BuildKit builds it if the docker command has buildx, else the daemon's classic builder. The names that the Compose
    file declares become its tags.
    """
    contents, settings = build_context.require_contents(spec), _settings(spec, project)
    if unusual := contents.unusual:
        size = sum(unusual.values()) / 10**6
        yield f"{', '.join(unusual)} ({size:.1f} MB) are part of the build context; a .dockerignore can exclude them"
    if buildkit.is_available(api):
        yield from buildkit.build(api, image, contents, settings, spec)
    elif needs := [key for key in ("secrets", "ssh", "additional_contexts") if getattr(spec, key)]:
        raise EngineError(
            f"cannot build {image}: build.{needs[0]} requires BuildKit; install docker buildx, then: invoke up"
        )
    else:
        context, dockerfile = build_context.for_daemon(contents, spec)
        settings |= {"dockerfile": dockerfile, "custom_context": True, "fileobj": context}
        stream = api.build(tag=image, rm=True, forcerm=True, decode=True, **settings)
        yield from progress.lines(stream, f"cannot build {image}")
    for name in (spec.tag, *container_keys.values(spec.options).get("tags", ())):
        if name:
            api.tag(image, image_name(name).repository, image_name(name).tag or None)


def _settings(spec: Build, project: str) -> Body:
    """Return the declared settings as arguments of the SDK's `build`."""
    declared = container_keys.values(spec.options)
    return {
        "buildargs": dict(spec.args),
        "target": spec.target,
        "labels": {**declared.get("labels", {}), BUILT_BY: operator(), BUILT_FOR: project},
        "cache_from": declared.get("cache_from"),
        "extra_hosts": dict(pair.split("=", 1) for pair in declared.get("extra_hosts", ())) or None,
        "network_mode": declared.get("network"),
        "nocache": bool(declared.get("no_cache")),
        "platform": next(iter(declared.get("platforms", ())), None),
        "pull": bool(declared.get("pull")),
        "shmsize": int(declared["shm_size"]) if "shm_size" in declared else None,
    }


def pull(api: docker.APIClient, image: str, platform: str = "") -> Iterator[str]:
    """Pull an image, and yield its progress; raises `EngineError` if it cannot be pulled."""
    try:
        stream = api.pull(image, stream=True, decode=True, platform=platform or None)
        yield from progress.lines(stream, f"cannot pull {image}")
    except (APIError, EngineError) as error:
        if refused := unpulled(image, str(getattr(error, "explanation", None) or error)):
            raise EngineError(refused) from error
        raise


DENIED = re.compile("no basic auth|unauthorized|authentication required|denied|forbidden", re.IGNORECASE)
MISSING = re.compile("manifest unknown|manifest for .* not found|name unknown|not found: manifest", re.IGNORECASE)


def unpulled(image: str, why: str) -> str:
    """Return the error for an image that its registry refuses or does not have, "" for any other failure."""
    host = registry_host(image)
    where = host or "Docker Hub"
    if MISSING.search(why):
        # A digest is that of a release, whose image was removed here and in its registry.
        hint = "Try: invoke releases" if "@" in image else "Correct the name or its tag, then: invoke up"
        return f"cannot pull {image}: {where} does not have it. {hint}"
    if DENIED.search(why):
        return f"cannot pull {image}: {where} refuses it ({one_line(why, 80)}). Try: {f'docker login {host}'.strip()}"
    return ""


def registry_host(image: str) -> str:
    """Return the registry that an image's name has, "" for Docker Hub."""
    name = image_name(image)
    host = name.repository.removesuffix(name.path).rstrip("/")
    return "" if host in HUB else host
