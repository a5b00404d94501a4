"""Configuration files and secrets on a Swarm: objects that its tasks have, and copies of them that runs have.

A plain container cannot have a configuration object of the Swarm, so what a run sees as its files is mounted from a
volume of its node's daemon: each under a name that its content gives, put there through a container that never starts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import config_files
from twelfth.engines.docker_api.config_files import File
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.swarm.snapshot import NAMESPACE
from twelfth.errors import BusyError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.stack import Service

FILES = "twelfth.files"
"""Label of the volume with the files of a project's runs, and of the containers through which they are put there."""

PLACE = "/files"
"""Where such a container has the volume."""


def declared(service: Service) -> dict[str, File]:
    """Return a service's configuration files, by target; raises `EngineError` for one that is not there."""
    return {mount.target: config_files.as_declared(mount) for mount in service.mounts if mount.kind == "config"}


def digests(files: Mapping[str, File]) -> dict[str, str]:
    """Return what tells one file from another, by target."""
    return {target: file.digest for target, file in files.items()}


def references(api: docker.APIClient, project: str, files: Mapping[str, File]) -> list[Body]:
    """Return references to objects with these contents, made where they are not there yet."""
    return [_reference(api, project, target, file) for target, file in files.items()]


def _reference(api: docker.APIClient, project: str, target: str, file: File) -> Body:
    name = f"{project}-{hashlib.sha256(file.content).hexdigest()[:12]}"
    there = api.configs(filters={"name": name})
    identity = there[0]["ID"] if there else api.create_config(name, file.content, {NAMESPACE: project})["ID"]
    own = {"Name": target, "UID": str(file.user), "GID": str(file.group), "Mode": file.mode}
    return {"ConfigID": identity, "ConfigName": name, "File": own}


def referred(api: docker.APIClient, references: Iterable[Body]) -> dict[str, File]:
    """Return the files that a task has by these references, by target."""
    return {each["File"]["Name"]: _referred(api, each) for each in references}


def _referred(api: docker.APIClient, reference: Body) -> File:
    content = base64.b64decode(api.inspect_config(reference["ConfigID"])["Spec"]["Data"])
    own = reference["File"]
    return File(content, int(own["UID"]), int(own["GID"]), own["Mode"])


def remove_unused(api: docker.APIClient, project: str) -> None:
    """Remove the objects that no service has any more: the daemon refuses those that one has."""
    with contextlib.suppress(EngineError, BusyError), docker_errors():
        for each in api.configs(filters={"label": f"{NAMESPACE}={project}"}):
            with contextlib.suppress(EngineError, BusyError), docker_errors():
                api.remove_config(each["ID"])


def place(api: docker.APIClient, project: str, image: str, files: Mapping[str, File]) -> dict[str, str]:
    """Return where a node's daemon has these files, by target; what it lacks is put there through the image."""
    if not files:
        return {}
    volume, label = _volume(project), {FILES: project}
    home = api.create_volume(volume, labels=label)["Mountpoint"]
    mount = {"Type": "volume", "Source": volume, "Target": PLACE, "VolumeOptions": {"NoCopy": True}}
    host = {"Mounts": [mount], "NetworkMode": "none"}
    through = api.create_container_from_config({"Image": image, "Cmd": [""], "Labels": label, "HostConfig": host})["Id"]
    try:
        if missing := [file for file in files.values() if not _has(api, through, file)]:
            api.put_archive(through, PLACE, _archive(missing))
    finally:
        api.remove_container(through, v=True)
    return {target: f"{home}/{file.digest}" for target, file in files.items()}


def remove_placed(api: docker.APIClient, project: str) -> None:
    """Remove the files of the project's runs from a node, and what a killed client left of putting them there."""
    with docker_errors():
        for left in api.containers(all=True, filters={"label": f"{FILES}={project}"}):
            with gone_is_fine():
                api.remove_container(left["Id"], v=True)
        with gone_is_fine():
            api.remove_volume(_volume(project))


def _volume(project: str) -> str:
    return f"{project}-run-files"


def _has(api: docker.APIClient, container: str, file: File) -> bool:
    with gone_is_fine():
        _, found = api.get_archive(container, f"{PLACE}/{file.digest}")
        return bool((found["size"], found["mode"] & 0o777) == (len(file.content), file.mode))
    return False


def _archive(files: Iterable[File]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(file.digest)
            entry.size, entry.uid, entry.gid, entry.mode = len(file.content), file.user, file.group, file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return packed.getvalue()
