"""The copies of configuration files that containers mount."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from twelfth.engines.docker_api import config_files
from twelfth.engines.docker_api.config_files import Copies, File, declared
from twelfth.engines.docker_api.container_spec import CONFIGS, COPIES
from twelfth.model.stack import Mount, Service, Stack, as_options

if TYPE_CHECKING:
    from collections.abc import Callable


def test_copy_is_written_in_place_with_the_mode_of_its_file(tmp_path: Path) -> None:
    """A container that mounts it sees the change; a read-only file can be copied repeatedly."""
    file, copies = tmp_path / "app.cfg", Copies(tmp_path / "1")
    service = Service("app", "app", mounts=(Mount("config", "/etc/app.cfg", str(file), read_only=True),))
    (mount,) = copies.mounted_by(service).mounts
    seen: set[int] = set()
    for content in ("a long one", "short"):
        (new := tmp_path / "new").write_text(content, "utf-8")
        new.chmod(0o444)
        new.replace(file)
        copies.put(declared(service))
        seen.add(copies.path("/etc/app.cfg").stat().st_ino)

    assert mount.source == str(tmp_path / "1" / "etc" / "app.cfg")
    assert "short" == copies.path("/etc/app.cfg").read_text("utf-8")
    assert 0o444 == stat.S_IMODE(copies.path("/etc/app.cfg").stat().st_mode)
    assert 1 == len(seen)


def test_files_from_before_a_killed_reload_can_be_restored(tmp_path: Path) -> None:
    """The killed reload wrote its files without recording them; the next one keeps the files from before both."""
    copies = config_files.copies(Stack("p", tmp_path, ()), "web", 1)
    versions = [{"/web.cfg": File(text, os.getuid(), os.getgid(), 0o444)} for text in (b"good", b"bad", b"worse")]
    copies.put(versions[0])
    copies.keep("c1", config_files.digests(versions[0]))
    for files in versions[1:]:
        copies.save_previous("c1")
        copies.keep("c1", {})
        copies.put(files)

    assert versions[0] == copies.previous_files(["/web.cfg"])


def test_files_of_another_container_are_not_restored(tmp_path: Path) -> None:
    """The copies belong to a replica's number, which another container may have had."""
    copies = config_files.copies(Stack("p", tmp_path, ()), "web", 1)
    copies.put({"/web.cfg": File(b"old", os.getuid(), os.getgid(), 0o444)})
    copies.keep("c1", {"/web.cfg": "digest"})
    copies.save_previous("c1")
    copies.save_previous("c2")

    assert {} == copies.previous_files(["/web.cfg"])


SECRET = {"/run/secrets/token": File(b"hush", 10001, 10002, 0o400)}


def of_a_replica(stack: Stack) -> dict[str, str]:
    """Write the copies of a replica, and return their path."""
    copies = config_files.copies(stack, "app", 1)
    copies.put(SECRET)
    copies.keep("c1", {})
    return {target: str(copies.path(target)) for target in SECRET}


def of_a_check(stack: Stack) -> dict[str, str]:
    """Write the copies that are checked before a reload, and return their path."""
    copies = config_files.copies(stack, "app", 1).checked
    copies.put(SECRET)
    return {target: str(copies.path(target)) for target in SECRET}


def of_a_run(stack: Stack) -> dict[str, str]:
    """Write the copies of a run, and return their path."""
    return config_files.for_runs(stack, "app", SECRET)


@pytest.mark.parametrize("write", [of_a_replica, of_a_check, of_a_run])
@pytest.mark.parametrize("has_old_directories", [False, True])
def test_only_the_operator_can_reach_a_secret_which_its_user_can_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Stack], dict[str, str]],
    has_old_directories: bool,  # noqa: FBT001
) -> None:
    """The directories are private before a file is written, also those of an older version."""
    modes_at_creation: set[int] = set()
    really_touch = Path.touch

    def touch(path: Path, **settings: Any) -> None:
        modes_at_creation.add(stat.S_IMODE((tmp_path / ".twelfth" / "docker").stat().st_mode))
        really_touch(path, **settings)

    monkeypatch.setattr(Path, "touch", touch)
    if has_old_directories:
        (tmp_path / ".twelfth" / "docker" / "p" / "app" / "1" / "run" / "secrets").mkdir(mode=0o755, parents=True)
    umask = os.umask(0)
    try:
        [path] = write(Stack("p", tmp_path, ())).values()
    finally:
        os.umask(umask)

    homes = [each for each in Path(path).parents if each.is_relative_to(tmp_path / ".twelfth")]
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in homes}
    assert {0o700} == modes_at_creation
    assert (0o700, 0o700) == (modes["docker"], modes[Path(path).relative_to(homes[-3]).parts[1]])
    assert b"hush" == Path(path).read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0, 0, 0o444)),
        ({"mode": "0400"}, (0, 0, 0o400)),
        ({"uid": "10001", "gid": "10002", "mode": "0440"}, (10001, 10002, 0o440)),
        ({"mode": "0777"}, (0, 0, 0o777)),
    ],
)
def test_copy_has_the_owner_and_mode_of_its_entry(
    tmp_path: Path, options: dict[str, str], expected: tuple[int, int, int]
) -> None:
    """They stay when another content is written in place."""
    mount = Mount("config", "/run/secrets/s", read_only=True, content="hush", options=as_options(options))
    copies = config_files.copies(Stack("p", tmp_path, ()), "app", 1)
    for _ in range(2):
        copies.put({"/run/secrets/s": config_files.as_declared(mount)})
        found = copies.path("/run/secrets/s").stat()
        assert expected == (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))


def test_copy_without_its_owner_is_readable_in_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root can change the owner; the directory keeps other users of the machine out."""
    monkeypatch.setattr(os, "chown", lambda *_: (_ for _ in ()).throw(PermissionError()))
    copies = Copies(tmp_path / "1")
    copies.put({"/a": File(b"", os.geteuid() + 1, 0, 0o400), "/b": File(b"", os.geteuid(), 0, 0o400)})

    assert [0o444, 0o400] == [stat.S_IMODE(copies.path(each).stat().st_mode) for each in ("/a", "/b")]


def test_copies_of_another_operator_are_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They cannot be read; the digests in the container's labels are compared."""
    labels = {COPIES: str(tmp_path / "1"), CONFIGS + "/a": "d1"}
    worker: dict[str, Any] = {"Id": "c1", "Config": {"Labels": labels}, "Mounts": [{"Destination": "/a"}]}

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    assert {"/a": ""} == config_files.loaded(worker)
    monkeypatch.setattr(Path, "stat", refuse)
    assert {} == config_files.loaded(worker)
    assert not config_files.are_writable(worker, Copies(tmp_path / "1"))
