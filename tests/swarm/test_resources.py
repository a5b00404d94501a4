"""Changed declarations of networks, volumes and services, on a Swarm of one node."""

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
        """Declare the network and the volume, run `up`, and return its standard error."""
        self.declare(network, volume)
        process = self.twelfth("up")
        assert 0 == process.returncode, process.stdout + process.stderr
        return process.stderr

    def resources(self) -> set[str]:
        """Return the names of the networks and volumes that start with the project's name."""
        names = [resource["Name"] for resource in (*self.api.networks(), *(self.api.volumes()["Volumes"] or []))]
        return {name.removeprefix(self.name) for name in names if name.startswith(self.name)}

    def services(self) -> set[str]:
        """Return the names of the project's services."""
        names = [service["Spec"]["Name"] for service in self.api.services()]
        return {name.removeprefix(self.name) for name in names if name.startswith(self.name)}


@pytest.fixture
def stack(one_node: Swarm, tmp_path: Path) -> Iterator[Stack]:
    """Return the stack, up."""
    stack = Stack(tmp_path, one_node)
    yield stack
    stack.declare()
    stack.printed("down", "--volumes", "--history", "--yes", "--remove-orphans")
    for name in stack.resources():
        if any(network["Name"] == stack.name + name for network in stack.api.networks()):
            stack.api.remove_network(stack.name + name)
        else:
            stack.api.remove_volume(stack.name + name)


@pytest.mark.thorough
def test_renamed_network_and_volume_converge(stack: Stack) -> None:
    """The service moves, the old network goes, the old volume stays."""
    warning = stack.up(f"name: {stack.name}-net", f"name: {stack.name}-vol")

    assert f"to remove it with its data: docker volume rm {stack.name}_data" in warning
    assert {"-net", "-vol", "_data"} == stack.resources()
    assert "nothing to do" in stack.printed("--dry", "up")
    stack.printed("down", "--volumes")
    assert {"_data"} == stack.resources()


@pytest.mark.thorough
def test_external_resources_are_never_removed(stack: Stack) -> None:
    """A missing network is refused; an existing one is used."""
    external = f"name: {stack.name}-net, external: true"
    stack.declare(external)
    assert f"there is no network {stack.name}-net, which is external" in stack.twelfth("up").stderr
    stack.api.create_network(f"{stack.name}-net", driver="overlay", attachable=True)
    stack.up(external, f"name: {stack.name}_data, external: true")
    stack.printed("down", "--volumes")

    assert {"-net", "_data"} == stack.resources()


@pytest.mark.thorough
def test_network_that_another_container_uses_does_not_take_the_stack_down(stack: Stack) -> None:
    """The container is named, and `up` refuses before anything is stopped."""
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
    assert [running["Id"]] == [container["Id"] for container in stack.api.containers()]


@pytest.mark.thorough
def test_services_of_another_file_stay_and_are_reported(stack: Stack) -> None:
    """Their network stays, too; `--remove-orphans` removes them."""
    stack.declare(service="db", file="db.yaml")
    stack.printed("up", COMPOSE_FILE="db.yaml")

    assert "orphans stay: db-1 (the Compose file does not declare their services)" in stack.up()
    assert "orphans stay: db-1" in stack.twelfth("status").stderr
    assert {"_app", "_db"} == stack.services()
    assert "_back stays: it is used by" in stack.twelfth("down").stderr
    assert ({"_db"}, {"_back", "_data"}) == (stack.services(), stack.resources())
    stack.printed("up", "--remove-orphans")
    assert eventually(lambda: {"_app"} == stack.services())
