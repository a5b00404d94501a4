"""Configuration files and secrets on a Swarm: configuration objects for tasks, and copies of them for runs.

A plain container cannot use a configuration object of the Swarm. So the files of a run are mounted from a volume of its
node's daemon, as on the docker engine.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import config_files
from twelfth.engines.docker_api.config_files import ConfigFiles
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.file_archive import File
from twelfth.engines.docker_api.state_volume import StateVolume
from twelfth.engines.swarm.snapshot import NAMESPACE
from twelfth.errors import BusyError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Service


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


def remove_placed(api: docker.APIClient, project: str) -> None:
    """Remove the files of the project's runs from a node."""
    volume = StateVolume(api, project)
    try:
        volume.remove()
    except BusyError:  # containers of runs mount it
        ConfigFiles(volume).clear()
    with docker_errors(), gone_is_fine():
        api.remove_volume(f"{project}-run-files")  # of twelfth 0.2
