"""A second `up` of any accepted file does nothing, and a change of any key is seen: on a real daemon.

A sample runs as the operator has it. With TWELFTH_SCENARIOS=full a container of each key is created, and compared.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest
from docker.utils import version_lt

from tests import oracle
from tests.conftest import require
from tests.engines.docker_api import keys
from tests.other_project import OtherProject
from tests.sample import FULL
from twelfth.errors import EngineError
from twelfth.model.snapshot import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from twelfth.engines.docker.engine import Docker
    from twelfth.model.service import Service

SAMPLE = ("cap_drop", "configs.mode", "hostname", "links", "network_mode", "pid", "ports", "tmpfs", "uts")
"""Keys whose values the daemon writes otherwise, or adds something to."""

NEED_MORE = {
    *("blkio_config", "cpu_percent", "cpu_rt_period", "cpu_rt_runtime", "deploy.resources.reservations.devices"),
    *("gpus", "isolation", "networks.gw_priority", "networks.ipv6_address", "networks.mac_address", "runtime"),
    *("storage_opt", "userns_mode", "volumes.volume.subpath", "volumes.bind.propagation"),
}
"""Keys that need a machine or daemon of another kind."""

TOP = """
networks: {one: , two: {ipam: {config: [{subnet: SUBNET.0/24}]}}}
volumes: {data: }
configs: {text: {content: text}, other: {content: other}, file: {file: ./file}}
secrets: {hidden: {file: ./file}}
"""


WATCHED = "{update_config: {monitor: 200ms}}"


def compose_file(names: Iterable[str], number: int, subnet: str, project: str) -> str:
    """Return a file with a service for each key, with its example (0) or the change (1)."""
    parts = [
        'services:\n  linked: {image: &image "${PYTHON_IMAGE:-python:3.13-slim}", command: &c sleep 600, init: true}'
    ]
    usual = {"image": "*image", "command": "*c", "stop_grace_period": "0s", "deploy": WATCHED}
    for index, name in enumerate(names):
        text = (
            keys.SEEN[name][number]
            .replace("NAME", f"{project}-{index}")
            .replace("[::1]", "127.0.0.3")
            .replace("0.0.0.0", "127.0.0.2")
        )
        text = text.replace("image: other\n", "").replace("1811", str(1811 + index))
        own = {key: value for key, value in usual.items() if f"{key}:" not in text and key not in text}
        lines = [*(f"{key}: {value}" for key, value in own.items()), *text.splitlines()]
        parts.append(f"  s{index}:\n" + "\n".join(f"    {line}" for line in lines))
    return "\n".join(parts) + TOP.replace("SUBNET", subnet)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[OtherProject]:
    """Return a project without a file; remove what it made."""
    require("docker")
    made = OtherProject(tmp_path)
    (tmp_path / "file").write_text("of a file", "utf-8")
    (tmp_path / "here").mkdir()
    yield made
    made.printed("down", "--volumes", "--history", "--yes")


def write(project: OtherProject, names: Iterable[str], number: int, subnet: str) -> None:
    """Write the project's file."""
    text = compose_file(names, number, subnet, project.name)
    (project.directory / "compose.yaml").write_text(text.replace("SUBNET", subnet), "utf-8")


@pytest.mark.thorough
def test_second_up_does_nothing_and_a_change_replaces(project: OtherProject) -> None:
    """With settings that the daemon writes otherwise, or adds something to."""
    subnet = f"10.214.{secrets.randbelow(200)}"
    write(project, SAMPLE, 0, subnet)
    project.printed("up")
    assert "nothing to do" in project.printed("--dry", "up")

    write(project, SAMPLE, 1, subnet)
    steps = project.printed("--dry", "up")
    assert [] == [name for index, name in enumerate(SAMPLE) if f"s{index}-" not in steps]


@pytest.mark.skipif(not FULL, reason="TWELFTH_SCENARIOS=full creates a container of each key")
def test_container_of_each_key_is_as_wanted_and_its_change_is_seen(project: OtherProject) -> None:
    """They are created, not started."""
    subnet, names = f"10.214.{secrets.randbelow(200)}", [name for name in keys.SEEN if name != "image"]
    environment = os.environ | project.environment
    write(project, names, 0, subnet)
    engine = oracle.engine_of(project.directory, environment)
    failed = create_all(engine)
    write(project, names, 1, subnet)
    changed = oracle.engine_of(project.directory, environment)

    assert {names[int(one.name[1:])] for one in failed} <= NEED_MORE
    found = {each.service: each.recipe for each in engine.observe().replicas}
    made = [(int(name[1:]), recipe) for name, recipe in found.items() if name != "linked"]
    again = {names[index]: difference(engine, index, recipe) for index, recipe in made}
    assert {} == {name: each for name, each in again.items() if each}
    unseen = {names[index] for index, recipe in made if not difference(changed, index, recipe)}
    assert unseen == ({"healthcheck.start_interval"} if version_lt(engine.api.api_version, "1.44") else set())


def create_all(engine: Docker) -> list[Service]:
    """Create the containers of all services, and return those of which there can be none here."""
    engine.api.start = lambda *_, **__: None  # type: ignore[method-assign]
    failed = []
    for resource in engine.stack.resources:
        engine.create_resource(resource)
    for service in engine.stack.services:
        try:
            engine.admit_replica(engine.create_replica(service, 1))
        except EngineError:
            failed.append(service)
    return failed


def difference(engine: Docker, index: int, found: Mapping[str, str]) -> tuple[str, ...]:
    """Return the differences between a service's recipe and its observed replica."""
    service = engine.stack.service(f"s{index}")
    assert service
    return differences(engine.recipe(service) or {}, found)
