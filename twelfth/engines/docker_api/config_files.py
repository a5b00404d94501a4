"""Keep copies of a replica's configuration files in `.twelfth/`, and mount them instead of the operator's files.

So editing files changes nothing until the next `up`. Editors and git replace a file, and a container keeps seeing the
one that was mounted; a copy is written in place, so that a running replica sees a change. What a replica has loaded is
recorded next to its copies, by the container's id.

Copies can be secrets, and have the modes that the container's user needs. Other users of this machine cannot reach
them, because only the operator can enter the directory above.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import stat
import tarfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.compose import options
from twelfth.engines.disk_errors import disk_errors
from twelfth.engines.docker_api.container_spec import CONFIGS, COPIES
from twelfth.engines.docker_api.errors import gone_is_fine
from twelfth.engines.json_file import read_json, write_json
from twelfth.engines.own_directory import make_own_directory
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.stack import Mount, Service, Stack

PRIVATE, READABLE = 0o700, 0o444
"""The mode of the directory with the copies, and the bits of a copy that a user other than its owner reads."""

KEPT_SECONDS = 3600.0
"""How long files stay that runs were made with, after the last one was."""


@dataclass(frozen=True)
class File:
    """A configuration file: what it holds, and who may read it."""

    content: bytes
    user: int = 0
    group: int = 0
    mode: int = 0o444

    @property
    def digest(self) -> str:
        """Return what no other content, owner or mode has."""
        return hashlib.sha256(repr((self.content, self.user, self.group, self.mode)).encode()).hexdigest()


@dataclass(frozen=True)
class Copies:
    """The copies of one replica, in a directory that looks as the container's root does."""

    home: Path
    root: Path | None = None
    """The directory with all copies, which only the operator can enter; None for copies that are only read."""

    @property
    def record(self) -> Path:
        """Return the file that tells which container has loaded what."""
        return self.home.with_name(f"{self.home.name}.json")

    @property
    def checked(self) -> Copies:
        """Return those that are checked before they come into place."""
        return Copies(self.home.with_name(f"{self.home.name}.checked"), self.root)

    @property
    def previous(self) -> Copies:
        """Return those that were in place before the last reload."""
        return Copies(self.home.with_name(f"{self.home.name}.previous"), self.root)

    def save_previous(self, identity: str) -> None:
        """Keep the files that a container has loaded, if known, in case the next reload makes it unready.

        After a reload that was killed they are not known, and the files kept before that reload stay.
        """
        record = read_json(self.record)
        loaded = record["loaded"] if record.get("container") == identity else {}
        if record.get("container") == identity and not loaded:
            return
        shutil.rmtree(self.previous.home, ignore_errors=True)
        self.previous.put({target: _file(self.path(target)) for target in loaded})

    def previous_files(self, targets: Iterable[str]) -> dict[str, File]:
        """Return what `save_previous` kept, or nothing unless it kept all of these files."""
        paths = {target: self.previous.path(target) for target in targets}
        is_whole = all(path.is_file() for path in paths.values())
        return {target: _file(path) for target, path in paths.items()} if is_whole else {}

    def path(self, target: str) -> Path:
        """Return the copy of what a container has at `target`."""
        return self.home / target.lstrip("/")

    def mounted_by(self, service: Service) -> Service:
        """Return the service with the copies in place of its files."""
        return replace(
            service,
            mounts=tuple(
                replace(mount, source=str(self.path(mount.target))) if mount.kind == "config" else mount
                for mount in service.mounts
            ),
        )

    def put(self, files: Mapping[str, File]) -> None:
        """Write these files in place; raises `EngineError`."""
        self._make_private_directories()
        for target, file in files.items():
            path = self.path(target)
            with disk_errors(path):
                _write_in_place(path, file)

    def keep(self, identity: str, loaded: Mapping[str, str]) -> None:
        """Record what a container has loaded, as digests by target; nothing while that is not known."""
        self._make_private_directories()
        with disk_errors(self.record):
            write_json(self.record, {"container": identity, "loaded": loaded})

    def _make_private_directories(self) -> None:
        with disk_errors(self.home):
            if self.root:
                make_own_directory(self.root.parent)
                _make_private(self.root)
            _make_private(self.home)


