"""Networks, volumes and services that the Compose file declares otherwise than they are, on a Docker daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import NotFound

from tests.conftest import require
from tests.other_project import OtherProject
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.daemon import PAUSE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker


FILE = """
services:
  {service}:
    image: ${{PYTHON_IMAGE:-python:3.13-slim}}
    command: [sleep, "600"]
    init: true
    deploy: {{update_config: {{monitor: 200ms}}}}
    networks: [back]
    volumes: ["data:/data"]
networks: {{back: {{{network}}}}}
volumes: {{data: {{{volume}}}}}
"""


class Stack(OtherProject):
    """A stack of one service, with a network and a volume."""

    def __init__(self, directory: Path) -> None:
        """Bring it up, and write something into its volume."""
        super().__init__(directory)
        self.others: list[dict[str, Any]] = []
        self.up()
        self.printed("run", "--", "sh", "-c", "echo mine >/data/file")

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

    def content(self) -> str:
        """Return what a run reads in the service's volume."""
        return self.printed("run", "--", "sh", "-c", "cat /data/file 2>/dev/null || echo nothing").strip()

    def containers(self, service: str = "app") -> list[str]:
        """Return the ids of a service's containers that run."""
        labels = [f"{COMPOSE}project={self.name}", f"{COMPOSE}service={service}", f"{COMPOSE}oneoff=False"]
        return [each["Id"] for each in self.api.containers(filters={"label": labels})]

    def other(self, network: str = "_back", **labels: str) -> str:
        """Start a container that is not of the project on a network, and return its name."""
        name = f"{self.name}-other"
        host = {"NetworkMode": self.name + network, "Init": True}
        body = {"Image": self.api.inspect_container(self.containers()[0])["Image"], "Cmd": ["sleep", "600"]}
        body |= {"Labels": labels}
        made = self.api.create_container_from_config(body | {"HostConfig": host}, name)
        self.others.append(made)
        self.api.start(made["Id"])
        return name

    def remove_other(self) -> None:
        """Remove what `other` started."""
        while self.others:
            self.api.remove_container(self.others.pop()["Id"], force=True)

    def remove(self) -> None:
        """Remove all that was made."""
        self.remove_other()
        self.declare()
        self.printed("down", "--volumes", "--history", "--yes", "--remove-orphans")
        for name in self.resources():
            remove(self.api, self.name + name)


def remove(api: docker.APIClient, name: str) -> None:
    """Remove a network or volume."""
    if any(each["Name"] == name for each in api.networks()):
        api.remove_network(name)
    else:
        api.remove_volume(name)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Return the stack, up."""
    require("docker")
    made = Stack(tmp_path)
    yield made
    made.remove()


@pytest.mark.thorough
def test_what_is_external_is_never_made_nor_removed(stack: Stack) -> None:
    """Both become external in one `up`, and belong to the stack again in another; the data of each stays."""
    names = {"network": f"{stack.name}-net", "volume": f"{stack.name}-vol"}
    external = {kind: f"name: {name}, external: true" for kind, name in names.items()}
    stack.declare(**external)
    refused = stack.twelfth("up")
    assert (2, f"docker network create {names['network']}") == (
        refused.returncode,
        refused.stderr.strip().rpartition("; try: ")[2],
    )
    stack.api.create_network(names["network"])
    stack.api.create_volume(names["volume"])
    warning = stack.up(**external)

    assert f"the volume {stack.name}_data stays with its data: volumes.data is now {names['volume']}" in warning
    assert ({"-net", "-vol", "_data"}, "nothing") == (stack.resources(), stack.content())
    assert "nothing to do" in stack.printed("--dry", "up")
    stack.printed("run", "--", "sh", "-c", "echo other >/data/file")
    assert f"the network {names['network']} is used unchanged" in stack.up(
        *(f"name: {name}" for name in names.values())
    )
    stack.printed("down", "--volumes")
    assert {"-net", "-vol", "_data"} == stack.resources()
    stack.up(**external)
    assert "other" == stack.content()
    stack.up()
    assert ("mine", {"-net", "-vol", "_data", "_back"}) == (stack.content(), stack.resources())


@pytest.mark.thorough
def test_what_the_stack_made_stays_once_it_is_declared_external(stack: Stack) -> None:
    """Under the name that it has; nothing is replaced."""
    before = stack.containers()
    stack.up(f"name: {stack.name}_back, external: true", f"name: {stack.name}_data, external: true")
    assert before == stack.containers()
    stack.printed("down", "--volumes")

    assert {"_back", "_data"} == stack.resources()


@pytest.mark.thorough
def test_renamed_network_and_volume_converge(stack: Stack) -> None:
    """While the network is used by what is none of the stack's, it stays; the old volume stays in any case."""
    stack.other()
    names = (f"name: {stack.name}-net", f"name: {stack.name}-vol")
    warning = stack.up(*names)

    assert f"to remove it with its data: docker volume rm {stack.name}_data" in warning
    assert {"-net", "-vol", "_data", "_back"} == stack.resources()
    stack.remove_other()
    stack.up(*names)
    assert ({"-net", "-vol", "_data"}, "nothing") == (stack.resources(), stack.content())
    assert "nothing to do" in stack.printed("--dry", "up")
    stack.up(names[0])
    assert "mine" == stack.content()


