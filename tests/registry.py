"""A registry on this machine, which the daemon uses without TLS, and what tests leave of its images."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from tests.real_redis import eventually, free_port
from twelfth.engines import tcp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker


@contextlib.contextmanager
def registry(directory: Path) -> Iterator[str]:
    """Run a registry with its images in a directory, and return its host and port."""
    port, settings = free_port(), directory / "registry.yml"
    settings.write_text(
        f"{{version: 0.1, http: {{addr: '127.0.0.1:{port}'}}, log: {{level: error}}, "
        f"storage: {{filesystem: {{rootdirectory: {directory / 'images'}}}}}}}"
    )
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", settings], stdout=log, stderr=log)  # noqa: S607
    try:
        eventually(lambda: tcp.answers("127.0.0.1", port), 10)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def push(api: docker.APIClient, name: str) -> None:
    """Push an image to the registry in its name, and remove that name from the daemon."""
    repository, _, tag = name.rpartition(":")
    answers = [*api.push(repository, tag, stream=True, decode=True)]
    assert not [answer for answer in answers if "error" in answer]
    api.remove_image(name)


def remove_images(api: docker.APIClient, *prefixes: str) -> None:
    """Remove the images whose names begin with one of the prefixes."""
    images = api.images()
    for key in ("RepoTags", "RepoDigests"):
        for name in [name for image in images for name in image[key] or [] if name.startswith(prefixes)]:
            with contextlib.suppress(Exception):
                api.remove_image(name, force=True)
