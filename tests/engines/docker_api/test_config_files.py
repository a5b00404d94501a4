"""The configuration files that containers mount from the state volume."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.engines.docker_api.values import REPLICA, STACK
from twelfth.engines.docker import reload
from twelfth.engines.docker_api import config_files
from twelfth.engines.docker_api.config_files import ConfigFiles, Loaded, loaded_digests
from twelfth.engines.docker_api.container_spec import COMPOSE, CONFIGS, COPIES
from twelfth.engines.docker_api.file_archive import File, pack, unpack
from twelfth.errors import EngineError
from twelfth.model.service import Mount, Reload, Service, as_options

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from twelfth.engines.docker_api.state_volume import StateVolume

SECRET = {"/run/secrets/token": File(b"hush", 10001, 10002, 0o400)}


@dataclass
class Volume:
    """The files of a state volume in memory, and the daemon that has it."""

    api_version: str = "1.45"
    name: str = "twelfth-state-p"
    files: dict[str, File] = field(default_factory=dict)
    writes: list[list[str]] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    has_failing_signals: bool = False
    limit: int = 1000
    listed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def api(self) -> Volume:
        """The daemon's client."""
        return self

    def inspect_container(self, _: str) -> dict[str, Any]:
        """Return the replica, with the only slot if there is one; its settings are those of all containers."""
        slots = {path.rpartition("/")[0] for path in self.files if path.startswith("files/worker/1-")}
        return container(next(iter(slots), ""), "/a") | {"HostConfig": {"MaskedPaths": ["/proc/kcore"]}}

    def inspect_volume(self, name: str) -> dict[str, str]:
        """Return where the daemon has the volume."""
        return {"Mountpoint": f"/volumes/{name}/_data"}

    def containers(self, **_: object) -> list[dict[str, Any]]:
        """Return the listed containers."""
        return self.listed

    def kill(self, _: str, signal: str) -> None:
        """Note a signal to a container."""
        if self.has_failing_signals:
            raise KeyboardInterrupt
        self.signals.append(signal)

    def read(self, directory: str) -> dict[str, bytes]:
        """Return the contents of the files in a directory."""
        return {path: file.content for path, file in self.read_tree(directory).items() if "/" not in path}

    def read_tree(self, directory: str) -> dict[str, File]:
        """Return the files below a directory."""
        top = f"{directory}/"
        return {path.removeprefix(top): file for path, file in self.files.items() if path.startswith(top)}

    def write(self, files: dict[str, bytes | File]) -> None:
        """Create or replace files."""
        self.writes.append([*files])
        self.files |= {path: file if isinstance(file, File) else File(file) for path, file in files.items()}

    def copy(self, paths: dict[str, str]) -> None:
        """Copy contents, those of files that are too large for the disk only in part."""
        for source, target in paths.items():
            content = self.files[source].content
            self.files[target] = File(content[: self.limit], mode=self.files[target].mode)
            if len(content) > self.limit:
                raise EngineError("cannot write the state of the stack")


def opened(volume: Volume) -> ConfigFiles:
    """Return the configuration files in a volume, as another process has them."""
    return ConfigFiles(cast("StateVolume", volume))


def container(slot: str, *targets: str) -> dict[str, Any]:
    """Return an inspected container with a slot, "" for none."""
    labels = {f"{COMPOSE}service": "worker", **{CONFIGS + target: "of its creation" for target in targets}}
    return {"Config": {"Labels": labels | ({COPIES: slot} if slot else {})}}


def test_version_is_written_once() -> None:
    """Another replica may be starting with its files; another process finds them, too."""
    volume = Volume()
    first, second = opened(volume), opened(volume)
    version, *others = (config.place("app", SECRET) for config in (first, first, second))

    assert [version, version] == others
    assert [[f"{version.directory}/run/secrets/token"]] == volume.writes
    assert [*SECRET.values()] == [*volume.files.values()]


@pytest.mark.parametrize("changed", [File(b"h", 10001, 10002, 0o400), File(b"hush", 0, 10002, 0o400), File(b"hush")])
def test_changed_files_are_another_version(changed: File) -> None:
    """Containers that mount the first one do not see them."""
    volume = Volume()
    places = {opened(volume).place("app", files).directory for files in (SECRET, {"/run/secrets/token": changed})}

    assert 2 == len(places)
    assert {b"hush", changed.content} == {file.content for file in volume.files.values()}


def test_files_are_cleared_and_written_again() -> None:
    """The contents of secrets do not outlive the stack; the next `up` does not take the empty files for a version."""
    volume = Volume()
    config = opened(volume)
    version = config.place("app", SECRET)
    config.clear()
    assert [b""] == [file.content for file in volume.files.values()]

    config.place("app", SECRET)
    assert b"hush" == volume.files[f"{version.directory}/run/secrets/token"].content


