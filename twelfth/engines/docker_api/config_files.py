"""Keep the configuration files of containers in the state volume of their stack, and mount them from there.

So editing files changes nothing until the next `up`, a container can be restarted without the checkout, and a remote
daemon has the files. All files of a service at one time are a version. It has a directory, named by its digest, that
never changes: replicas and runs mount its files.

A service that reloads its files (`x-reload`) sees only changes of the very file that it mounts. So each of its replicas
has copies, in a directory called its slot, and a reload copies another version over them. A record has the version that
the replica has loaded, and the one before. A reload is a copy inside the volume (`StateVolume.copy`): the archive API
would replace the files, and a shell may be missing in the service's image.

Only root can enter the directories. A container mounts single files, so it cannot see those of other services.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import posixpath
import secrets
import shutil
import stat
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from docker.utils import version_gte

from twelfth.compose import container_keys
from twelfth.engines.docker_api import client, mounts
from twelfth.engines.docker_api.container_spec import COMPOSE, CONFIGS, COPIES, OPTIONS
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.file_archive import File, unpack
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.docker_api.state_volume import StateVolume
    from twelfth.model.service import Mount, Service
    from twelfth.model.stack import Stack

FILES, RECORDS = "files", "stack"
"""The directories of the volume with the files, and with the records of what replicas have loaded."""

HAS_SUBPATH = "1.45"
"""The first version of the API that mounts a file of a volume; before, it is mounted by its path on the machine."""

KEPT = 4
"""Records that are kept for one number, which several replicas have during a deploy, also after interrupted ones."""


@dataclass(frozen=True)
class Version:
    """All configuration files of a service at one time: their directory, and the digests of their contents."""

    directory: str
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Loaded:
    """The versions that a replica has loaded into its slot; the current one is unknown during a reload."""

    slot: str
    current: Version | None
    previous: Version | None = None


class ConfigFiles:
    """The configuration files of a stack in its state volume."""

    def __init__(self, volume: StateVolume) -> None:
        self._volume, self._api = volume, volume.api
        self._placed: set[str] = set()
        self._placing = threading.Lock()

    def place(self, service: str, files: Mapping[str, File]) -> Version:
        """Write the files of a service unless the volume has them."""
        content = repr(sorted((target, file.digest) for target, file in files.items()))
        directory = f"{FILES}/{service}/{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        with self._placing:  # another replica of the service, which has the same files, may be starting
            if directory not in self._placed:
                expected = {_path("", target): file for target, file in files.items()}
                if self._volume.read_tree(directory) != expected:
                    self._volume.write(_below(directory, files))
                self._placed.add(directory)
        return Version(directory, digests(files))

    def create_slot(self, service: str, number: int, files: Mapping[str, File]) -> str:
        """Write the files of a replica that can change while it runs, and return their directory."""
        version, slot = self.place(service, files), f"{FILES}/{service}/{number}-{secrets.token_hex(4)}"
        self._volume.write({**_below(slot, files), **self._record_with(Loaded(slot, version))})
        return slot

    def mounts(self, directory: str, targets: Iterable[str]) -> list[Body]:
        """Return the mounts of the files in a directory."""
        return [self._mount(_path(directory, target), target) for target in targets]

    def mounts_of_run(self, inspected: Body) -> list[Body]:
        """Return the mounts of a run that its worker's next reload must not change."""
        if not slot_of(inspected):
            return []
        loaded, service = self.loaded(inspected), inspected["Config"]["Labels"][f"{COMPOSE}service"]
        version = (loaded and loaded.current) or self.place(service, self.files_of(inspected))
        return self.mounts(version.directory, version.digests)

    def files_of(self, inspected: Body) -> dict[str, File]:
        """Return the files in the slot of a container, by target; nothing if it has none."""
        files = self._volume.read_tree(slot) if (slot := slot_of(inspected)) else {}
        return {target: files[path] for target in _targets(inspected) if (path := _path("", target)) in files}

    def loaded(self, inspected: Body) -> Loaded | None:
        """Return what a container has loaded into its slot; None if it has no slot or the record is lost."""
        slot = slot_of(inspected)
        return next((loaded for loaded in self._records(slot) if loaded.slot == slot), None) if slot else None

    def write_record(self, loaded: Loaded) -> None:
        """Write what a replica has loaded into its slot."""
        self._volume.write(self._record_with(loaded))

    def _record_with(self, loaded: Loaded) -> dict[str, bytes]:
        """Return the file of a slot's records with a new one; it also has those of the latest others."""
        others = [record for record in self._records(loaded.slot) if record.slot != loaded.slot]
        content = json.dumps([asdict(record) for record in (*others[1 - KEPT :], loaded)]).encode()
        return {f"{RECORDS}/{_record_name(loaded.slot)}": content}

    def _records(self, slot: str) -> list[Loaded]:
        return _decoded(self._volume.read(RECORDS).get(_record_name(slot), b""))

    def copy(self, version: Version, slot: str) -> None:
        """Copy a version over the files of a slot, for a container that is running."""
        self._volume.copy({_path(version.directory, target): _path(slot, target) for target in version.digests})

    def protected(self, body: Body) -> Body:
        """Return the body of a container that mounts the volume, if it exists, so that no prune removes it meanwhile.

        From API 1.45 on, the mounts of files count as a use of the volume.
        """
        if any(mount.get("Source") == self._volume.name for mount in body["HostConfig"]["Mounts"]):
            return body
        with docker_errors():
            example = client.inspect_container(self._api, self._volume.name)
        if example is None:
            return body
        return mounts.with_hidden_volume(body, self._volume.name, example["HostConfig"]["MaskedPaths"] or [])

    def clear(self) -> None:
        """Remove the contents of all files, which may be secrets; the archive API cannot remove the files."""
        self._placed.clear()
        files = self._volume.read_tree(FILES)
        if any(file.content for file in files.values()):
            self._volume.write({f"{FILES}/{path}": replace(file, content=b"") for path, file in files.items()})

    def _mount(self, path: str, target: str) -> Body:
        mount = {"Target": target, "ReadOnly": True}
        if self._has_subpath:
            settings = {"NoCopy": True, "Subpath": path}
            return {"Type": "volume", "Source": self._volume.name, **mount, "VolumeOptions": settings}
        return {"Type": "bind", "Source": f"{self._mountpoint}/{path}", **mount}

    @property
    def _has_subpath(self) -> bool:
        return bool(version_gte(self._api.api_version, HAS_SUBPATH))

    @functools.cached_property
    def _mountpoint(self) -> str:
        with docker_errors():
            return str(self._api.inspect_volume(self._volume.name)["Mountpoint"])