@pytest.mark.thorough
def test_changed_options_of_a_volume_are_reported(stack: Stack) -> None:
    """Also of one that Compose made, as this could be; the service and its data stay."""
    before = stack.containers()
    warning = stack.up("", "driver_opts: {type: tmpfs, device: tmpfs}")

    assert (
        f"the volume {stack.name}_data keeps its old settings: driver_opts.device, driver_opts.type changed" in warning
    )
    assert (before, "mine") == (stack.containers(), stack.content())
    found = stack.twelfth("status", "--json")
    assert (0, True) == (found.returncode, "driver_opts.device" in json.loads(found.stdout)["warnings"][0])


@pytest.mark.thorough
def test_network_that_another_container_uses_does_not_take_the_stack_down(stack: Stack) -> None:
    """It is refused by name, before anything is stopped; `down` leaves it."""
    before, other = stack.containers(), stack.other()
    stack.declare("internal: true")
    refused = stack.twelfth("up")

    assert (125, True) == (refused.returncode, f"outside this stack use it ({other}). Try: docker" in refused.stderr)
    assert (before, {"_back", "_data"}) == (stack.containers(), stack.resources())
    done = stack.twelfth("down")
    assert (0, True) == (done.returncode, f"_back stays: it is used by {other}" in done.stderr)
    assert ([], {"_back", "_data"}) == (stack.containers(), stack.resources())


def test_down_removes_the_pause_container_of_an_earlier_version(stack: Stack) -> None:
    """It would keep the network from being removed."""
    stack.other(**{PAUSE: "app", f"{COMPOSE}project": stack.name, f"{COMPOSE}oneoff": "True"})
    stack.printed("down")

    assert {"_data"} == stack.resources()
    with pytest.raises(NotFound):
        stack.remove_other()


@pytest.mark.thorough
def test_services_of_another_file_stay_and_are_named(stack: Stack) -> None:
    """With what they use; they go where that is asked for."""
    stack.declare(service="db", file="db.yaml")
    stack.printed("up", COMPOSE_FILE="db.yaml")
    one, two = stack.containers("app"), stack.containers("db")
    again = stack.twelfth("up")

    assert (0, one, two) == (again.returncode, stack.containers("app"), stack.containers("db"))
    assert "orphans stay: db-1 (the Compose file does not declare their services)" in again.stderr
    found = stack.twelfth("status")
    assert (0, True) == (found.returncode, "orphans stay: db-1" in found.stderr)
    assert f"it is used by {stack.name}-db-1" in stack.twelfth("down").stderr
    assert ([], two, {"_back", "_data"}) == (stack.containers("app"), stack.containers("db"), stack.resources())
    stack.printed("up", "--remove-orphans")
    assert [] == stack.containers("db")