def test_single_files_are_mounted() -> None:
    """So a container cannot see other files; before API 1.45 they are mounted by their paths on the machine."""
    expected = {"Target": "/etc/a", "ReadOnly": True}
    path = {"Source": "/volumes/twelfth-state-p/_data/files/app/1/etc/a"}
    volume = {"Source": "twelfth-state-p", "VolumeOptions": {"NoCopy": True, "Subpath": "files/app/1/etc/a"}}

    for version, how in (("1.44", {"Type": "bind", **path}), ("1.45", {"Type": "volume", **volume})):
        assert [expected | how] == opened(Volume(version)).mounts("files/app/1", ["/etc/a"])


@pytest.mark.parametrize("version", ["1.44", "1.45"])
@pytest.mark.parametrize("targets", [[], ["/etc/a"]])
def test_each_container_mounts_the_volume(version: str, targets: list[str]) -> None:
    """So no prune removes the volume, also if no service of the stack has configuration files."""
    volume = Volume(version)
    config = opened(volume)
    body = config.protected({"HostConfig": {"Mounts": config.mounts("files/app/1", targets)}})

    mounted = [mount["Source"] for mount in body["HostConfig"]["Mounts"] if mount["Type"] == "volume"]
    assert [volume.name] == mounted


def test_target_cannot_leave_its_directory() -> None:
    """A Compose file may come from someone else."""
    (mount,) = opened(Volume()).mounts("files/app/1", ["/../../web/1/run/secrets/token"])

    assert "files/app/1/web/1/run/secrets/token" == mount["VolumeOptions"]["Subpath"]


def test_only_root_can_enter_the_directories_of_files() -> None:
    """A file has its owner and mode."""
    archive = pack({"files/app/1/token": SECRET["/run/secrets/token"]})
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        entries = {entry.name: (entry.uid, entry.gid, entry.mode) for entry in tar}

    directories = dict.fromkeys(("files", "files/app", "files/app/1"), (0, 0, 0o700))
    assert {**directories, "files/app/1/token": (10001, 10002, 0o400)} == entries
    assert {"files/app/1/token": SECRET["/run/secrets/token"]} == unpack(archive)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0, 0, 0o444)),
        ({"mode": "0400"}, (0, 0, 0o400)),
        ({"uid": "10001", "gid": "10002", "mode": "0440"}, (10001, 10002, 0o440)),
        ({"mode": "0777"}, (0, 0, 0o777)),
    ],
)
def test_inline_file_has_the_owner_and_mode_of_its_entry(
    options: dict[str, str], expected: tuple[int, int, int]
) -> None:
    """By default all users can read it."""
    mount = Mount("config", "/s", content="hush", options=as_options(options))

    assert {"/s": File(b"hush", *expected)} == config_files.declared(Service("app", "app", mounts=(mount,)))


def test_other_file_has_the_owner_and_mode_of_its_source_unless_declared(tmp_path: Path) -> None:
    """Compose mounts the source, and ignores what is declared."""
    (source := tmp_path / "s").write_text("hush", "utf-8")
    source.chmod(0o640)
    group = source.stat().st_gid
    mounts = [Mount("config", "/s", str(source), options=as_options(options)) for options in ({}, {"uid": "10001"})]
    files = [config_files.declared(Service("app", "app", mounts=(mount,)))["/s"] for mount in mounts]

    assert [File(b"hush", user, group, 0o640) for user in (os.getuid(), 10001)] == files


def configured(volume: Volume, path: Path, content: str) -> Service:
    """Return a service with a configuration file of this content, and create its slot unless it has one."""
    path.write_text(content, "utf-8")
    service = Service("worker", "app", mounts=(Mount("config", "/a", str(path)),), reload=Reload("SIGHUP"))
    if loaded(volume) is None:
        opened(volume).create_slot("worker", 1, config_files.declared(service))
    return service


def loaded(volume: Volume) -> Loaded | None:
    """Return what the replica has loaded."""
    return opened(volume).loaded(volume.inspect_container("worker-1"))


def load(volume: Volume, service: Service) -> None:
    """Reload the configuration files of a service's replica."""
    reload.reload(cast("docker.APIClient", volume), opened(volume), STACK, service, REPLICA)


def current(volume: Volume) -> bytes:
    """Return the content that the replica mounts."""
    record = loaded(volume)
    assert record
    return volume.files[f"{record.slot}/a"].content


def test_reload_copies_the_files_and_records_them(tmp_path: Path) -> None:
    """The container's labels still have the digests of its creation."""
    volume = Volume()
    load(volume, service := configured(volume, tmp_path / "a", "one"))
    load(volume, configured(volume, tmp_path / "a", "two"))
    record = loaded(volume)

    assert record
    assert b"two" == current(volume)
    assert ["SIGHUP"] * 2 == volume.signals
    assert config_files.digests(config_files.declared(service)) == loaded_digests(container(record.slot, "/a"), record)


