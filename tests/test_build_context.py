"""What a release is made of: files and links of the build context, the same on every engine."""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from twelfth import build_context
from twelfth.build_context import release
from twelfth.engines import choice
from twelfth.engines.docker.engine import Docker
from twelfth.engines.docker_api import buildkit, client
from twelfth.errors import EngineError, MisuseError
from twelfth.model.service import Build
from twelfth.stack import load

if TYPE_CHECKING:
    from pathlib import Path

COMPOSE = """
services:
  app:
    image: ${COMPOSE_PROJECT_NAME}:${RELEASE:-compose}
    build: {context: ., args: {BASE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    x-local: {command: [sleep, "60"]}
"""
DOCKERFILE = """
ARG BASE
FROM ${BASE}
COPY app /app
"""


@pytest.fixture
def context(tmp_path: Path, state_of_test: Path) -> Path:  # noqa: ARG001 - it has an effect
    """Return a project whose release holds `app/real/a` and what a test adds to `app`."""
    context = tmp_path / "context"
    (context / "app" / "real").mkdir(parents=True)
    (context / "app" / "real" / "a").write_text("inside\n")
    (context / "docker-compose.yml").write_text(COMPOSE)
    (context / "Dockerfile").write_text(DOCKERFILE)
    return context


def name(context: Path) -> str:
    """Return the release's name."""
    return release.digest(build_context.read(Build(context)), Build(context))


def prepare(engine_name: str, context: Path, said: list[str]) -> None:
    """Have the release made; the engine tells `said` how it is getting on."""
    environment = dict(os.environ) | {"COMPOSE_PROJECT_NAME": f"t{secrets.token_hex(4)}"}
    engine = choice.choose(engine_name, load.of_current_release(load.load_stack(context, environment)))
    (service,) = engine.stack.services
    engine.ensure_image(service, said.append)
    if isinstance(engine, Docker):
        engine.api.remove_image(service.image)


@pytest.mark.parametrize("target", ["real/b", "real", "/etc/passwd", "nowhere"])
def test_where_a_link_leads_is_part_of_the_name(context: Path, target: str) -> None:
    """The target is not followed: it is part of the release itself, or not at all."""
    link = context / "app" / "link"
    link.symlink_to("real/a")
    before = name(context)
    link.unlink()
    link.symlink_to(target)

    assert before != name(context)


@pytest.mark.parametrize("place", [".twelfth", "app/.twelfth"])
@pytest.mark.parametrize("ignored", [None, "*\n!**\n"])
def test_our_own_state_is_no_part_of_a_release(context: Path, place: str, ignored: str | None) -> None:
    """A project need not have a `.dockerignore`: `up` leaves a lock, and the next `up` finds the same release."""
    if ignored:
        (context / ".dockerignore").write_text(ignored)
    before = name(context)
    (context / place).mkdir()
    (context / place / "x.lock").write_text("process 1")

    assert before == name(context)


def test_a_link_and_a_file_that_holds_its_target_are_two_releases(context: Path) -> None:
    """Though the bytes are the same."""
    link = context / "app" / "link"
    link.symlink_to("real")
    before = name(context)
    link.unlink()
    link.write_text("real")

    assert before != name(context)


def test_what_a_linked_dockerfile_says_is_part_of_the_name(context: Path) -> None:
    """The builder reads it, and it is not copied: it may be a link out of the context."""
    before = name(context)
    elsewhere = (context / "Dockerfile").rename(context.parent / "Dockerfile")
    (context / "Dockerfile").symlink_to(elsewhere)

    assert before == name(context)
    elsewhere.write_text(f"{DOCKERFILE}USER 1\n")
    assert before != name(context)


def test_links_stay_links(context: Path, engine_name: str, state_of_test: Path) -> None:
    """Those to a file, to a directory and to nothing, as `docker build` has them."""
    app = context / "app"
    for path, target in {"a": "real/a", "d": "real", "n": "nowhere", "real/up": "../a"}.items():
        (app / path).symlink_to(target)
    check = '[ "$(cat real/up; readlink a d n real/up | xargs)" = "$(printf "inside\\nreal/a real nowhere ../a")" ]'
    (context / "Dockerfile").write_text(f"{DOCKERFILE}WORKDIR /app\nRUN {check}\n")
    prepare(engine_name, context, [])

    copies = list(state_of_test.glob("*/releases/*/app"))
    assert (engine_name == "local") == bool(copies)  # on Docker it was the build that checked
    for copy in copies:
        subprocess.run(["sh", "-c", check], cwd=copy, check=True)  # noqa: S607


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "real/back/../../../secret"])
def test_a_link_out_of_the_release_is_refused_where_it_would_lead_somewhere(
    context: Path, target: str, state_of_test: Path
) -> None:
    """The local engine has this machine's files around a release; nothing of a half-made one is left."""
    require("local")
    (context / "app" / "real" / "back").symlink_to("../real")
    (context / "app" / "link").symlink_to(target)

    with pytest.raises(MisuseError, match=f"^app/link is a symbolic link to {target}, outside of the release"):
        prepare("local", context, [])
    assert [] == list(state_of_test.glob("*/releases/*"))


