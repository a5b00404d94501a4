"""What the Engine API answers about a stack, as values of a snapshot; pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.build_context.release import is_release
from twelfth.engines.docker_api import mounts
from twelfth.engines.docker_api.container_spec import ADMISSION, BUILT_BY, COMPOSE, RELEASE, SETTINGS
from twelfth.engines.docker_api.recipe import found_recipe
from twelfth.engines.docker_api.succession import replaced_by
from twelfth.model.image_name import image_name
from twelfth.model.snapshot import Attachment, BuiltRelease, Replica
from twelfth.model.stack import Network, Volume, as_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.stack import Options


def network(answer: Body) -> Network:
    """Return a network of the stack as a value, by the name that the stack gives it."""
    name = answer["Labels"].get(f"{COMPOSE}network", answer["Name"])
    return Network(name, answer["Internal"], _known_as(answer, name), options=_settings(answer))


def volume(answer: Body) -> Volume:
    """Return a volume of the stack as a value, by the name that the stack gives it."""
    name = answer["Labels"].get(f"{COMPOSE}volume", answer["Name"])
    return Volume(name, _known_as(answer, name), options=_volume_options(answer))


def _volume_options(answer: Body) -> Options:
    """Return a volume's settings under their names in a Compose file, whichever tool created it."""
    labels = {name: text for name, text in answer["Labels"].items() if not name.startswith((COMPOSE, SETTINGS))}
    driver = "" if answer["Driver"] == "local" else answer["Driver"]
    said = {"driver": driver, "driver_opts": answer.get("Options") or {}, "labels": labels}
    return as_options({key: value for key, value in said.items() if value})


def attachment(project: str, network: str, listed: Body) -> Attachment:
    """Return a listed container on a network as a value, with its service if it is a replica of the project."""
    labels, name = listed["Labels"], listed["Names"][0].lstrip("/")
    is_replica = (labels.get(f"{COMPOSE}project"), labels.get(f"{COMPOSE}oneoff")) == (project, "False")
    return Attachment(network, name, labels.get(f"{COMPOSE}service", "") if is_replica else "")


def _known_as(answer: Body, name: str) -> str:
    """Return what a network or volume is called, an empty string where that is what Compose makes of its name."""
    usual = f"{answer['Labels'].get(f'{COMPOSE}project')}_{name}"
    return "" if answer["Name"] == usual else str(answer["Name"])


def _settings(answer: Body) -> Options | None:
    """Return what was declared of a network or volume when it was made; None of one that Compose made."""
    said = answer["Labels"].get(SETTINGS)
    return None if said is None else tuple(sorted(json.loads(said).items()))


def replica(inspected: Body, image: Body | None, loaded: Mapping[str, str], host: str = "") -> Replica:
    """Return a container of the stack as a value; `loaded` has the configuration that it has loaded since its creation.

    `host` is the daemon's machine, empty for this one, where ports that are published on all addresses are reached.
    """
    labels = inspected["Config"]["Labels"]
    state = inspected["State"]
    return Replica(
        service=labels[f"{COMPOSE}service"],
        number=int(labels.get(f"{COMPOSE}container-number") or 1),
        id=inspected["Id"],
        state=f"{state['Status']} ({state['ExitCode']})" if state["Status"] == "exited" else state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        release=labels.get(RELEASE) or _tagged(image),
        image=inspected["Image"],
        address=_address(inspected, host),
        is_admitted=not not_admitted_on(inspected),
        restarts=inspected.get("RestartCount") or 0,
        recipe=found_recipe(inspected, loaded),
        has_own_volumes=bool(mounts.anonymous_volumes(inspected)),
        replaces=replaced_by(inspected).get("id", ""),
    )


def releases(image: Body, repository: str) -> list[BuiltRelease]:
    """Return the releases that a listed image has as its tags."""
    built = datetime.fromtimestamp(image["Created"], UTC).isoformat()
    operator = (image["Labels"] or {}).get(BUILT_BY, "")
    names, own = map(image_name, image["RepoTags"] or []), image_name(repository).familiar
    tags = [name.tag for name in names if name.familiar == own]
    return [BuiltRelease(tag, built, operator, image["Size"]) for tag in tags if is_release(tag)]


TASK = "com.docker.swarm.task.id"
"""Label of the container of a Swarm task, which is started once and kept for its log."""


def is_over(listed: Body) -> bool:
    """Return whether a listed container has exited and is not restarted: a run, or a Swarm task."""
    labels = listed["Labels"]
    starts_once = labels.get(f"{COMPOSE}oneoff") == "True" or TASK in labels
    return starts_once and listed["State"] in {"exited", "dead", "removing"}


def is_labelled(inspected: Body) -> bool:
    """Return whether a container's own labels tell its release, or that it has none."""
    return RELEASE in inspected["Config"]["Labels"]


def not_admitted_on(inspected: Body) -> list[str]:
    """Return the networks on which a container does not answer to its service's name, though others look for it there.

    None for one that Compose made: it is on all of its networks from the beginning.
    """
    labels = inspected["Config"]["Labels"]
    name, there = labels[f"{COMPOSE}service"], inspected["NetworkSettings"]["Networks"]
    wanted = json.loads(labels.get(ADMISSION) or "[]")
    return [network for network in wanted if name not in ((there.get(network) or {}).get("Aliases") or ())]


def _tagged(image: Body | None) -> str:
    """Return the release that an image's own names tell, where its container's labels tell none."""
    tags = [image_name(name).tag for name in (image or {}).get("RepoTags") or []]
    return next(filter(is_release, tags), "")


def _address(inspected: Body, host: str) -> str:
    ports = (inspected["NetworkSettings"].get("Ports") or {}).items()
    bindings = [each for inside, bound in ports for each in bound or [] if inside.endswith("/tcp")]
    if not bindings:
        return ""
    first, everywhere = bindings[0], {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return f"{host if host and first['HostIp'] in everywhere else first['HostIp']}:{first['HostPort']}"
