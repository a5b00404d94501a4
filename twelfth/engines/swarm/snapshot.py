"""Convert the Engine API's services, tasks and nodes of a Swarm to values of a snapshot; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.container_spec import COMPOSE, CONFIGS, RELEASE
from twelfth.engines.docker_api.recipe import found_recipe
from twelfth.model.snapshot import Attachment, Replica
from twelfth.model.stack import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.snapshot import Recipe

NAMESPACE = "com.docker.stack.namespace"
"""Label by which `docker stack` finds the services and networks of a stack."""

FAILED = {"failed", "rejected", "orphaned"}
"""States of a task that failed
(https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/)."""

RUNNING = "running"


def project(service: Body) -> str:
    """Return the project of a service."""
    return str(service["Spec"]["Labels"][NAMESPACE])


def service_name(service: Body) -> str:
    """Return a service's name in the Compose file."""
    spec = service["Spec"]
    return str(spec["Labels"].get(f"{COMPOSE}service") or spec["Name"].removeprefix(f"{project(service)}_"))


def replica(task: Body, service: Body, slot: Iterable[Body], node: Body | None, inspected: Body) -> Replica:
    """Return a task as a value.

    `slot` are all tasks with its number, `node` is its node, and `inspected` is what a daemon would report of its
    container.
    """
    labels, state = inspected["Config"]["Labels"], task["Status"]["State"]
    loaded = {name.removeprefix(CONFIGS): text for name, text in labels.items() if name.startswith(CONFIGS)}
    ports = (service["Endpoint"].get("Spec") or {}).get("Ports") or []
    return Replica(
        service=service_name(service),
        number=task.get("Slot", 0),
        id=task["ID"],
        state=state,
        health="healthy" if state == RUNNING and _has_check(inspected) else "",
        release=labels.get(RELEASE, ""),
        image=inspected["Image"],
        address=f"{node['Status']['Addr']}:{ports[0]['PublishedPort']}" if ports and node else "",
        is_admitted=state == RUNNING,
        restarts=sum(predecessor["Status"]["State"] in FAILED for predecessor in slot),
        recipe=found_recipe(inspected, loaded)
        | placement((task["Spec"].get("Placement") or {}).get("Constraints") or ()),
    )


def _has_check(inspected: Body) -> bool:
    test = (inspected["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    return bool(test[0] != "NONE")


def placement(constraints: Iterable[str]) -> Recipe:
    """Return the placement of a service, a part of a recipe that only a Swarm has."""
    return {"placement": json.dumps(list(constraints))}


def volumes(service: Body) -> list[Volume]:
    """Return the stack's volumes that a service mounts, on any node."""
    mounts = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
    labelled = [(mount, (mount.get("VolumeOptions") or {}).get("Labels") or {}) for mount in mounts]
    return [_volume(mount["Source"], labels) for mount, labels in labelled if f"{COMPOSE}volume" in labels]


def _volume(source: str, labels: Body) -> Volume:
    name, usual = labels[f"{COMPOSE}volume"], f"{labels.get(f'{COMPOSE}project')}_{labels[f'{COMPOSE}volume']}"
    return Volume(name, "" if source == usual else source, options=None)


def attachment(services: Mapping[str, str], network: str, listed: Body) -> Attachment:
    """Return a container on a network, with its service's name if it is a task of the stack."""
    service = services.get(listed["Labels"].get("com.docker.swarm.service.name", ""), "")
    return Attachment(network, listed["Names"][0].lstrip("/"), service)
