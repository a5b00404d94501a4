"""Convert the Engine API's answers to values of a snapshot; pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.build_context.release import is_release
from twelfth.engines.docker_api import mounts
from twelfth.engines.docker_api.container_spec import (
    ADMISSION,
    BUILT_BY,
    BUILT_FOR,
    CANDIDATE,
    COMPOSE,
    KEPT,
    RELEASE,
    SETTINGS,
)
from twelfth.engines.docker_api.recipe import found_recipe
from twelfth.engines.docker_api.succession import replaced_by
from twelfth.model.image_name import image_name, is_same
from twelfth.model.service import as_options
from twelfth.model.snapshot import Attachment, BuiltRelease, Replica
from twelfth.model.stack import Network, Volume

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Options


def network(answer: Body) -> Network:
    """Return an inspected network as a value, with its name in the Compose file."""
    name = answer["Labels"].get(f"{COMPOSE}network", answer["Name"])
    return Network(name, answer["Internal"], _known_as(answer, name), options=_settings(answer))


def volume(answer: Body) -> Volume:
    """Return an inspected volume as a value, with its name in the Compose file."""
    name = answer["Labels"].get(f"{COMPOSE}volume", answer["Name"])
    return Volume(name, _known_as(answer, name), options=_volume_options(answer))


def _volume_options(answer: Body) -> Options:
    """Return a volume's settings under their names in a Compose file, also if another tool created it."""
    labels = {name: text for name, text in answer["Labels"].items() if not name.startswith((COMPOSE, SETTINGS))}
    driver = "" if answer["Driver"] == "local" else answer["Driver"]
    settings = {"driver": driver, "driver_opts": answer.get("Options") or {}, "labels": labels}
    return as_options({key: value for key, value in settings.items() if value})


def attachment(project: str, network: str, listed: Body) -> Attachment:
    """Return a listed container on a network as a value, with its service if it is a replica of the project."""
    labels, name = listed["Labels"], listed["Names"][0].lstrip("/")
    is_replica = (labels.get(f"{COMPOSE}project"), labels.get(f"{COMPOSE}oneoff")) == (project, "False")
    return Attachment(network, name, labels.get(f"{COMPOSE}service", "") if is_replica else "")


def _known_as(answer: Body, name: str) -> str:
    """Return the engine's name of a network or volume, an empty string if it is the one that Compose generates."""
    usual = f"{answer['Labels'].get(f'{COMPOSE}project')}_{name}"
    return "" if answer["Name"] == usual else str(answer["Name"])


def _settings(answer: Body) -> Options | None:
    """Return the declared settings from the label of a network or volume; None if Compose created it."""
    text = answer["Labels"].get(SETTINGS)
    return None if text is None else tuple(sorted(json.loads(text).items()))


def replica(
    inspected: Body, image: Body | None, loaded: Mapping[str, str], host: str = "", pulled: str = ""
) -> Replica:
    """Return an inspected container as a value; `loaded` has the digests of files that it loaded after its creation.

    `host` is the daemon's machine, empty for this one; ports that are published on all addresses are reached there.
    `pulled` is the repository of the names that keep the stack's pulled releases.
    """
    labels = inspected["Config"]["Labels"]
    state = inspected["State"]
    return Replica(
        service=labels[f"{COMPOSE}service"],
        number=int(labels.get(f"{COMPOSE}container-number") or 1),
        id=inspected["Id"],
        state=f"{state['Status']} ({state['ExitCode']})" if state["Status"] == "exited" else state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        release=labels.get(RELEASE) or _tagged(image, pulled, is_labelled=RELEASE in labels),
        image=inspected["Image"],
        address=_address(inspected, host),
        is_admitted=CANDIDATE not in labels and not not_admitted_on(inspected),
        is_candidate=CANDIDATE in labels,
        restarts=inspected.get("RestartCount") or 0,
        recipe=found_recipe(inspected, loaded),
        has_own_volumes=bool(mounts.anonymous_volumes(inspected)),
        replaces=replaced_by(inspected).get("id", ""),
    )


def releases(image: Body, repository: str) -> list[BuiltRelease]:
    """Return the releases among the tags of a listed image."""
    built = datetime.fromtimestamp(image["Created"], UTC).isoformat()
    labels = image["Labels"] or {}
    operator, project = labels.get(BUILT_BY, ""), labels.get(BUILT_FOR, "")
    names, familiar = map(image_name, image["RepoTags"] or []), image_name(repository).familiar
    tags = [name.tag for name in names if name.familiar == familiar]
    return [BuiltRelease(tag, built, operator, image["Size"], project=project) for tag in tags if is_release(tag)]


TASK = "com.docker.swarm.task.id"
"""Label of the container of a Swarm task, which is started once and kept for its log."""


def is_over(listed: Body) -> bool:
    """Return whether a listed container has exited and will not be restarted: a run, or a Swarm task."""
    labels = listed["Labels"]
    starts_once = labels.get(f"{COMPOSE}oneoff") == "True" or TASK in labels
    return starts_once and listed["State"] in {"exited", "dead", "removing"}


def name_to_remove(image: Body, kept: str, names: Collection[str]) -> str:
    """Return what to remove of an unused image: the image by its id, or only the name `kept` if others need it.

    They do if it has a name that is not of the stack, or a digest in another repository.
    """
    tags = [tag for tag in image["RepoTags"] or [] if tag != kept]
    repositories = {image_name(name).familiar for name in names}
    is_pulled_elsewhere = {image_name(name).familiar for name in image.get("RepoDigests") or []} - repositories
    has_others = any(not any(is_same(tag, name) for name in names) for tag in tags)
    return kept if has_others or is_pulled_elsewhere else str(image["Id"])


def not_admitted_on(inspected: Body) -> list[str]:
    """Return the networks of a container's admission on which it does not have its service's name yet.

    There are none if Compose created it: it joins all of its networks at its creation.
    """
    labels = inspected["Config"]["Labels"]
    name, networks = labels[f"{COMPOSE}service"], inspected["NetworkSettings"]["Networks"]
    admission = json.loads(labels.get(ADMISSION) or "[]")
    return [network for network in admission if name not in ((networks.get(network) or {}).get("Aliases") or ())]


def _tagged(image: Body | None, pulled: str, *, is_labelled: bool) -> str:
    """Return the release among an image's names, for a container that was created without one.

    A pulled image gets its name only after Compose or an older version has created the container.
    """
    names = [image_name(name) for name in (image or {}).get("RepoTags") or []]
    kept = [name.tag for name in names if name.repository == pulled]
    built = [name.tag for name in names if not (is_labelled or name.repository.startswith(KEPT))]
    return next(filter(is_release, (*kept, *built)), "")


def _address(inspected: Body, host: str) -> str:
    ports = (inspected["NetworkSettings"].get("Ports") or {}).items()
    bindings = [binding for target, bound in ports for binding in bound or [] if target.endswith("/tcp")]
    if not bindings:
        return ""
    first, everywhere = bindings[0], {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return f"{host if host and first['HostIp'] in everywhere else first['HostIp']}:{first['HostPort']}"
