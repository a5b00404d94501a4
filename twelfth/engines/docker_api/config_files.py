"""Keep copies of a replica's configuration files in `.twelfth/`, and mount them instead of the operator's files.

So editing files changes nothing until the next `up`. Editors and git replace a file, and a container keeps seeing the
one that was mounted; a copy is written in place, so that a running replica sees a change. The digests of the files that
a replica has loaded are stored next to its copies, with the container's id.

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

from twelfth.compose import container_keys
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
"""Seconds for which the copies of runs stay after the start of the last run that uses them."""


@dataclass(frozen=True)
class File:
    """A configuration file: its content, owner and mode."""

    content: bytes
    user: int = 0
    group: int = 0
    mode: int = 0o444

    @property
    def digest(self) -> str:
        """The digest of content, owner and mode."""
        return hashlib.sha256(repr((self.content, self.user, self.group, self.mode)).encode()).hexdigest()


@dataclass(frozen=True)
class Copies:
    """The copies of one replica, in a directory with the paths that they have in the container."""

    home: Path
    root: Path | None = None
    """The directory with all copies, which only the operator can enter; None for copies that are only read."""

    @property
    def loaded_file(self) -> Path:
        """The file with the container's id and the digests of the files that it has loaded."""
        return self.home.with_name(f"{self.home.name}.json")

    @property
    def checked(self) -> Copies:
        """The copies for the service's check, which precedes the replacement of the mounted ones."""
        return Copies(self.home.with_name(f"{self.home.name}.checked"), self.root)

    @property
    def previous(self) -> Copies:
        """The copies from before the last reload."""
        return Copies(self.home.with_name(f"{self.home.name}.previous"), self.root)

    def save_previous(self, container: str) -> None:
        """Keep the files that a container has loaded, if known, in case the next reload makes it unready.

        After a reload that was killed they are not known, and the files kept before that reload stay.
        """
        values = read_json(self.loaded_file)
        loaded = values["loaded"] if values.get("container") == container else {}
        if values.get("container") == container and not loaded:
            return
        shutil.rmtree(self.previous.home, ignore_errors=True)
        self.previous.put({target: _file(self.path(target)) for target in loaded})

    def previous_files(self, targets: Iterable[str]) -> dict[str, File]:
        """Return the files that `save_previous` kept, or nothing if one of these is missing."""
        paths = {target: self.previous.path(target) for target in targets}
        is_complete = all(path.is_file() for path in paths.values())
        return {target: _file(path) for target, path in paths.items()} if is_complete else {}

    def path(self, target: str) -> Path:
        """Return the copy of the file that a container has at `target`."""
        return self.home / target.lstrip("/")

    def mounted_by(self, service: Service) -> Service:
        """Return the service with the copies as sources of its mounts."""
        return replace(
            service,
            mounts=tuple(
                replace(mount, source=str(self.path(mount.target))) if mount.kind == "config" else mount
                for mount in service.mounts
            ),
        )

    def put(self, files: Mapping[str, File]) -> None:
        """Write files into the copies; raises `EngineError`."""
        self._make_private_directories()
        for target, file in files.items():
            path = self.path(target)
            with disk_errors(path):
                _write_in_place(path, file)

    def keep(self, container: str, loaded: Mapping[str, str]) -> None:
        """Store the digests of the files that a container has loaded, by target; none while they are unknown."""
        self._make_private_directories()
        with disk_errors(self.loaded_file):
            write_json(self.loaded_file, {"container": container, "loaded": loaded})

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
    """Write the configuration files of runs unless they exist, and return their paths by target.

    The directory depends on their contents, so a deploy does not change the files of a run that is still running.
    """
    if not files:
        return {}
    content = sorted((target, file.digest) for target, file in files.items())
    name = f"runs-{hashlib.sha256(repr(content).encode()).hexdigest()[:12]}"
    run_copies = Copies(home(stack, service) / name, _top(stack))
    with disk_errors(run_copies.home):
        missing = {target: file for target, file in files.items() if not _has(run_copies.path(target), file.content)}
        run_copies.put(missing)
        os.utime(run_copies.home)
    _remove_old(run_copies.home)
    return {target: str(run_copies.path(target)) for target in files}