def test_files_from_before_a_killed_reload_can_be_restored(tmp_path: Path) -> None:
    """The killed reload copied its files without recording them; the next one keeps those from before both."""
    volume = Volume()
    service = configured(volume, tmp_path / "a", "good")
    volume.has_failing_signals = True
    for content in ("bad", "worse"):
        with pytest.raises(KeyboardInterrupt):
            load(volume, configured(volume, tmp_path / "a", content))
        record = loaded(volume)
        assert record
        assert {"/a": ""} == loaded_digests(container(record.slot, "/a"), record)
    volume.has_failing_signals = False

    assert b"worse" == current(volume)
    assert service.reload
    assert reload.restore(cast("docker.APIClient", volume), opened(volume), REPLICA, service.reload.signal)
    assert b"good" == current(volume)


def test_failed_copy_leaves_the_previous_files(tmp_path: Path) -> None:
    """The disk is full: a container that restarts reads complete files. The next `up` reloads the new ones."""
    volume = Volume(limit=4)
    configured(volume, tmp_path / "a", "good")
    with pytest.raises(EngineError, match="cannot write"):
        load(volume, service := configured(volume, tmp_path / "a", "too large"))

    assert b"good" == current(volume)
    assert [] == volume.signals
    record = loaded(volume)
    assert record
    assert {"/a": ""} == loaded_digests(container(record.slot, "/a"), record)

    volume.limit = 1000
    load(volume, service)
    assert b"too large" == current(volume)


def test_record_of_another_container_is_not_used(tmp_path: Path) -> None:
    """Another replica may have the number. Without a record, a replica is replaced and cannot be reloaded."""
    volume = Volume()
    service = configured(volume, tmp_path / "a", "one")
    other = container("files/worker/1-other", "/a")

    assert opened(volume).loaded(other) is None
    assert {"/a": ""} == loaded_digests(other, None)
    with pytest.raises(EngineError, match="worker-1 cannot reload its configuration"):
        load(Volume(), service)


@pytest.mark.parametrize("content", [b"", b"[", b"7", b'["a"]', b'[{"slot": "s", "current": {}}]'])
def test_damaged_record_is_none(content: bytes) -> None:
    """A crash can tear a file of the volume."""
    volume = Volume(files={"stack/loaded-worker-1.json": File(content)})

    assert opened(volume).loaded(container("files/worker/1-a", "/a")) is None


def test_records_of_the_last_replicas_with_a_number_are_kept() -> None:
    """During a deploy two replicas have the same number; the file does not grow with each deploy."""
    volume = Volume()
    slots = [opened(volume).create_slot("worker", 1, {"/a": File(bytes([count]))}) for count in range(6)]
    known = [opened(volume).loaded(container(slot, "/a")) for slot in slots]

    assert [None, None, *slots[2:]] == [loaded and loaded.slot for loaded in known]
    opened(volume).write_record(Loaded(slots[2], None))
    known = [opened(volume).loaded(container(slot, "/a")) for slot in slots]
    assert [Loaded(slots[2], None), *slots[3:]] == [known[2], *(loaded.slot for loaded in known[3:] if loaded)]


def test_run_keeps_the_version_of_its_worker(tmp_path: Path) -> None:
    """The next reload of the worker does not change its files."""
    volume = Volume()
    configured(volume, tmp_path / "a", "one")
    record = loaded(volume)
    assert record
    assert record.current
    (mount,) = opened(volume).mounts_of_run(container(record.slot, "/a"))
    assert f"{record.current.directory}/a" == mount["VolumeOptions"]["Subpath"]
    assert b"one" == volume.files[f"{record.current.directory}/a"].content

    opened(volume).write_record(Loaded(record.slot, None))  # of a reload that was killed
    assert [mount] == opened(volume).mounts_of_run(container(record.slot, "/a"))
    assert [] == opened(volume).mounts_of_run(container("", "/a"))


def test_container_of_an_older_version_is_replaced() -> None:
    """Its files are in the checkout: they count as unknown, and its runs mount them as it does."""
    old = container("/checkout/.twelfth/docker/p/worker/1", "/a")

    assert {"/a": ""} == loaded_digests(old, opened(Volume()).loaded(old))
    assert {} == loaded_digests(container("", "/a"), None)
    assert [] == opened(Volume()).mounts_of_run(old)


def test_copies_in_the_checkout_stay_as_long_as_a_container_mounts_them(tmp_path: Path) -> None:
    """Those of another project, which has the same directory, stay longer."""
    volume, old = (
        Volume(listed=[{"Labels": {COPIES: "/checkout/.twelfth/docker/p/app/1"}}]),
        tmp_path / ".twelfth/docker",
    )
    for project in ("p", "q"):
        (old / project / "app").mkdir(parents=True)
    for listed, expected in ((volume.listed, ["p", "q"]), ([{"Labels": {COPIES: "files/app/1-0"}}], ["q"])):
        volume.listed = listed
        config_files.remove_copies_of_checkout(cast("docker.APIClient", volume), replace(STACK, directory=tmp_path))
        assert expected == sorted(path.name for path in old.iterdir())

    config_files.remove_copies_of_checkout(
        cast("docker.APIClient", volume), replace(STACK, project="q", directory=tmp_path)
    )
    assert not old.exists()