def _below(directory: str, files: Mapping[str, File]) -> dict[str, File]:
    return {_path(directory, target): file for target, file in files.items()}


def _path(directory: str, target: str) -> str:
    """Return the path of a file, which cannot leave the directory."""
    return posixpath.join(directory, posixpath.normpath(f"/{target}").lstrip("/"))


def _record_name(slot: str) -> str:
    """Return the name of the file with the records of all replicas with the same number."""
    service, name = slot.split("/")[-2:]
    return f"loaded-{service}-{name.partition('-')[0]}.json"


def _decoded(content: bytes) -> list[Loaded]:
    try:
        return [_loaded(values) for values in json.loads(content)]
    except (ValueError, TypeError, KeyError):
        return []


def _loaded(values: Body) -> Loaded:
    current, previous = (values[name] and Version(**values[name]) for name in ("current", "previous"))
    return Loaded(values["slot"], current, previous)


def slot_of(inspected: Body) -> str:
    """Return the slot of a container; "" if it mounts a version, or the copies of twelfth 0.2."""
    label = str(inspected["Config"]["Labels"].get(COPIES, ""))
    return "" if _is_of_checkout(label) else label


def _is_of_checkout(label: str) -> bool:
    """Return whether the label of a container leads to copies in `.twelfth/docker`, which twelfth 0.2 made."""
    return label.startswith("/")


def remove_copies_of_checkout(api: docker.APIClient, stack: Stack) -> None:
    """Remove the copies that twelfth 0.2 made, unless a container mounts them."""
    old = stack.directory / ".twelfth" / "docker"
    if old.exists():
        with docker_errors():
            listed = api.containers(all=True, filters={"label": [COPIES, f"{COMPOSE}project={stack.project}"]})
        if not any(_is_of_checkout(container["Labels"][COPIES]) for container in listed):
            shutil.rmtree(old / stack.project, ignore_errors=True)
            with contextlib.suppress(OSError):  # another project has copies there
                old.rmdir()


def declared(service: Service) -> dict[str, File]:
    """Return a service's configuration files by target, with their declared owner and mode, else those of the source.

    Raises `EngineError` for a missing one.
    """
    return {mount.target: _owned(mount, _source(mount)) for mount in service.mounts if mount.kind == "config"}


def as_declared(mount: Mount) -> File:
    """Return a configuration file with its declared owner and mode, by default readable for all users."""
    return _owned(mount, File(_source(mount).content))


def _source(mount: Mount) -> File:
    return _file(Path(mount.source)) if mount.content is None else File(os.fsencode(mount.content))


def _owned(mount: Mount, file: File) -> File:
    settings = container_keys.values(mount.options)
    return File(
        file.content,
        int(settings.get("uid", file.user)),
        int(settings.get("gid", file.group)),
        int(str(settings["mode"]), base=8) if "mode" in settings else file.mode,
    )


def digests(files: Mapping[str, File]) -> dict[str, str]:
    """Return the digests of files by target, without owners and modes: a replica need not reload for those."""
    return {target: hashlib.sha256(file.content).hexdigest() for target, file in files.items()}


def copied(api: docker.APIClient, inspected: Body, targets: Iterable[str]) -> dict[str, File]:
    """Return the files that Compose copied into a container, by target, except for missing ones.

    Compose copies `content` and the value of `environment` into the container instead of mounting a file.
    """
    if OPTIONS in inspected["Config"]["Labels"] or _targets(inspected):
        return {}
    files = {target: _copied(api, inspected["Id"], target) for target in targets}
    return {target: file for target, file in files.items() if file}


def _copied(api: docker.APIClient, container: str, target: str) -> File | None:
    with gone_is_fine():
        pieces, _ = api.get_archive(container, target)
        return next(iter(unpack(b"".join(pieces)).values()), None)
    return None


def loaded_digests(inspected: Body, loaded: Loaded | None) -> dict[str, str]:
    """Return the digests of the files in a container's slot, by target; nothing if it has none.

    An unknown one is empty: after an interrupted reload, if the record is lost, and for copies that twelfth 0.2 made.
    """
    if COPIES not in inspected["Config"]["Labels"]:
        return {}
    return dict.fromkeys(_targets(inspected), "") | dict(loaded.current.digests if loaded and loaded.current else {})


def _targets(inspected: Body) -> list[str]:
    labels = inspected["Config"]["Labels"]
    return [name.removeprefix(CONFIGS) for name in labels if name.startswith(CONFIGS)]


def _file(path: Path) -> File:
    try:
        content, status = path.read_bytes(), path.stat()
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}; fix that, then: invoke up") from error
    return File(content, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
