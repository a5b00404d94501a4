"""Configuration files and secrets on a Swarm: configuration objects for tasks, and copies of them for runs.

A plain container cannot use a configuration object of the Swarm. So the files of a run are mounted from a volume of its
node's daemon. Their names there are their digests; they are copied through a container that is never started.
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
"""Label of the volume with the files of a project's runs, and of the containers that copy files into it."""

PLACE = "/files"
"""The mount point of the volume in such a container."""


def declared(service: Service) -> dict[str, File]:
    """Return a service's configuration files by target; raises `EngineError` for a missing one."""
    return {mount.target: config_files.as_declared(mount) for mount in service.mounts if mount.kind == "config"}


def digests(files: Mapping[str, File]) -> dict[str, str]:
    """Return the digests of files, with their owners and modes, by target."""
    return {target: file.digest for target, file in files.items()}


def references(api: docker.APIClient, project: str, files: Mapping[str, File]) -> list[Body]:
    """Return references to configuration objects with these contents, which are created if missing."""
    return [_reference(api, project, target, file) for target, file in files.items()]


def _reference(api: docker.APIClient, project: str, target: str, file: File) -> Body:
    name = f"{project}-{hashlib.sha256(file.content).hexdigest()[:12]}"
    existing = api.configs(filters={"name": name})
    config_id = existing[0]["ID"] if existing else api.create_config(name, file.content, {NAMESPACE: project})["ID"]
    mounted = {"Name": target, "UID": str(file.user), "GID": str(file.group), "Mode": file.mode}
    return {"ConfigID": config_id, "ConfigName": name, "File": mounted}


def referred(api: docker.APIClient, references: Iterable[Body]) -> dict[str, File]:
    """Return the files to which these references of a task lead, by target."""
    return {reference["File"]["Name"]: _referred(api, reference) for reference in references}


def _referred(api: docker.APIClient, reference: Body) -> File:
    content = base64.b64decode(api.inspect_config(reference["ConfigID"])["Spec"]["Data"])
    mounted = reference["File"]
    return File(content, int(mounted["UID"]), int(mounted["GID"]), mounted["Mode"])


def remove_unused(api: docker.APIClient, project: str) -> None:
    """Remove the configuration objects that no service uses: the daemon refuses to remove the others."""
    with contextlib.suppress(EngineError, BusyError), docker_errors():
        for config in api.configs(filters={"label": f"{NAMESPACE}={project}"}):
            with contextlib.suppress(EngineError, BusyError), docker_errors():
                api.remove_config(config["ID"])


def place(api: docker.APIClient, project: str, image: str, files: Mapping[str, File]) -> dict[str, str]:
    """Copy files to a node's daemon unless it has them, and return their paths there, by target."""
    if not files:
        return {}
    volume, label = _volume(project), {FILES: project}
    home = api.create_volume(volume, labels=label)["Mountpoint"]
    mount = {"Type": "volume", "Source": volume, "Target": PLACE, "VolumeOptions": {"NoCopy": True}}
    host = {"Mounts": [mount], "NetworkMode": "none"}
    container = api.create_container_from_config({"Image": image, "Cmd": [""], "Labels": label, "HostConfig": host})[
        "Id"
    ]
    try:
        if missing := [file for file in files.values() if not _has(api, container, file)]:
            api.put_archive(container, PLACE, _archive(missing))
    finally:
        api.remove_container(container, v=True)
    return {target: f"{home}/{file.digest}" for target, file in files.items()}


def remove_placed(api: docker.APIClient, project: str) -> None:
    """Remove the files of the project's runs from a node, and containers that a killed client left."""
    with docker_errors():
        for container in api.containers(all=True, filters={"label": f"{FILES}={project}"}):
            with gone_is_fine():
                api.remove_container(container["Id"], v=True)
        with gone_is_fine():
            api.remove_volume(_volume(project))


def _volume(project: str) -> str:
    return f"{project}-run-files"


def _has(api: docker.APIClient, container: str, file: File) -> bool:
    with gone_is_fine():
        _, status = api.get_archive(container, f"{PLACE}/{file.digest}")
        return bool((status["size"], status["mode"] & 0o777) == (len(file.content), file.mode))
    return False


def _archive(files: Iterable[File]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(file.digest)
            entry.size, entry.uid, entry.gid, entry.mode = len(file.content), file.user, file.group, file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return packed.getvalue()
