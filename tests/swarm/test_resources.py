"""Networks, volumes and services that the Compose file declares otherwise than they are, on a Swarm of one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import docker
import pytest

from tests.conftest import eventually
from tests.other_project import OtherProject
from tests.test_resources import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.swarms import Swarm


class Stack(OtherProject):
    """A stack of one service on the Swarm, with a network and a volume."""

    def __init__(self, directory: Path, swarm: Swarm) -> None:
        """Bring it up."""
        super().__init__(directory, **swarm.environment, INVOKE_ENGINE="swarm")
        self.api = docker.APIClient(swarm.environment["DOCKER_HOST"], version="auto")
        self.up()

    def declare(self, network: str = "", volume: str = "", service: str = "app", file: str = "compose.yaml") -> None:
        """Write the Compose file."""
        text = FILE.format(service=service, network=network, volume=volume)
        (self.directory / file).write_text(text, "utf-8")

    def up(self, network: str = "", volume: str = "") -> str:
        """Declare the network and the volume, bring that up, and return what was printed on standard error."""
        self.declare(network, volume)
        done = self.twelfth("up")
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stderr

    def resources(self) -> set[str]:
        """Return the names of the networks and volumes that begin with the project's name."""
        names = [each["Name"] for each in (*self.api.networks(), *(self.api.volumes()["Volumes"] or []))]
        return {name.removeprefix(self.name) for name in names if name.startswith(self.name)}

    def services(self) -> set[str]:
        """Return the names of the project's services."""
        names = [each["Spec"]["Name"] for each in self.api.services()]
        return {name.removeprefix(self.name) for name in names if name.startswith(self.name)}


@pytest.fixture
def stack(one_node: Swarm, tmp_path: Path) -> Iterator[Stack]:
    """Return the stack, up."""
    made = Stack(tmp_path, one_node)
    yield made
    made.declare()
    made.printed("down", "--volumes", "--history", "--remove-orphans")
    for name in made.resources():
        if any(each["Name"] == made.name + name for each in made.api.networks()):
            made.api.remove_network(made.name + name)
        else:
            made.api.remove_volume(made.name + name)


def test_renamed_network_and_volume_converge(stack: Stack) -> None:
    """The service moves, the old network goes, the old volume stays."""
    warning = stack.up(f"name: {stack.name}-net", f"name: {stack.name}-vol")

    assert f"to remove it with its data: docker volume rm {stack.name}_data" in warning
    assert {"-net", "-vol", "_data"} == stack.resources()
    assert "nothing to do" in stack.printed("--dry", "up")
    stack.printed("down", "--volumes")
    assert {"_data"} == stack.resources()


@pytest.mark.thorough
def test_what_is_external_is_never_removed(stack: Stack) -> None:
    """A network that does not exist is refused; one that does is used."""
    external = f"name: {stack.name}-net, external: true"
    stack.declare(external)
    assert f"there is no network {stack.name}-net, which is external" in stack.twelfth("up").stderr
    stack.api.create_network(f"{stack.name}-net", driver="overlay", attachable=True)
    stack.up(external, f"name: {stack.name}_data, external: true")
    stack.printed("down", "--volumes")

    assert {"-net", "_data"} == stack.resources()


@pytest.mark.thorough
def test_network_that_another_container_uses_does_not_take_the_stack_down(stack: Stack) -> None:
    """It is refused, by name, before anything is stopped."""
    [running] = stack.api.containers()
    settings = {"Image": running["Image"], "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": f"{stack.name}_back"}}
    other = stack.api.create_container_from_config(settings, f"{stack.name}-other")["Id"]
    stack.api.start(other)
    stack.declare("internal: true")
    refused = stack.twelfth("up")
    stack.api.remove_container(other, force=True)

    assert (125, True) == (
        refused.returncode,
        f"containers outside this stack use it ({stack.name}-other)" in refused.stderr,
    )
    assert [running["Id"]] == [each["Id"] for each in stack.api.containers()]


@pytest.mark.thorough
def test_services_of_another_file_stay_and_are_named(stack: Stack) -> None:
    """With what they use; they go where that is asked for."""
    stack.declare(service="db", file="db.yaml")
    stack.printed("up", COMPOSE_FILE="db.yaml")

    assert "orphans stay: db-1 (the Compose file does not declare their services)" in stack.up()
    assert "orphans stay: db-1" in stack.twelfth("status").stderr
    assert {"_app", "_db"} == stack.services()
    assert "_back stays: it is used by" in stack.twelfth("down").stderr
    assert ({"_db"}, {"_back", "_data"}) == (stack.services(), stack.resources())
    stack.printed("up", "--remove-orphans")
    assert eventually(lambda: {"_app"} == stack.services())
