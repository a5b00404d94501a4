"""Configuration files and secrets of containers whose checkout is gone, also on a daemon that cannot see its files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from docker.errors import APIError

from tests import machines
from tests.conftest import engine_at_hand, eventually, require
from tests.other_project import OtherProject
from tests.sample import MODERN

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSE = """
services:
  app:
    image: "${REDIS_IMAGE:-redis:8.0-alpine}"
    command: &forever [sh, -c, "trap 'cp /etc/app.cfg /tmp' HUP; while :; do sleep 0.1; done"]
    init: true
    read_only: true
    tmpfs: [/tmp]
    user: "10001"
    stop_grace_period: 0.1s
    deploy: &quickly {update_config: {monitor: 0.2s}}
    configs: [{source: app, target: /etc/app.cfg}]
    secrets: [{source: token, uid: "10001", gid: "10002", mode: 0400}]
    x-reload: {check: [grep, hello, /etc/app.cfg], signal: SIGHUP}
  other:
    image: "${REDIS_IMAGE:-redis:8.0-alpine}"
    command: *forever
    init: true
    stop_grace_period: 0.1s
    deploy: *quickly
    configs: [{source: app, target: /etc/app.cfg}]
  plain:
    image: "${REDIS_IMAGE:-redis:8.0-alpine}"
    command: *forever
    init: true
    stop_grace_period: 0.1s
    deploy: *quickly
configs: {app: {file: ./app.cfg}}
secrets: {token: {file: ./token}}
"""
FILES = {"compose.yaml": COMPOSE, "app.cfg": "hello one", "token": "hush"}


def clone(project: OtherProject) -> None:
    """Make the project's directory a fresh clone."""
    shutil.rmtree(project.directory, ignore_errors=True)
    project.directory.mkdir()
    for name, text in FILES.items():
        (project.directory / name).write_text(text, "utf-8")


@pytest.fixture(scope="module", params=["docker", MODERN])
def project(request: pytest.FixtureRequest) -> Iterator[OtherProject]:
    """Return a project that is up, with a service that reloads its files, one that does not, and one without files."""
    with engine_at_hand(request) as name, tempfile.TemporaryDirectory(dir=machines.HIDDEN) as directory:
        require(name)
        made = OtherProject(Path(directory, "checkout"))
        clone(made)
        made.printed("up")
        yield made
        made.printed("down", "--volumes", "--history", "--yes")
        assert not made.api.volumes(filters={"name": f"twelfth-state-{made.name}"})["Volumes"]


def inspected(project: OtherProject, service: str) -> dict[str, Any]:
    """Return the service's only container, as the daemon reports it."""
    labels = [f"com.docker.compose.{key}" for key in (f"project={project.name}", f"service={service}", "oneoff=False")]
    (container,) = project.api.containers(filters={"label": labels})
    return cast("dict[str, Any]", project.api.inspect_container(container["Id"]))


def shown(project: OtherProject, service: str, command: str) -> str:
    """Return what a command in the service's only container prints."""
    started = project.api.exec_create(inspected(project, service)["Id"], ["sh", "-c", command])["Id"]
    return str(project.api.exec_start(started), "utf-8")


SEE = "cat /etc/app.cfg; stat -c ' %u:%g:%a ' /run/secrets/token; cat /run/secrets/token"


def test_files_have_their_declared_owner_and_mode(project: OtherProject) -> None:
    """A run has the same files; another service of the stack does not have the secret."""
    expected = "hello one 10001:10002:400 \nhush"

    assert expected == shown(project, "app", SEE)
    assert expected == project.printed("run", "--service", "app", "--", "sh", "-c", SEE)
    assert "hello one" == shown(project, "other", "cat /etc/app.cfg")
    assert "" == shown(project, "other", "find / -xdev -name token")


def test_prune_leaves_the_files(project: OtherProject) -> None:
    """It first removes the container of the state, which never runs; the others do not see the state."""
    name = f"twelfth-state-{project.name}"
    project.api.remove_container(name)
    with pytest.raises(APIError, match="volume is in use"):
        project.api.remove_volume(name)

    for service in ("other", "plain"):
        assert name in {mount.get("Name", "") for mount in inspected(project, service)["Mounts"]}
        assert "" == shown(project, service, "ls -A /.twelfth-state 2>/dev/null")
    assert "nothing to do\n" == project.printed("--dry", "up")


def test_containers_restart_without_the_checkout(project: OtherProject) -> None:
    """`git clean -xfd` removes what is not in the repository, and a runner of CI all of it."""
    shutil.rmtree(project.directory)
    try:
        for container in project.api.containers(filters={"label": f"com.docker.compose.project={project.name}"}):
            project.api.restart(container["Id"], timeout=0)
        assert "hello one" == shown(project, "app", "cat /etc/app.cfg")
        assert "hello one" == shown(project, "other", "cat /etc/app.cfg")
    finally:
        clone(project)
    assert "nothing to do\n" == project.printed("--dry", "up")


@pytest.mark.thorough
def test_file_is_reloaded_from_another_clone(project: OtherProject) -> None:
    """The running container sees the new content, also after a restart; a file that fails the check changes nothing."""
    clone(project)
    file = project.directory / "app.cfg"
    file.write_text("go away", "utf-8")
    refused = project.twelfth("up")
    assert 125 == refused.returncode
    assert "app-1 rejects its configuration" in refused.stderr
    assert "hello one" == shown(project, "app", "cat /etc/app.cfg")

    file.write_text("hello two", "utf-8")
    assert "Reload app-1 (config./etc/app.cfg changed)" in project.printed("up")
    assert eventually(lambda: "hello two" == shown(project, "app", "cat /tmp/app.cfg"))
    assert "hello two" == shown(project, "other", "cat /etc/app.cfg")
    assert "hello two" == project.printed("run", "--service", "app", "--", "cat", "/etc/app.cfg")
    assert "nothing to do\n" == project.printed("--dry", "up")
