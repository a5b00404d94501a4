"""The names of images for the nodes of a Swarm."""

from __future__ import annotations

from typing import Any

import pytest

from twelfth.engines.swarm import registry

REPOSITORY = "host:5000/library/redis"


class Daemon:
    """A daemon that records where an image is pushed to."""

    def __init__(self) -> None:
        """Have nothing pushed yet."""
        self.pushed: list[tuple[str, str | None]] = []

    def inspect_image(self, _: str) -> dict[str, Any]:
        """Return an image as it is once it was pushed."""
        return {"RepoDigests": ["redis@sha256:1", f"{REPOSITORY}@sha256:2"]}

    def tag(self, _: str, repository: str, tag: str | None) -> None:
        """Note it."""
        self.pushed.append((repository, tag))

    def push(self, repository: str, *, tag: str | None, **_: object) -> list[dict[str, Any]]:
        """Note it."""
        self.pushed.append((repository, tag))
        return []


@pytest.mark.parametrize(("image", "tag"), [("library/redis:8", "8"), ("library/redis", None)])
def test_image_is_in_the_registry_under_its_own_name(
    monkeypatch: pytest.MonkeyPatch, image: str, tag: str | None
) -> None:
    """The image may have no tag; the port of the registry is not mistaken for one."""
    monkeypatch.setenv("REGISTRY", "host:5000")
    daemon: Any = Daemon()
    registry.push(daemon, image, print)

    assert [(REPOSITORY, tag), (REPOSITORY, tag or "latest")] == daemon.pushed
    assert f"host:5000/{image}@sha256:2" == registry.reference(daemon, image)
