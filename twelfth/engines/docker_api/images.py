"""Images: inspect one, build it from a service's context, or pull it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth import build_context
from twelfth.compose import options
from twelfth.engines.docker_api import buildkit, progress
from twelfth.engines.docker_api.container_spec import BUILT_BY
from twelfth.engines.docker_api.errors import gone_is_fine
from twelfth.errors import EngineError
from twelfth.model.image_name import image_name
from twelfth.operator_name import operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.stack import Build


def inspect(api: docker.APIClient, name: str) -> Body | None:
    """Return what the daemon says of an image, None where it is not here."""
    with gone_is_fine():
        answer: Body = api.inspect_image(name)
        return answer
    return None


def build(api: docker.APIClient, image: str, source: Build) -> Iterator[str]:
    """Build an image, and yield its steps; raises `EngineError` for one that fails.

    BuildKit builds it where it can be asked, else the daemon's classic builder. What the Compose file calls it is its
    name, too.
    """
    contents = build_context.require_contents(source)
    if unusual := contents.unusual:
        size = sum(unusual.values()) / 10**6
        yield f"{', '.join(unusual)} ({size:.1f} MB) are part of the image's context; a .dockerignore leaves them out"
    if buildkit.is_here(api):
        yield from buildkit.build(api, image, contents, _settings(source), source.secrets)
    elif source.secrets:
        raise EngineError(
            f"cannot build {image}: build.secrets requires BuildKit; install docker buildx, then: invoke up"
        )
    else:
        context, dockerfile = build_context.for_daemon(contents, source)
        settings = _settings(source) | {"dockerfile": dockerfile, "custom_context": True, "fileobj": context}
        stream = api.build(tag=image, rm=True, forcerm=True, decode=True, **settings)
        yield from progress.lines(stream, f"cannot build {image}")
    for name in (source.tag, *options.values(source.options).get("tags", ())):
        if name:
            api.tag(image, image_name(name).repository, image_name(name).tag or None)


def _settings(source: Build) -> Body:
    """Return what the Compose file says of how it is built, as the SDK's `build` has it."""
    said = options.values(source.options)
    return {
        "buildargs": dict(source.args),
        "target": source.target,
        "labels": {**said.get("labels", {}), BUILT_BY: operator()},
        "cache_from": said.get("cache_from"),
        "extra_hosts": dict(pair.split("=", 1) for pair in said.get("extra_hosts", ())) or None,
        "network_mode": said.get("network"),
        "nocache": bool(said.get("no_cache")),
        "platform": next(iter(said.get("platforms", ())), None),
        "pull": bool(said.get("pull")),
        "shmsize": int(said["shm_size"]) if "shm_size" in said else None,
    }


def pull(api: docker.APIClient, image: str, platform: str = "") -> Iterator[str]:
    """Pull an image, and yield what changes; raises `EngineError` where it cannot be had."""
    stream = api.pull(image, stream=True, decode=True, platform=platform or None)
    yield from progress.lines(stream, f"cannot pull {image}")
