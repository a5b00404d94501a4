"""The request to the Engine API that creates a replica."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import STACK, WORKER, inspected
from twelfth.engines.docker_api import container_spec
from twelfth.model.service import Service


def test_labels_name_the_files_that_were_read() -> None:
    """`docker compose` uses them to manage the stack."""
    labels = container_spec.labels(STACK, WORKER, 1, {})

    assert "/src/a.yml,/b.yml" == labels["com.docker.compose.project.config_files"]
    assert "/src" == labels["com.docker.compose.project.working_dir"]


def made_by_compose() -> dict[str, Any]:
    """Return what the engine would report of a worker that Compose created: it has no label of twelfth."""
    worker = inspected()
    own = {name: value for name, value in worker["Config"]["Labels"].items() if name.startswith("com.docker.compose.")}
    return worker | {"Config": worker["Config"] | {"Labels": own}}


@pytest.mark.parametrize("worker", [inspected(), made_by_compose()])
def test_clone_is_not_created_on_the_networks_of_its_admission(worker: dict[str, Any]) -> None:
    """It makes no difference which tool created the original."""
    app = replace(WORKER, mounts=(), ports=())
    stack = replace(STACK, services=(app, Service("door", "door", networks=("front",), depends_on=("worker",))))
    labels = {container_spec.ADMISSION: json.dumps(container_spec.admission_networks(stack, app))}
    body = container_spec.clone(worker, 2, labels, [])

    assert "2" == body["Labels"]["com.docker.compose.container-number"]
    assert {"p_back": {"Aliases": ["worker"]}} == container_spec.endpoints_of_clone(worker, body["Labels"])


def test_candidate_is_on_all_networks_without_a_name() -> None:
    """Its clients look for the service there, and it is not ready."""
    assert {"p_back": {"Aliases": []}, "p_front": {"Aliases": []}} == container_spec.nameless_endpoints(STACK, WORKER)


def test_clone_has_separate_configuration_files() -> None:
    """Its other mounts are those of the original."""
    copy = {"Type": "bind", "Source": "/slots/2/etc/a", "Target": "/etc/a", "ReadOnly": True}
    mounts = container_spec.clone(inspected(), 2, {}, [copy])["HostConfig"]["Mounts"]

    assert [("/data", "p_data"), ("/etc/a", "/slots/2/etc/a")] == [(each["Target"], each["Source"]) for each in mounts]
    assert [] == container_spec.clone(inspected(HostConfig={}), 2, {}, [])["HostConfig"].get("Mounts", [])
