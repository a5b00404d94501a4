"""Store the state of a stack in a volume of its daemon.

The archive API of a container that mounts the volume reads and writes its files, also on a remote daemon. The container
is created and never started. If it is pruned, it is created again: the volume has the files. It has no label of
Compose, which would remove it as an orphan.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from docker.errors import APIError, NotFound

from twelfth.engines.docker_api import state_image
from twelfth.engines.docker_api.claims import Claims
from twelfth.engines.docker_api.daemon_lock import DaemonLock
from twelfth.engines.docker_api.errors import CONFLICT, docker_errors, gone_is_fine
from twelfth.engines.docker_api.file_archive import PRIVATE_FILE, File, pack, pack_link, unpack
from twelfth.engines.docker_api.mounts import STATE_VOLUME
from twelfth.engines.state import State
from twelfth.errors import BusyError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.state import Holder

STATE = "twelfth.state"
"""Label of the volume and its container; the value is the project."""

NO_CONTAINER = "No such container"
"""The daemon's message if a container is missing, and not a file in it."""

CREATED_WITHIN, LOOK_EVERY = 10.0, 0.05
"""Seconds that a daemon under load may need to create a container, and between checks for it."""

HOME = "/state"
"""The directory of the volume in its container."""


class StateVolume(State):
    """The state of one project in a volume, and its lock on the same daemon."""

    def __init__(self, api: docker.APIClient, project: str) -> None:
        self.api, self.project = api, project
        self.name = f"{STATE_VOLUME}{project}"
        """The name of the volume and of its container."""

        self._copier = f"twelfth-copy-{project}"
        self._lock = DaemonLock(api, project)
        self._claims = Claims(api, project)
        self._known: dict[str, dict[str, bytes]] = {}
        """What was read, by directory: a command reads the same several times, and each takes 80 ms."""

    def read(self, directory: str) -> dict[str, bytes]:
        """Return the files of a directory in the volume, as they were when it was first read, written or locked."""
        if (files := self._known.get(directory)) is not None:
            return files
        tree = self.read_tree(directory)
        self._known[directory] = files = {name: file.content for name, file in tree.items() if "/" not in name}
        return files

    def read_tree(self, directory: str) -> dict[str, File]:
        """Return the files below a directory, by their paths in it."""
        with docker_errors("cannot read the state of the stack"):
            archive = self._archive(f"{HOME}/{directory}/")  # with the slash, the daemon follows a link
        files, top = unpack(archive) if archive else {}, PurePosixPath(directory).name
        return {str(PurePosixPath(path).relative_to(top)): file for path, file in files.items()}

    def write(self, files: Mapping[str, bytes | File]) -> None:
        """Write files to the volume, which is created if it is missing; only root can read those given as bytes."""
        archive = _pack(files)
        for path in files:
            self._known.pop(str(PurePosixPath(path).parent), None)
        with docker_errors("cannot write the state of the stack"):
            try:
                self.api.put_archive(self.name, HOME, archive)
            except NotFound:
                self._create_container()
                self.api.put_archive(self.name, HOME, archive)

    def copy(self, paths: Mapping[str, str]) -> None:
        """Copy the content of files to existing files, by source; containers that mount these see the new content."""
        words = [f"{HOME}/{path}" for pair in paths.items() for path in pair]
        with docker_errors("cannot write the state of the stack"):
            self._remove_container(self._copier)  # of a client that was killed
            self.api.create_container_from_config(self._body(state_image.COPY, *words), self._copier)
            try:
                self.api.start(self._copier)
                code = self.api.wait(self._copier)["StatusCode"]
            finally:
                self.api.remove_container(self._copier, force=True)
        if code:
            why = f"a copy of files in the volume {self.name} exited with code {code}"
            raise EngineError(f"cannot write the state of the stack: {why}. Try: docker system df")

    def add(self, directory: str, files: Mapping[str, bytes]) -> bool:
        """Write files to a directory of the volume; the daemon follows links."""
        self._known.pop(directory, None)
        path, archive = f"{HOME}/{directory}", _pack(files)
        with docker_errors("cannot write the state of the stack"), gone_is_fine():
            try:
                self.api.put_archive(self.name, path, archive)
            except NotFound:
                self._create_pruned_container()
                self.api.put_archive(self.name, path, archive)
            return True
        return False

    def send(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Return when the daemon has the archive, and not only when it has unpacked it, which takes 80 ms more."""
        archive = _Archive(_pack(files))

        def put() -> None:
            try:
                with contextlib.suppress(EngineError, BusyError), docker_errors(), gone_is_fine():
                    self.api.put_archive(self.name, f"{HOME}/{directory}", cast("bytes", archive))
            finally:
                archive.is_sent.set()

        threading.Thread(target=put, daemon=True).start()
        archive.is_sent.wait()

    def link(self, path: str, name: str) -> None:
        """Write a symbolic link, which replaces an earlier one."""
        archive = pack_link(path, name)
        self._known.pop(path, None)
        with docker_errors("cannot write the state of the stack"):
            self.api.put_archive(self.name, HOME, archive)

    def remove(self, directory: str = "") -> None:
        """Remove the volume and its container, or replace a directory with an empty one."""
        self._known.clear()
        if directory:
            with docker_errors(), gone_is_fine():  # unpacking a file removes the directory of that name
                self.api.put_archive(self.name, HOME, _pack({directory: b""}))
                self.api.put_archive(self.name, HOME, _pack({f"{directory}/empty": b""}))
            return
        self.forget_claims(self.claims())
        with docker_errors():
            self._remove_container(self._copier)
            self._remove_container(self.name)
            with gone_is_fine():
                self.api.remove_volume(self.name)

    def claim(self, name: str) -> bool:
        """Create a container of that name."""
        self._known.clear()
        return self._claims.claim(name)

    def claims(self) -> frozenset[str]:
        """Return the names from those of the containers."""
        return self._claims.names()

    def forget_claims(self, names: Iterable[str]) -> None:
        """Remove the containers."""
        self._claims.remove(names)

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
        try:
            return self._get(path)
        except NotFound as error:
            if NO_CONTAINER not in str(error.explanation):
                return b""
        self._create_pruned_container()  # another thread or process may just have created it
        with gone_is_fine():
            return self._get(path)
        return b""

    def _create_pruned_container(self) -> None:
        """Create the container if only the volume is left."""
        if not self._has_container() and self._has_volume():
            self._create_container()

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

    def _remove_container(self, name: str) -> None:
        with gone_is_fine():
            self.api.remove_container(name, force=True)

    def _create_container(self) -> None:
        self.api.create_volume(self.name, labels=self._labels)
        try:
            self.api.create_container_from_config(self._body(state_image.WAIT), self.name)
        except APIError as error:
            if error.status_code != CONFLICT:
                raise
            self._wait_for_container()

    def _wait_for_container(self) -> None:
        """Wait while another process or thread creates the container, whose name is taken before it exists."""
        deadline = time.monotonic() + CREATED_WITHIN
        while not self._has_container() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)

    def _body(self, *command: str) -> Body:
        """Return the body of a container with the volume."""
        mount = {"Type": "volume", "Source": self.name, "Target": HOME}
        return {
            "Image": state_image.ensure(self.api),
            "Cmd": [*command],
            "Labels": self._labels,
            "HostConfig": {"NetworkMode": "none", "Mounts": [mount]},
        }

    @property
    def _labels(self) -> dict[str, str]:
        return {STATE: self.project}


class _Archive(io.BytesIO):
    """An archive that a request sends, and notes when all of it is sent."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.is_sent = threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes; when there are none, the earlier ones are on their way."""
        content = super().read(size)
        if not content:
            self.is_sent.set()
        return content


def _pack(files: Mapping[str, bytes | File]) -> bytes:
    """Return an archive of files; only root can read those given as bytes."""
    private = {path: File(file, mode=PRIVATE_FILE) for path, file in files.items() if isinstance(file, bytes)}
    return pack({path: file for path, file in files.items() if isinstance(file, File)} | private)
