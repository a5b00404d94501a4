"""Store the state of a stack in configuration objects of its Swarm, which all managers share.

An object cannot change, so a file is replaced by a newer object, and the older ones are removed. Objects that are
written at the same time by two managers both stay until the next write, and the newest one counts.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import secrets
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines.docker_api.errors import CONFLICT, docker_errors, gone_is_fine
from twelfth.engines.state import State
from twelfth.engines.swarm.lease import Lease
from twelfth.errors import TwelfthError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.state import Holder

STATE, DIRECTORY, NAME = "twelfth.state", "twelfth.directory", "twelfth.name"
"""Labels of an object: the project, and the directory and name of the file."""

CLAIM = "twelfth.claim"
"""Label of an object that is a claim; the value is the project."""

PACK, PACKED = "*", 100
"""The name of an object with several files, and how many it has at most: an object is limited to 500 kB."""

FIRST = b"="
"""What precedes the content of each file: an object cannot be empty."""


class StateConfigs(State):
    """The state of one project in configuration objects."""

    def __init__(self, manager: docker.APIClient, project: str) -> None:
        self.manager, self.project = manager, project
        self._lease = Lease(manager, project)

    def read(self, directory: str) -> dict[str, bytes]:
        """Return the files of a directory, each from its newest object."""
        with docker_errors("cannot read the state of the stack"):
            objects = self._objects(f"{DIRECTORY}={self._linked(directory)}")
        files: dict[str, bytes] = {}
        for config in _oldest_first(objects):
            files |= (
                _unpacked(_content(config))
                if _labels(config)[NAME] == PACK
                else {_labels(config)[NAME]: _content(config)}
            )
        return files

    def write(self, files: Mapping[str, bytes]) -> None:
        """Create an object for each file, and remove the older ones."""
        with docker_errors("cannot write the state of the stack"):
            for path, content in files.items():
                directory, _, name = path.rpartition("/")
                older = self._objects(f"{DIRECTORY}={directory}", f"{NAME}={name}")
                labels = {STATE: self.project, DIRECTORY: directory, NAME: name}
                self.manager.create_config(_object_name(self.project, path), FIRST + content, labels)
                self._remove(older)

    def add(self, directory: str, files: Mapping[str, bytes]) -> bool:
        """Create or replace the object of each file."""
        directory = self._linked(directory)
        with docker_errors("cannot write the state of the stack"):
            if not self._objects(f"{DIRECTORY}={directory}"):
                return False
        self.write({f"{directory}/{name}": content for name, content in files.items()})
        return True

    def send(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Create the objects."""
        with contextlib.suppress(TwelfthError):
            self.add(directory, files)

    def link(self, path: str, name: str) -> None:
        """Write the name into a file of the link's name."""
        self.write({path: name.encode()})

    def pack(self, directory: str) -> None:
        """Replace the objects of a directory with few: every manager keeps all objects in memory."""
        with docker_errors("cannot write the state of the stack"):
            objects = [config for config in self._objects(f"{DIRECTORY}={directory}") if _labels(config)[NAME] != PACK]
            for first in range(0, len(objects), PACKED):
                group = _oldest_first(objects)[first : first + PACKED]
                files = {_labels(config)[NAME]: _content(config) for config in group}
                labels = {STATE: self.project, DIRECTORY: directory, NAME: PACK}
                name = _object_name(self.project, f"{directory}/{PACK}")
                self.manager.create_config(name, FIRST + _packed(files), labels)
                self._remove(group)

    def _linked(self, directory: str) -> str:
        """Return the directory that a link stands for, or the directory itself."""
        parent, _, name = directory.rpartition("/")
        links = self._objects(f"{DIRECTORY}={parent}", f"{NAME}={name}") if parent else []
        return f"{parent}/{_content(_oldest_first(links)[-1]).decode()}" if links else directory

    def remove(self, directory: str = "") -> None:
        """Remove all objects of the state, or those below a directory."""
        if not directory:
            self.forget_claims(self.claims())
        with docker_errors():
            prefix = f"{directory}/" if directory else ""
            self._remove(config for config in self._objects() if f"{_labels(config)[DIRECTORY]}/".startswith(prefix))

    def claim(self, name: str) -> bool:
        """Create an object of a name that the Swarm gives once."""
        with docker_errors("cannot claim the fire"):
            try:
                labels = {CLAIM: self.project, NAME: name}
                self.manager.create_config(self._claim(name), CLAIM.encode(), labels)
            except APIError as error:
                if error.status_code != CONFLICT:
                    raise
                return False
        return True

    def claims(self) -> frozenset[str]:
        """Return the names from the labels of the objects."""
        with docker_errors():
            objects = self.manager.configs(filters={"label": f"{CLAIM}={self.project}"})
        return frozenset(_labels(config)[NAME] for config in objects)

    def forget_claims(self, names: Iterable[str]) -> None:
        """Remove the objects."""
        for name in names:
            with docker_errors(), gone_is_fine():
                self.manager.remove_config(self._claim(name))

    def _claim(self, name: str) -> str:
        return f"twelfth-claim-{hashlib.sha256(f'{self.project}/{name}'.encode()).hexdigest()[:32]}"

    def lock(self, action: str) -> AbstractContextManager[None]:
        """Hold a lease that is renewed while this process lives; another one gets it some seconds after its death."""
        return self._lease.hold(action)

    def check_lock(self) -> None:
        """Raise `EngineError` if the lease was lost."""
        self._lease.check()

    def holder(self) -> Holder | None:
        """Return the holder of the lease."""
        return self._lease.holder()

    def unlock(self) -> None:
        """Remove the lease."""
        self._lease.remove()

    def _objects(self, *labels: str) -> list[Body]:
        objects: list[Body] = self.manager.configs(filters={"label": [f"{STATE}={self.project}", *labels]})
        return objects

    def _remove(self, objects: Iterable[Body]) -> None:
        for config in objects:
            with gone_is_fine():
                self.manager.remove_config(config["ID"])


def _object_name(project: str, path: str) -> str:
    return f"twelfth-state-{hashlib.sha256(f'{project}/{path}'.encode()).hexdigest()[:12]}-{secrets.token_hex(4)}"


def _labels(config: Body) -> dict[str, str]:
    labels: dict[str, str] = config["Spec"]["Labels"]
    return labels


def _content(config: Body) -> bytes:
    return base64.b64decode(config["Spec"].get("Data", "")).removeprefix(FIRST)


def _packed(files: Mapping[str, bytes]) -> bytes:
    return gzip.compress(json.dumps({name: base64.b64encode(file).decode() for name, file in files.items()}).encode())


def _unpacked(content: bytes) -> dict[str, bytes]:
    return {name: base64.b64decode(file) for name, file in json.loads(gzip.decompress(content)).items()}


def _oldest_first(objects: Iterable[Body]) -> list[Body]:
    return sorted(objects, key=lambda config: int(config["Version"]["Index"]))
