"""Decisions about pulled images: their digests, which names are removed, and why a pull fails."""

from __future__ import annotations

import pytest

from twelfth.engines.docker_api import images, snapshot

KEPT = "twelfth-kept/abc:111111111111"


@pytest.mark.parametrize(
    ("reference", "digests", "expected"),
    [
        ("host:5000/app:v1", ["other@sha256:1", "host:5000/app@sha256:2"], "host:5000/app@sha256:2"),
        ("redis:8", ["redis@sha256:1"], "redis@sha256:1"),
        ("app@sha256:2", ["app@sha256:1", "app@sha256:2"], "app@sha256:2"),
        ("app:v1", ["other@sha256:1"], ""),
        ("app:v1", None, ""),
    ],
)
def test_digest_is_of_the_repository_of_the_reference(reference: str, digests: list[str] | None, expected: str) -> None:
    """An image may have digests in several; a loaded one has none."""
    assert expected == images.digest({"RepoDigests": digests}, reference)


@pytest.mark.parametrize(
    ("tags", "digests", "names", "expected"),
    [
        ([KEPT, "r/app:v1"], ["r/app@sha256:1"], ["r/app:v1"], "id"),
        ([KEPT], ["r/app@sha256:1"], ["r/app:v1"], "id"),
        ([KEPT, "r/app:v1", "mine:1"], ["r/app@sha256:1"], ["r/app:v1"], KEPT),
        ([KEPT, "r/app:v1", "twelfth-kept/other:111111111111"], [], ["r/app:v1"], KEPT),
        ([KEPT], ["r/app@sha256:1", "mirror/app@sha256:1"], ["r/app:v1"], KEPT),
        ([KEPT, "r/app:v1"], ["r/app@sha256:1"], [], KEPT),
    ],
)
def test_only_an_image_that_nothing_else_names_is_removed(
    tags: list[str], digests: list[str], names: list[str], expected: str
) -> None:
    """Another tag, another stack, another registry, or an operator who pulled it."""
    image = {"Id": "id", "RepoTags": tags, "RepoDigests": digests}
    assert expected == snapshot.name_to_remove(image, KEPT, names)


@pytest.mark.parametrize(
    ("image", "why", "expected"),
    [
        (
            "h:5000/a:1",
            "no basic auth credentials",
            "h:5000 refuses it (no basic auth credentials). Try: docker login h:5000",
        ),
        (
            "me/a:1",
            "pull access denied for me/a",
            "Docker Hub refuses it (pull access denied for me/a). Try: docker login",
        ),
        ("h/a:1", "received unexpected HTTP status: 403 Forbidden", ""),
        ("ghcr.io/a:1", "403 Forbidden", "ghcr.io refuses it (403 Forbidden). Try: docker login ghcr.io"),
        ("h:5000/a:1", "manifest unknown", "h:5000 does not have it. Correct the name or its tag, then: invoke up"),
        ("h:5000/a@sha256:1", "manifest unknown", "h:5000 does not have it. Try: invoke releases"),
        ("h:5000/a:1", "dial tcp: connection refused", ""),
    ],
)
def test_failed_pull_names_the_command_to_type(image: str, why: str, expected: str) -> None:
    """If the registry refuses it or does not have it; other failures keep their message."""
    if image == "h/a:1":  # `h` is an organisation on Docker Hub
        expected = f"Docker Hub refuses it ({why}). Try: docker login"
    assert (f"cannot pull {image}: {expected}" if expected else "") == images.unpulled(image, why)