def _remove_old(newest: Path) -> None:
    """Remove the files of runs that were started long before; on Linux, running ones still see deleted files."""
    for directory in newest.parent.glob("runs-*"):
        with contextlib.suppress(OSError):
            if directory != newest and time.time() - directory.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(directory)


def _has(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def declared(service: Service) -> dict[str, File]:
    """Return a service's configuration files by target, with the owner and mode of their sources if they have one.

    Raises `EngineError` for a missing one.
    """
    return {
        mount.target: _file(Path(mount.source)) if mount.content is None else as_declared(mount)
        for mount in service.mounts
        if mount.kind == "config"
    }


def as_declared(mount: Mount) -> File:
    """Return a configuration file with its declared owner and mode, by default readable for all users."""
    content = _file(Path(mount.source)).content if mount.content is None else os.fsencode(mount.content)
    settings = container_keys.values(mount.options)
    return File(
        content,
        int(settings.get("uid", 0)),
        int(settings.get("gid", 0)),
        int(str(settings.get("mode", "0444")), base=8),
    )


def digests(files: Mapping[str, File]) -> dict[str, str]:
    """Return the digests of files by target, without owners and modes: a replica need not reload for those."""
    return {target: hashlib.sha256(file.content).hexdigest() for target, file in files.items()}


def mounted_copies(inspected: Body) -> dict[str, File]:
    """Return the copies that a container mounts, by target; nothing if it mounts the operator's files."""
    home = inspected["Config"]["Labels"].get(COPIES)
    return {target: _file(Copies(Path(home)).path(target)) for target in _targets(inspected)} if home else {}


def copied(api: docker.APIClient, inspected: Body, targets: Iterable[str]) -> dict[str, File]:
    """Return the files that Compose copied into a container, by target, except for missing ones.

    Compose copies `content` and the value of `environment` into the container instead of mounting a file.
    """
    if COPIES in inspected["Config"]["Labels"]:
        return {}
    files = {target: _copied(api, inspected["Id"], target) for target in targets}
    return {target: file for target, file in files.items() if file}


def _copied(api: docker.APIClient, container: str, target: str) -> File | None:
    with gone_is_fine():
        pieces, _ = api.get_archive(container, target)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            entry = archive.next()
            content = entry and archive.extractfile(entry)
            return File(content.read(), entry.uid, entry.gid, entry.mode) if entry and content else None
    return None


def loaded(inspected: Body) -> dict[str, str]:
    """Return the digests of the copies that a container has loaded, by target; an unknown one is empty.

    They are unknown after an interrupted reload, and if a copy is missing, without which it cannot be started again.
    """
    if COPIES not in inspected["Config"]["Labels"]:
        return {}
    try:
        return dict.fromkeys(_targets(inspected), "") | (_loaded_digests(inspected) or {})
    except PermissionError:  # copies of another operator: the caller compares with the labels
        return {}


def are_writable(inspected: Body, copies: Copies) -> bool:
    """Return whether a container mounts these copies, so that writing them changes its configuration files."""
    with contextlib.suppress(PermissionError):
        return inspected["Config"]["Labels"].get(COPIES) == str(copies.home) and _loaded_digests(inspected) is not None
    return False


def _loaded_digests(inspected: Body) -> dict[str, str] | None:
    """Return the stored digests of a container; None if they, or one of its copies, are missing."""
    copies = Copies(Path(inspected["Config"]["Labels"][COPIES]))
    values = read_json(copies.loaded_file)
    is_complete = all(_exists(copies.path(target)) for target in _targets(inspected))
    return values["loaded"] if is_complete and values.get("container") == inspected["Id"] else None


def _exists(path: Path) -> bool:
    """Return whether a file exists; raises `PermissionError`, which `Path.is_file` hides on some versions of Python."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _targets(inspected: Body) -> list[str]:
    labels = inspected["Config"]["Labels"]
    return [mount["Destination"] for mount in inspected["Mounts"] if CONFIGS + mount["Destination"] in labels]


def _file(path: Path) -> File:
    try:
        content, status = path.read_bytes(), path.stat()
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}; fix that, then: invoke up") from error
    return File(content, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) != PRIVATE:  # an older version created it
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
    has_owner = owner == file.user or not file.mode & stat.S_IRUSR
    return file.mode if has_owner else file.mode | READABLE
