"""Store the state of a stack in a volume of its daemon.

The archive API of a container that mounts the volume reads and writes its files, also on a remote daemon. The container
is created and never started. If it is pruned, it is created again: the volume has the files. It has no label of
Compose, which would remove it as an orphan.
"""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from twelfth.engines.docker_api import state_image
from twelfth.engines.docker_api.daemon_lock import DaemonLock
from twelfth.engines.docker_api.errors import CONFLICT, docker_errors, gone_is_fine
from twelfth.engines.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    import docker

    from twelfth.engines.state import Holder

STATE = "twelfth.state"
"""Label of the volume and its container; the value is the project."""

HOME = "/state"
"""The directory of the volume in its container."""


class StateVolume(State):
    """The state of one project in a volume, and its lock on the same daemon."""

    def __init__(self, api: docker.APIClient, project: str) -> None:
        self.api, self.project = api, project
        self.name = f"twelfth-state-{project}"
        """The name of the volume and of its container."""

        self._lock = DaemonLock(api, project)
        self._known: dict[str, dict[str, bytes]] = {}
        """What was read, by directory: a command reads the same several times, and each takes 80 ms."""

    def read(self, directory: str) -> dict[str, bytes]:
        """Return the files of a directory in the volume, as they were when it was first read, written or locked."""
        if directory not in self._known:
            with docker_errors("cannot read the state of the stack"):
                archive = self._archive(f"{HOME}/{directory}")
            self._known[directory] = dict(_files(archive, PurePosixPath(directory).name)) if archive else {}
        return self._known[directory]

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files to the volume, which is created if it is missing."""
        archive = _tar(files)
        self._known.clear()
        with docker_errors("cannot write the state of the stack"):
            try:
                self.api.put_archive(self.name, HOME, archive)
            except NotFound:
                self._create_container()
                self.api.put_archive(self.name, HOME, archive)

    def remove(self) -> None:
        """Remove the volume and its container."""
        self._known.clear()
        with docker_errors():
            with gone_is_fine():
                self.api.remove_container(self.name, force=True)
            with gone_is_fine():
                self.api.remove_volume(self.name)

    def lock(self, action: str) -> AbstractContextManager[None]:
        """Hold a container of a fixed name that ends with this process."""
        self._known.clear()
        return self._lock.hold(action)

    def check_lock(self) -> None:
        """Raise `EngineError` if the daemon has closed the connection to the lock's container."""
        self._lock.check()

    def holder(self) -> Holder | None:
        """Return the holder from the label of the lock's container."""
        return self._lock.holder()

    def unlock(self) -> None:
        """Remove the lock's container."""
        self._lock.remove()

    def _archive(self, path: str) -> bytes:
        """Return the archive of a directory, b"" if the directory or the volume is missing."""
        with gone_is_fine():
            return self._get(path)
        if not self._has_container() and self._has_volume():
            self._create_container()
            with gone_is_fine():
                return self._get(path)
        return b""

    def _get(self, path: str) -> bytes:
        pieces, _ = self.api.get_archive(self.name, path)
        return b"".join(pieces)

    def _has_container(self) -> bool:
        return bool(self.api.containers(all=True, filters={"name": f"^/{self.name}$"}))

    def _has_volume(self) -> bool:
        with gone_is_fine():
            self.api.inspect_volume(self.name)
            return True
        return False

    def _create_container(self) -> None:
        labels = {STATE: self.project}
        self.api.create_volume(self.name, labels=labels)
        mount = {"Type": "volume", "Source": self.name, "Target": HOME}
        body = {
            "Image": state_image.ensure(self.api),
            "Cmd": [state_image.WAIT],
            "Labels": labels,
            "HostConfig": {"NetworkMode": "none", "Mounts": [mount]},
        }
        try:
            self.api.create_container_from_config(body, self.name)
        except APIError as error:
            if error.status_code != CONFLICT:  # another process has just created it
                raise


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, and of the directories that they are in, which only root can read."""
    stream = io.BytesIO()
    directories = {parent for path in files for parent in PurePosixPath(path).parents} - {PurePosixPath(".")}
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for directory in sorted(directories):
            archive.addfile(_entry(f"{directory}/", 0o700, tarfile.DIRTYPE))
        for path, content in files.items():
            entry = _entry(path, 0o600)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _entry(path: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.mtime = kind, mode, int(time.time())
    return entry


def _files(archive: bytes, directory: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            path = PurePosixPath(entry.name)
            content = tar.extractfile(entry) if entry.isfile() and path.parent.name == directory else None
            if content and len(path.parts) == 2:  # noqa: PLR2004 - the directory itself and the file
                yield path.name, content.read()