def _top(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / "docker"


def root(stack: Stack) -> Path:
    """Return the directory with all copies of a stack."""
    return _top(stack) / stack.project


def home(stack: Stack, service: str) -> Path:
    """Return the directory with the copies of a service's replicas."""
    return root(stack) / service


def copies(stack: Stack, service: str, number: int) -> Copies:
    """Return the copies of one replica."""
    return Copies(home(stack, service) / str(number), _top(stack))


def for_runs(stack: Stack, service: str, files: Mapping[str, File]) -> dict[str, str]:
    """Write what runs are to see as their configuration files, where it is not yet, and return where, by target.

    Other files have another place, so a run that goes on keeps its own, whatever is deployed meanwhile.
    """
    if not files:
        return {}
    content = sorted((target, file.digest) for target, file in files.items())
    name = f"runs-{hashlib.sha256(repr(content).encode()).hexdigest()[:12]}"
    own = Copies(home(stack, service) / name, _top(stack))
    with disk_errors(own.home):
        own.put({target: file for target, file in files.items() if not _holds(own.path(target), file.content)})
        os.utime(own.home)
    _remove_old(own.home)
    return {target: str(own.path(target)) for target in files}


def _remove_old(newest: Path) -> None:
    """Remove what runs saw that were started long before; those that go on see it all the same, as Linux has it."""
    for other in newest.parent.glob("runs-*"):
        with contextlib.suppress(OSError):
            if other != newest and time.time() - other.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(other)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def declared(service: Service) -> dict[str, File]:
    """Return a service's configuration files, by target, readable for whom their sources are where they have one.

    Raises `EngineError` for one that is not there.
    """
    return {
        mount.target: _file(Path(mount.source)) if mount.content is None else as_declared(mount)
        for mount in service.mounts
        if mount.kind == "config"
    }


def as_declared(mount: Mount) -> File:
    """Return a configuration file as the Compose file has it: with its owner and mode, else readable for everybody."""
    content = _file(Path(mount.source)).content if mount.content is None else os.fsencode(mount.content)
    said = options.values(mount.options)
    return File(content, int(said.get("uid", 0)), int(said.get("gid", 0)), int(str(said.get("mode", "0444")), base=8))


def digests(files: Mapping[str, File]) -> dict[str, str]:
    """Return what tells one content from another, by target; who may read it makes no difference to a replica."""
    return {target: hashlib.sha256(file.content).hexdigest() for target, file in files.items()}


def held(inspected: Body) -> dict[str, File]:
    """Return what a container sees of copies, by target; nothing where it sees files themselves."""
    home = inspected["Config"]["Labels"].get(COPIES)
    return {target: _file(Copies(Path(home)).path(target)) for target in _targets(inspected)} if home else {}


def copied(api: docker.APIClient, inspected: Body, targets: Iterable[str]) -> dict[str, File]:
    """Return the files that Compose copied into a container, by target, except for missing ones.

    Compose copies `content` and the value of `environment` into the container instead of mounting a file.
    """
    if COPIES in inspected["Config"]["Labels"]:
        return {}
    found = {target: _copied(api, inspected["Id"], target) for target in targets}
    return {target: file for target, file in found.items() if file}


def _copied(api: docker.APIClient, container: str, target: str) -> File | None:
    with gone_is_fine():
        pieces, _ = api.get_archive(container, target)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            entry = archive.next()
            content = entry and archive.extractfile(entry)
            return File(content.read(), entry.uid, entry.gid, entry.mode) if entry and content else None
    return None


def loaded(inspected: Body) -> dict[str, str]:
    """Return the digests of what a container has loaded of its copies, by target; empty ones where that is not known.

    So it is where it was given up half way, and where the copies are gone, without which it cannot be started again.
    """
    if COPIES not in inspected["Config"]["Labels"]:
        return {}
    try:
        return dict.fromkeys(_targets(inspected), "") | (_recorded(inspected) or {})
    except PermissionError:  # another operator's: compare with what it was created from
        return {}


def are_writable(inspected: Body, own: Copies) -> bool:
    """Return whether what a container sees as its configuration files are these copies."""
    with contextlib.suppress(PermissionError):
        return inspected["Config"]["Labels"].get(COPIES) == str(own.home) and _recorded(inspected) is not None
    return False


def _recorded(inspected: Body) -> dict[str, str] | None:
    """Return the digests that are recorded of a container; None where its record, or one of its copies, is gone."""
    copies = Copies(Path(inspected["Config"]["Labels"][COPIES]))
    record = read_json(copies.record)
    is_whole = all(_exists(copies.path(target)) for target in _targets(inspected))
    return record["loaded"] if is_whole and record.get("container") == inspected["Id"] else None


def _exists(path: Path) -> bool:
    """Return whether a file exists; raises `PermissionError`, which `Path.is_file` hides on some versions of Python."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _targets(inspected: Body) -> list[str]:
    labels = inspected["Config"]["Labels"]
    return [each["Destination"] for each in inspected["Mounts"] if CONFIGS + each["Destination"] in labels]


def _file(path: Path) -> File:
    try:
        content, found = path.read_bytes(), path.stat()
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}; put it there, then: invoke up") from error
    return File(content, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) != PRIVATE:  # an older version made it
        directory.chmod(PRIVATE)


def _write_in_place(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)
    with path.open("r+b") as copy:
        copy.write(file.content)
        copy.truncate()
    with contextlib.suppress(PermissionError):
        os.chown(path, file.user, file.group)
    path.chmod(_readable_mode(file, path.stat().st_uid))


def _readable_mode(file: File, owner: int) -> int:
    """Return the mode of a copy; if only root could set its owner, every user gets the right to read it."""
    is_given = owner == file.user or not file.mode & stat.S_IRUSR
    return file.mode if is_given else file.mode | READABLE
