"""A named release is deployed from its image or not at all: it is never built from the current files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import NoReleaseError
from twelfth.model.service import Build, Service
from twelfth.model.stack import Stack, with_builds, with_release
from twelfth.stack import deploy

SERVICES = tuple(Service(name, name, build=Build(Path(f"/{name}"))) for name in ("api", "web"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory of a project."""
    return tmp_path


def engine(directory: Path, *images: str, is_named: bool = True) -> Memory:
    """Return an engine with two built services of a release, some of whose images exist."""
    stack = with_release(Stack("p", directory, SERVICES), "0123456789ab")
    stack = with_builds(stack, lambda build: replace(build, is_named=is_named))
    return Memory(stack, World(images=[f"{image}:0123456789ab" for image in images]))


@pytest.mark.parametrize(("images", "missing"), [((), "api:0123456789ab, web"), (("api",), "web"), (("web",), "api")])
def test_missing_image_is_refused_before_anything_is_done(
    directory: Path, images: tuple[str, ...], missing: str
) -> None:
    """By the plan, so by `--dry` too, and by `up`, which plans under its lock."""
    found = engine(directory, *images)
    message = f"^cannot deploy release 0123456789ab: {missing}:0123456789ab is missing. Try: invoke releases$"

    with pytest.raises(NoReleaseError, match=message):
        deploy.plan_up(found)
    with pytest.raises(NoReleaseError, match=message):
        deploy.up(found, Recorded())
    assert [] == found.world.done


def test_image_that_is_there_is_deployed(directory: Path) -> None:
    """Nothing is built."""
    found = engine(directory, "api", "web")
    deploy.up(found, Recorded())

    assert not [change for change in found.world.done if change.startswith("image")]


def test_release_of_the_files_is_built(directory: Path) -> None:
    """It got its name from them."""
    found = engine(directory, is_named=False)
    deploy.up(found, Recorded())

    assert {"image api:0123456789ab", "image web:0123456789ab"} < {*found.world.done}
