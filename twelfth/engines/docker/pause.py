"""A pause container: a small idle one that holds a network namespace for runs to join, as a Kubernetes pod has it.

Most of the time that a container takes to start goes into making its interfaces (docs/runs.md has the numbers). A run
that joins a namespace which is there already starts in half the time. It cannot join a worker's own: that goes with the
worker when it dies or is replaced, and would take the run's network along. So the first run makes a pause container on
the very networks of the worker, and leaves a process behind that removes it when no run needs it any more (reaper).

Whoever removes a pause container first renames it, then looks whether a run has joined it; whoever joins one first
creates the run, then looks whether the pause container still has its name. So one of the two sees the other, and no run
loses its network.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from twelfth.engines.docker.errors import CONFLICT
from twelfth.engines.docker.replica import COMPOSE
from twelfth.engines.docker.run_container import JOINED, NAMESPACE, RUN, networks
from twelfth.engines.docker.run_record import is_abandoned

if TYPE_CHECKING:
    import docker

    from twelfth.engines.docker.replica import Body

PAUSE = "twelfth.pause"
"""Label of a pause container; its value is the service whose networks it is on."""

LEAVING = "-leaving"
"""End of the name of a pause container that is about to be removed."""

WATCH = """\
missed=0
while [ $missed -lt 360 ]; do
    sleep 10
    if getent hosts "$0" >/dev/null; then missed=0; else missed=$((missed + 1)); fi
done
"""
"""Ends when the worker's name has not been known on its networks for an hour."""


def find_or_make(api: docker.APIClient, project: str, worker: Body) -> str:
    """Return the id of a running pause container on the worker's networks.

    Returns an empty string where none can be had, as in an image without a shell, and where the worker has no network
    of its own: it is on none, on the host's, or on another container's.
    """
    if worker["HostConfig"]["NetworkMode"].startswith(("none", "host", JOINED)):
        return ""
    wanted = network_ids(worker)
    found = (one for one in listed(api, project) if _is_joinable(one) and network_ids(one) == wanted)
    if there := next(found, None):
        return str(there["Id"])
    made = _create(api, container_name(project, worker), worker)
    try:
        return _start(api, made, worker)
    except APIError:
        remove(api, made, force=False)  # one that runs after all may have been joined
        return ""


def _is_joinable(listed: Body) -> bool:
    return listed["State"] == "running" and not is_leaving(listed["Names"][0])


def _create(api: docker.APIClient, name: str, worker: Body) -> str:
    """Create one; if the name is taken, another client made it, which starts it too, or died before it could."""
    try:
        return str(api.create_container_from_config(body(worker), name)["Id"])
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        return name


def _start(api: docker.APIClient, made: str, worker: Body) -> str:
    """Join the worker's networks and start; return the id, or an empty string where that is not how it runs then."""
    for network in networks(worker)[1:]:
        with contextlib.suppress(APIError):  # it is on it already; the comparison below tells
            api.connect_container_to_network(made, network)
    api.start(made)
    found = api.inspect_container(made)
    runs_so = found["State"]["Running"] and network_ids(found) == network_ids(worker)
    return str(found["Id"]) if runs_so else ""


def network_ids(container: Body) -> dict[str, str]:
    """Return the ids of the networks that a listed or inspected container is on, by name."""
    return {name: settings["NetworkID"] for name, settings in container["NetworkSettings"]["Networks"].items()}


def container_name(project: str, worker: Body) -> str:
    """Return the name of the pause container on just these networks, by id: always the same."""
    ids = sorted(network_ids(worker).values())
    return f"{project}-pause-{hashlib.sha256(repr(ids).encode()).hexdigest()[:8]}"


def listed(api: docker.APIClient, project: str) -> list[Body]:
    """Return the project's pause containers as the daemon lists them."""
    found: list[Body] = api.containers(all=True, filters={"label": [PAUSE, f"{COMPOSE}project={project}"]})
    return found


def to_join(api: docker.APIClient, identity: str) -> Body:
    """Return the inspected pause container that a run is to join; raises `NotFound` where it is about to go."""
    found: Body = api.inspect_container(identity)
    if is_leaving(found["Name"]) or not found["State"]["Running"]:
        raise NotFound(f"the pause container {identity[:12]} has gone")
    return found


def is_leaving(name: str) -> bool:
    """Return whether a pause container of this name is about to be removed, so that no run may join it any more."""
    return name.endswith(LEAVING)


def remove_unused(api: docker.APIClient, project: str, now: float) -> None:
    """Remove the pause containers that no run has joined, whoever may be joining them meanwhile."""
    for found in listed(api, project):
        if found["Id"] in joined_by_runs(api, project, now):
            continue
        name = found["Names"][0].lstrip("/")
        if not is_leaving(name):
            with contextlib.suppress(APIError):  # somebody else did
                api.rename(found["Id"], name + LEAVING)
        if found["Id"] not in joined_by_runs(api, project, now):
            remove(api, found["Id"])


def joined_by_runs(api: docker.APIClient, project: str, now: float) -> set[str]:
    """Return the ids of the containers whose namespace a run has that has not ended, or that may yet be started."""
    wanted = {"label": [RUN, f"{COMPOSE}project={project}"], "status": ["created", "running", "paused", "restarting"]}
    runs = api.containers(all=True, filters=wanted)
    return {run["HostConfig"]["NetworkMode"].removeprefix(JOINED) for run in runs if not is_abandoned(run, now)}


def remove_all(api: docker.APIClient, project: str) -> None:
    """Remove the project's pause containers, and wait until they have left their networks, whoever removes them."""
    for found in listed(api, project):
        remove(api, found["Id"])
        with contextlib.suppress(APIError):
            api.wait(found["Id"], condition="removed")


def remove(api: docker.APIClient, identity: str, *, force: bool = True) -> None:
    """Remove a pause container, which may be about to remove itself."""
    with contextlib.suppress(APIError):
        api.remove_container(identity, force=force)


def body(worker: Body) -> Body:
    """Return the body that creates a pause container: the worker's image and networks, nothing of its configuration."""
    first, host, own = networks(worker)[0], worker["HostConfig"], worker["Config"]["Labels"]
    service = own[f"{COMPOSE}service"]
    labels = {f"{COMPOSE}project": own[f"{COMPOSE}project"], f"{COMPOSE}service": service, f"{COMPOSE}oneoff": "True"}
    return {
        "Image": worker["Image"],
        "Entrypoint": ["sh", "-c", WATCH, service],
        "Cmd": [],
        "Labels": labels | {PAUSE: service},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {name: host[name] for name in NAMESPACE if host.get(name)} | CONFINED | {"NetworkMode": first},
        "NetworkingConfig": {"EndpointsConfig": {first: {}}},
    }


CONFINED: Body = {
    "AutoRemove": True,
    "Init": True,
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges:true"],
    "PidsLimit": 8,
}
"""Settings of the host's: it may do nothing, and leaves nothing."""
