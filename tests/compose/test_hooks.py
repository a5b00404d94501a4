"""Release commands of a Compose file: `pre_start`, and `x-release` for older Composes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compose.conftest import OWN, Project
from tests.release_commands import release_command
from twelfth.model.stack import Stack, with_release

if TYPE_CHECKING:
    from twelfth.model.job import Changes

FILE = """
services:
  app:
    image: app:1
    build: .
    command: [serve]
    environment: {{A: "1", B: "2"}}
    mem_limit: 100m
    volumes: [data:/data]
    {text}
  tools: {{image: "tools:1", build: ., networks: [default, back], volumes: [logs:/logs]}}
volumes: {{data: {{}}, logs: {{}}, other: {{}}}}
networks: {{back: {{}}, front: {{}}}}
"""


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return an empty project, read by the Compose that is installed with twelfth."""
    return Project(tmp_path_factory.mktemp("shop"), (OWN,))


def commands(stack: Stack) -> tuple[Changes, ...]:
    """Return the release commands of its service."""
    service = stack.service("app")
    assert service
    return service.pre_start


@pytest.mark.parametrize("text", ["x-release: [a, b c]", "pre_start: [{command: a 'b c'}]"])
def test_both_keys_have_one_value(project: Project, text: str) -> None:
    """Only the command differs from the service."""
    read = commands(project.read(FILE.format(text=text)))

    assert release_command(("a", "b c"), service="app") == read


def test_entry_has_only_what_differs_from_its_service(project: Project) -> None:
    """Compose prints each entry with all keys of its service, except for the volumes."""
    text = "pre_start: [{command: [a], environment: {A: '1', B: '3', C: '4'}, user: root, volumes: ['logs:/l']}, b]"
    text = text.replace(", b]", ", {command: [b], mem_limit: 100m, networks: [back]}]")
    first, second = commands(project.read(FILE.format(text=text)))

    assert {"command", "environment", "user", "volumes"} == first.keys
    assert (("B", "3"), ("C", "4")) == first.container.environment
    assert [("logs", "/l")] == [(mount.source, mount.target) for mount in first.container.mounts]
    assert {"command", "networks"} == second.keys
    assert ("back", "default") == second.container.networks


def test_image_of_an_entry(project: Project) -> None:
    """It is that of its service, that of another service, or a separate one, which `up` ensures."""
    text = "pre_start: [{command: [a], image: 'app:1'}, {command: [a], image: 'tools:1'}, {command: [a], image: redis}]"
    stack = with_release(project.read(FILE.format(text=text)), "abc")

    assert ["", "tools:abc", "redis"] == [command.container.image for command in commands(stack)]
    assert {"app:abc", "tools:abc", "redis"} == stack.image_names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{command: [a], per_replica: true}", "pre_start[0].per_replica is true, which is unsupported. Try: remove it"),
        ("{command: [a], env_file: [x]}", "pre_start[0].env_file is unsupported. Try: remove it"),
        ("{command: [a], environment: {A: }}", 'pre_start[0].environment.A has no value. Try: write a value, or A: ""'),
        ("{command: []}", "pre_start[0].command is missing. Try: write [program, argument, ...]"),
    ],
)
def test_unsupported_key_of_an_entry_is_refused(project: Project, text: str, why: str) -> None:
    """By its full name; Compose ignores some of these keys."""
    assert f"services.app.{why}" in project.refused(FILE.format(text=f"pre_start: [{text}]"))


def test_both_keys_at_once_are_refused(project: Project) -> None:
    """Only one of them could be run first."""
    text = "x-release: [a]\n    pre_start: [{command: [b]}]"

    assert "services.app.x-release and pre_start are both set. Try: remove one of them" in project.refused(
        FILE.format(text=text)
    )


def test_entries_that_are_switched_off(project: Project) -> None:
    """An empty list of either key is none."""
    both = "x-release: []\n    pre_start: [{command: [a]}]"
    assert release_command(("a",), service="app") == commands(project.read(FILE.format(text=both)))
    assert () == commands(project.read(FILE.format(text="x-release: []")))
    assert () == commands(project.read(FILE.format(text="pre_start: []")))