TWO_BUILT = """
name: two
services:
  app: {build: ./app, x-local: {command: [sleep, "60"]}}
  other: {build: ./other, x-local: {command: [sleep, "60"]}}
  same: {build: ./app}
"""


@pytest.fixture
def two_built(tmp_path: Path) -> Path:
    """Return a project that builds from two directories."""
    (tmp_path / "compose.yaml").write_text(TWO_BUILT)
    for name in ("app", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def tags(directory: Path) -> set[str]:
    """Return the releases of the built services, from the present files."""
    stack = load.of_current_release(load.load_stack(directory, dict(os.environ)))
    return {each.image.rpartition(":")[2] for each in stack.services}


@pytest.mark.parametrize("changed", ["app", "other"])
def test_release_of_several_images_is_named_by_what_each_is_built_from(two_built: Path, changed: str) -> None:
    """A change of either makes another; there is one name for all."""
    before = tags(two_built)
    (two_built / changed / "file").touch()

    assert {1} == {len(before), len(tags(two_built)), len(before - tags(two_built))}


def test_release_of_one_context_has_the_name_of_its_own(two_built: Path) -> None:
    """However many services are built from it."""
    alone = name(two_built / "app")
    (two_built / "compose.yaml").write_text(TWO_BUILT.replace("./other", "./app"))

    assert {alone} == tags(two_built)


def test_each_build_has_what_was_read_for_its_name(two_built: Path) -> None:
    """While the first is built, the files of the second may be edited."""
    stack = load.of_current_release(load.load_stack(two_built, dict(os.environ)))
    app, other, same = (service.build for service in stack.services)
    assert app and other and same  # noqa: PT018 - for mypy
    (two_built / "other" / "file").touch()
    edited = load.of_current_release(load.load_stack(two_built, dict(os.environ))).services[1].build

    assert app.contents is same.contents is not other.contents
    assert edited
    assert build_context.require_contents(edited).digest != build_context.require_contents(other).digest


def test_two_contexts_are_refused_where_a_release_is_one_copy(two_built: Path) -> None:
    """Before anything is copied: a service would start from the files of another."""
    engine = choice.choose("local", load.of_current_release(load.load_stack(two_built, dict(os.environ))))

    with pytest.raises(EngineError, match="app and other are built from different directories"):
        engine.ensure_image(engine.stack.services[0], lambda _: None)


def test_a_failed_build_tells_what_the_step_that_failed_said_last(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last lines as progress, without those of the steps before, and the last of all in the error."""
    require("docker")
    monkeypatch.setattr(buildkit, "is_available", lambda _: False)
    step = "exec >&2; echo one; echo no such package; echo; exit 3"  # the daemon keeps the order of one stream only
    (context / "Dockerfile").write_text(f"{DOCKERFILE}RUN echo zero\nRUN {step}\n")
    said: list[str] = []

    with pytest.raises(EngineError, match=r": no such package \(step 5/7, exit code 3\); fix that, then: invoke up$"):
        prepare("docker", context, said)
    assert [f"Step 5/7 : RUN {step}", "one", "no such package"] == said[4:]


def test_buildkit_builds_what_needs_it_and_tells_as_much_of_what_fails(context: Path) -> None:
    """Through `docker buildx`, where the operator has it."""
    require("docker")
    if not buildkit.is_available(client.connect()):
        pytest.skip("docker has no buildx here")
    mount = "--mount=type=cache,target=/c"
    (context / "Dockerfile").write_text(f"{DOCKERFILE}RUN {mount} echo zero\n")
    said: list[str] = []
    prepare("docker", context, said)
    assert f"RUN {mount} echo zero" in said[-1]

    (context / "Dockerfile").write_text(f"{DOCKERFILE}RUN {mount} echo no such package; exit 3\n")
    with pytest.raises(EngineError, match=r": no such package \(step 3/3, exit code 3\); fix that, then: invoke up$"):
        prepare("docker", context, said)


def test_what_only_buildkit_can_build_is_told_where_it_is_not(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    require("docker")
    monkeypatch.setattr(buildkit, "is_available", lambda _: False)
    (context / "Dockerfile").write_text(f"{DOCKERFILE}RUN --mount=type=cache,target=/c true\n")

    with pytest.raises(EngineError, match=r"requires BuildKit.*; install docker buildx for BuildKit, then: invoke up$"):
        prepare("docker", context, [])
