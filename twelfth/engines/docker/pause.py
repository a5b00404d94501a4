"""A small idle container that holds a network namespace for runs to join, as Kubernetes' pause container does.

Most of the time that a container takes to start goes into making its interfaces (docs/runs.md has the numbers). A run
that joins a namespace which is there already starts in half the time. It cannot join a worker's own: that goes with the
worker when it dies or is replaced, and would take the run's network along. So the first run makes a holder on the very
networks of the worker, and leaves a process behind that removes it when no run needs it any more (reaper).

Whoever removes a holder first renames it, then looks whether a run has joined it; whoever joins one first creates the
run, then looks whether the holder still has its name. So one of the two sees the other, and no run loses its network.
"""

from __future__ import annotations

import contextlib
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines.docker.recipe import COMPOSE
from twelfth.engines.docker.run_container import RUN, is_abandoned, networks

if TYPE_CHECKING:
    import docker

    from twelfth.engines.docker.recipe import Body

HOLDER = "twelfth.holder"
JOINED = "container:"
LEAVING = "-leaving"
"""End of the name of a holder that is about to be removed."""

CONFLICT = HTTPStatus.CONFLICT
WATCH = """\
missed=0
while [ $missed -lt 360 ]; do
    sleep 10
    if getent hosts "$0" >/dev/null; then missed=0; else missed=$((missed + 1)); fi
done
"""
"""Ends when the worker's name has not been known on its networks for an hour."""


def find_or_make(api: docker.APIClient, project: str, worker: Body) -> str:
    """Return the id of a running holder on the worker's networks.

    Returns an empty string where none can be had, as in an image without a shell.
    """
    wanted = _ids(worker)
    for each in listed(api, project):
        if each["State"] == "running" and not is_leaving(each["Names"][0]) and _ids(each) == wanted:
            return str(each["Id"])
    made = _created(api, f"{project}-holder-{_token(wanted)}", worker)
    try:
        for network in networks(worker)[1:]:
            with contextlib.suppress(APIError):  # it is on it already; `_ids` tells below
                api.connect_container_to_network(made, network)
        api.start(made)
        found = api.inspect_container(made)
        return str(found["Id"]) if found["State"]["Running"] and _ids(found) == wanted else ""
    except APIError:
        remove(api, made, force=False)  # one that runs after all may have been joined
        return ""


def _created(api: docker.APIClient, name: str, worker: Body) -> str:
    """Create a holder; one of that name is of another client's, which starts it too, or died before it could."""
    try:
        return str(api.create_container_from_config(body(worker), name)["Id"])
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        return name


def _token(networks: dict[str, str]) -> str:
    """Return what tells holders on other networks apart: these networks, by id, always give the same name."""
    return hashlib.sha256(repr(sorted(networks.values())).encode()).hexdigest()[:8]


def listed(api: docker.APIClient, project: str) -> list[Body]:
    """Return the project's holders as the daemon lists them."""
    found: list[Body] = api.containers(all=True, filters={"label": [HOLDER, f"{COMPOSE}project={project}"]})
    return found


def is_leaving(name: str) -> bool:
    """Return whether a holder of this name is about to be removed, so that no run may join it any more."""
    return name.endswith(LEAVING)


def remove_unused(api: docker.APIClient, project: str, now: float) -> None:
    """Remove the holders that no run has joined, whoever may be joining them meanwhile."""
    for each in listed(api, project):
        if each["Id"] in joined_by_runs(api, project, now):
            continue
        name = each["Names"][0].lstrip("/")
        if not is_leaving(name):
            with contextlib.suppress(APIError):  # somebody else did
                api.rename(each["Id"], name + LEAVING)
        if each["Id"] not in joined_by_runs(api, project, now):
            remove(api, each["Id"])


def joined_by_runs(api: docker.APIClient, project: str, now: float) -> set[str]:
    """Return the ids of the holders whose namespace a run has that has not ended, or that may yet be started."""
    wanted = {"label": [RUN, f"{COMPOSE}project={project}"], "status": ["created", "running", "paused", "restarting"]}
    found = api.containers(all=True, filters=wanted)
    return {each["HostConfig"]["NetworkMode"].removeprefix(JOINED) for each in found if not is_abandoned(each, now)}


def remove_all(api: docker.APIClient, project: str) -> None:
    """Remove the project's holders."""
    for each in listed(api, project):
        remove(api, each["Id"])


def remove(api: docker.APIClient, identity: str, *, force: bool = True) -> None:
    """Remove a holder, which may be about to remove itself."""
    with contextlib.suppress(APIError):
        api.remove_container(identity, force=force)


def body(worker: Body) -> Body:
    """Return the body that creates a holder: the worker's image and networks, and nothing of its configuration."""
    labels, host = worker["Config"].get("Labels") or {}, worker["HostConfig"]
    service = labels.get(f"{COMPOSE}service", "")
    return {
        "Image": worker["Image"],
        "Entrypoint": ["sh", "-c", WATCH, service],
        "Cmd": [],
        "Labels": {
            HOLDER: service,
            f"{COMPOSE}project": labels.get(f"{COMPOSE}project", ""),
            f"{COMPOSE}service": service,
            f"{COMPOSE}oneoff": "True",
        },
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {name: host.get(name) for name in NAMING if host.get(name)}
        | {
            "NetworkMode": networks(worker)[0],
            "AutoRemove": True,
            "Init": True,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "PidsLimit": 8,
        },
        "NetworkingConfig": {"EndpointsConfig": {networks(worker)[0]: {}}},
    }


NAMING = ("Dns", "DnsOptions", "DnsSearch", "ExtraHosts")
"""Settings that belong to a namespace, and so to its holder."""


def joined(run: Body, holder: str) -> Body:
    """Return a run's body so that it joins the holder's namespace instead of having interfaces of its own."""
    host = {name: value for name, value in run["HostConfig"].items() if name not in NAMING}
    rest = {name: value for name, value in run.items() if name != "NetworkingConfig"}
    return rest | {"HostConfig": host | {"NetworkMode": JOINED + holder}}


def seen_through(run: Body, holder: Body) -> Body:
    """Return an inspected run that has joined a holder as if the holder's networks were its own.

    One that has joined anything else stays as it is.
    """
    own, host = run["HostConfig"], holder["HostConfig"]
    if own["NetworkMode"] != JOINED + holder["Id"]:
        return run
    network = {name: host.get(name) for name in ("NetworkMode", *NAMING)}
    return run | {"HostConfig": own | network, "NetworkSettings": holder["NetworkSettings"]}


def _ids(container: Body) -> dict[str, str]:
    return {name: each["NetworkID"] for name, each in container["NetworkSettings"]["Networks"].items()}
