"""Names of images taken apart, with registries, ports, tags and digests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twelfth.compose import services
from twelfth.engines.docker_api import snapshot
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.engines.swarm import registry
from twelfth.model.image_name import ImageName, image_name, is_same
from twelfth.model.service import Build, Service
from twelfth.model.stack import Stack, with_release

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
RELEASE = "0123456789ab"
REPOSITORIES = (
    "app",
    "me/app",
    "localhost/app",
    "localhost:5000/app",
    "registry.example.com:443/a/b/app",
    "127.0.0.1:5000/app",
    "[::1]:5000/app",
    "docker.io/library/app",
)


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("tag", ["", "1.0", "compose"])
@pytest.mark.parametrize("digest", ["", DIGEST])
def test_name_has_a_repository_a_tag_and_a_digest(repository: str, tag: str, digest: str) -> None:
    """Each of the last two may be missing; a registry's port is neither."""
    text = repository + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    assert ImageName(repository, tag, digest) == image_name(text)


@pytest.mark.parametrize(
    ("repository", "path", "familiar"),
    [
        ("app", "app", "app"),
        ("me/app", "me/app", "me/app"),
        ("library/app", "library/app", "app"),
        ("docker.io/library/app", "library/app", "app"),
        ("docker.io/app", "app", "app"),
        ("index.docker.io/me/app", "me/app", "me/app"),
        ("localhost/app", "app", "localhost/app"),
        ("localhost:5000/me/app", "me/app", "localhost:5000/me/app"),
        ("example.com/library/app", "library/app", "example.com/library/app"),
    ],
)
def test_repository_has_a_path_and_the_name_that_the_daemon_gives_it(repository: str, path: str, familiar: str) -> None:
    """The daemon leaves out the registry that it takes by default."""
    name = image_name(f"{repository}:1")

    assert (path, familiar) == (name.path, name.familiar)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("app", "app:latest", True),
        ("app", "docker.io/library/app", True),
        ("localhost:5000/app", "localhost:5000/app:latest", True),
        ("localhost:5000/app", "localhost:5001/app", False),
        ("app:1", "app:2", False),
        (f"app@{DIGEST}", "app", False),
    ],
)
def test_two_names_of_one_image(one: str, other: str, *, same: bool) -> None:
    """As the daemon takes them."""
    assert same is is_same(one, other) is is_same(other, one)


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_service_knows_its_release(repository: str) -> None:
    """Before it has one, and when it has."""
    service = Service("app", repository, build=Build(Path(), tag=f"{repository}:1"))
    other = Service("other", f"{repository}:1")
    stack = with_release(Stack("p", Path(), (service, other)), RELEASE)

    assert not service.release
    assert [f"{repository}:{RELEASE}"] * 2 == [each.image for each in stack.services]
    assert RELEASE == stack.release == stack.services[0].release


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_daemon_lists_the_releases_of_a_repository(repository: str) -> None:
    """By the name that it gives it itself."""
    tags = [f"{image_name(repository).familiar}:{RELEASE}", "other:ba9876543210", f"{repository}x:0123456789ac"]
    image = {"Created": 0, "Labels": None, "Size": 1, "RepoTags": tags}

    assert [RELEASE] == [each.id for each in snapshot.releases(image, repository)]


@pytest.mark.parametrize("release", ["", f":{RELEASE}"])
@pytest.mark.parametrize("repository", REPOSITORIES)
def test_engine_asks_for_the_repository(repository: str, release: str) -> None:
    """Of a stack that has no release yet, as for `releases`, and of one that has."""
    service = Service("app", f"{repository}{release}", build=Build(Path()))
    stack = Stack("p", Path(), (service, replace(service, name="same")))

    assert (repository,) == DaemonEngine.repositories.fget(_Stub(stack))  # type: ignore[attr-defined]


class _Stub:
    """An engine without a daemon."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("end", ["", ":1.0", f"@{DIGEST}", f":1.0@{DIGEST}"])
def test_tag_of_the_file_is_no_part_of_a_built_image(repository: str, end: str) -> None:
    """The release takes its place."""
    model = {"name": "p", "services": {"app": {"image": f"{repository}{end}", "build": {"context": "/"}}}}

    assert repository == services.names(model, (Path("/compose.yaml"),)).services[0].image


@pytest.mark.parametrize(
    ("image", "own"),
    [
        (f"app:{RELEASE}", f"reg:5000/app:{RELEASE}"),
        (f"localhost:5000/app:{RELEASE}", f"reg:5000/app:{RELEASE}"),
        ("ghcr.io/a/redis", "reg:5000/a/redis"),
        (f"redis@{DIGEST}", "reg:5000/redis:0123456789ab"),
        (f"redis:8@{DIGEST}", "reg:5000/redis:8"),
    ],
)
def test_name_in_the_registry_of_a_swarm(image: str, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its registry takes the place of the image's own."""
    monkeypatch.setenv("REGISTRY", "reg:5000")
    assert own == registry.in_registry(image).tagged
