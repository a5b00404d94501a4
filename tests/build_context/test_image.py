"""An image and a local copy contain the same as `docker build` makes of the directory, read once."""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import require_program
from tests.docker_client import listed
from tests.sample import MODERN
from twelfth.engines import choice
from twelfth.engines.docker_api import buildkit
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.errors import NoReleaseError
from twelfth.stack import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.engines.contract import Engine
    from twelfth.engines.local.engine import Local

COMPOSE = """
services:
  app: {image: "NAME", build: ., x-local: {command: [sleep, "60"]}}
"""
DOCKERFILE = "FROM scratch\nCOPY . /srv\n"
DOCKER = pytest.mark.parametrize("engine_name", ["docker", MODERN], indirect=True)
EACH = pytest.mark.parametrize("engine_name", ["local", "docker", MODERN], indirect=True)


@pytest.fixture
def directory(context: Path) -> Iterator[Path]:
    """Return the context as a project; remove its images after the test."""
    name = f"t{secrets.token_hex(4)}"
    (context / "compose.yaml").write_text(COMPOSE.replace("NAME", name))
    (context / "Dockerfile").write_text(DOCKERFILE)
    os.utime(context / "Dockerfile", (7, 7))
    yield context
    if choice.choose("docker", load.load_stack(context, os.environ)).why_unavailable():
        return
    api = daemon(context).api
    for tag in (tag for image in api.images(name) for tag in image["RepoTags"]):
        api.remove_image(tag, force=True)


def engine(directory: Path, name: str) -> Engine:
    """Return an engine with the stack of the present files."""
    declared = load.load_stack(directory, os.environ)
    return choice.choose(name, load.of_current_release(declared, choice.choose(name, declared).has_buildkit))


def daemon(directory: Path) -> DaemonEngine:
    """Return the docker engine, without a release of its stack."""
    found = choice.choose("docker", load.load_stack(directory, os.environ))
    assert isinstance(found, DaemonEngine)
    return found


def held(directory: Path, image: str) -> dict[str, tuple[object, ...]]:
    """Return the files of an image in /srv."""
    api = daemon(directory).api
    container = api.create_container(image, ["x"])["Id"]
    try:
        archive = b"".join(api.export(container))
    finally:
        api.remove_container(container)
    return {path: each for path, each in listed(archive).items() if path.startswith("srv/")}


@DOCKER
@pytest.mark.parametrize(
    "ignored", [None, "Dockerfile\nplain\n", "*\n!**/secret\n!ä\n", "*\n!d/g*\n!ä\n", "*\n!d/group"]
)
def test_image_holds_what_docker_build_makes(engine_name: str, directory: Path, ignored: str | None) -> None:
    """Types, modes, times, owners, links, attributes and bytes; the caches of both builders ignore times.

    A directory that a builder writes to last has the current time; when that happens depends on the builder.
    """
    require_program("docker")
    if ignored is not None:
        (directory / ".dockerignore").write_text(ignored)
    found = engine(directory, engine_name)
    (service,) = found.stack.services
    found.ensure_image(service, lambda _: None)
    has_buildkit = buildkit.is_available(daemon(directory).api)
    reference = f"{service.image.partition(':')[0]}:reference"
    command = ["docker", "buildx", "build", "--load", "--provenance=false"] if has_buildkit else ["docker", "build"]
    subprocess.run(
        [*command, "--no-cache", "--quiet", f"--tag={reference}", str(directory)],
        env=os.environ | {"DOCKER_BUILDKIT": str(int(has_buildkit))},
        check=True,
        capture_output=True,
    )

    expected, made = held(directory, reference), held(directory, service.image)
    assert expected
    assert {} == {
        path: (expected.get(path), made.get(path))
        for path in expected.keys() | made.keys()
        if _timed(expected, path) != _timed(made, path)
    }


def _timed(files: dict[str, tuple[object, ...]], path: str) -> object:
    """Return a file; a directory with a hard link has no time."""
    file = files.get(path)
    return (*file[:2], *file[3:]) if file and path == "srv/d" else file


@EACH
def test_release_holds_what_was_read(engine_name: str, directory: Path) -> None:
    """A change before or during the build is not in the release, whose name is of the bytes read."""
    for special in ("fifo", "null", "disk", "out", "up", "long"):  # what a local release refuses, or cannot make
        (directory / special).unlink(missing_ok=True)
    found = engine(directory, engine_name)
    (service,) = found.stack.services
    (directory / "program").write_text("edited")
    (directory / "new").touch()
    (directory / "old").unlink()
    (directory / "Dockerfile").write_text("FROM nowhere\n")
    found.ensure_image(service, lambda _: None)

    if isinstance(found, DaemonEngine):
        files = {path.removeprefix("srv/"): each[-1] for path, each in held(directory, service.image).items()}
    else:
        copy = cast("Local", found).releases_directory / service.release
        files = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    assert (b"program", b"old", False) == (files["program"], files["old"], "new" in files)
    assert DOCKERFILE.encode() == files["Dockerfile"]


@EACH
def test_named_release_without_an_image_is_not_built(engine_name: str, directory: Path) -> None:
    """The present files would get its name."""
    release = "0123456789ab"
    found = choice.choose(engine_name, load.load_stack(directory, os.environ, release))
    (service,) = found.stack.services

    with pytest.raises(NoReleaseError, match="Try: invoke releases"):
        found.ensure_image(service, lambda _: None)
    assert release not in {each.id for each in found.releases()}


def test_local_copy_keeps_times_and_modes(directory: Path) -> None:
    """A file server reports the right times, and a copy has no more readers than its file."""
    for special in ("fifo", "null", "disk", "out", "up", "long"):
        (directory / special).unlink(missing_ok=True)
    found = cast("Local", engine(directory, "local"))
    (service,) = found.stack.services
    found.ensure_image(service, lambda _: None)
    copy = found.releases_directory / service.release

    assert int(1e9) == int((copy / "plain").stat().st_mtime)
    assert 0o444 == (copy / "d" / "group").stat().st_mode & 0o777
    assert 0 == (copy / "d" / "secret").stat().st_mode & 0o022
    assert (copy / "d" / "empty").is_dir()
