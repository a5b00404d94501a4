"""A file has its name only when it is complete."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twelfth.cli import atomic_file
from twelfth.errors import EngineError, MisuseError

ROOT = Path(__file__).resolve().parents[2]
HALF = """
import os, sys
from pathlib import Path
from twelfth.cli import atomic_file
with atomic_file.written(Path(sys.argv[1])) as (number, _):
    os.write(number, b"half")
    print("half", flush=True)
    sys.stdin.read()
"""


def test_complete_file_has_its_name_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Until then it has another name."""
    path = tmp_path / "a"
    with atomic_file.written(path) as (number, part):
        os.write(number, b"all")
        assert (False, True) == (path.exists(), part.exists())

    assert (b"all", 0o600) == (path.read_bytes(), path.stat().st_mode & 0o777)
    assert [path] == list(tmp_path.iterdir())


def test_incomplete_file_is_deleted(tmp_path: Path) -> None:
    """For any reason."""
    with pytest.raises(ZeroDivisionError), atomic_file.written(tmp_path / "a") as (number, _):
        os.write(number, b"half" * (1 // 0))

    assert [] == list(tmp_path.iterdir())


def test_full_disk_is_one_line_with_the_name(tmp_path: Path) -> None:
    """With the error of the system."""
    with pytest.raises(EngineError, match="a: No space left on device; the incomplete file was deleted"):  # noqa: SIM117 - the story
        with atomic_file.written(tmp_path / "a"):
            Path("/dev/full").write_bytes(b"x")

    assert [] == list(tmp_path.iterdir())


def test_files_of_killed_processes_are_deleted_and_others_are_not(tmp_path: Path) -> None:
    """A lock tells the two apart."""
    with subprocess.Popen(
        [sys.executable, "-c", HALF, tmp_path / "a"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with atomic_file.written(tmp_path / "b"):
            pass
        living = len(list(tmp_path.iterdir()))
        other.send_signal(signal.SIGKILL)
    with atomic_file.written(tmp_path / "c"):
        pass

    assert 2 == living
    assert ["b", "c"] == sorted(path.name for path in tmp_path.iterdir())


def test_existing_file_is_not_replaced(tmp_path: Path) -> None:
    """The operator chooses another name."""
    (tmp_path / "a").write_bytes(b"mine")

    with pytest.raises(MisuseError, match="it already exists"):
        atomic_file.new_path(tmp_path / "a")
    with pytest.raises(MisuseError, match="is a directory"):
        atomic_file.new_path(tmp_path)
    with pytest.raises(MisuseError, match="no such directory"):
        atomic_file.new_path(tmp_path / "typo" / "a")


def test_page_replaces_a_page_and_keeps_its_mode(tmp_path: Path) -> None:
    """A link stays a link; the old page exists until the new one is complete."""
    page, link = tmp_path / "page", tmp_path / "link"
    page.write_bytes(b"<mark>old")
    page.chmod(0o644)
    link.symlink_to(page)
    with atomic_file.written(atomic_file.replaceable_path(link, b"<mark>"), replaces=True) as (number, _):
        os.write(number, b"<mark>new")
        assert b"<mark>old" == page.read_bytes()

    assert (b"<mark>new", 0o644, True) == (page.read_bytes(), page.stat().st_mode & 0o777, link.is_symlink())


def test_only_a_page_is_replaced_by_a_page(tmp_path: Path) -> None:
    """A mistyped name must not cost a file; an empty one and a missing one contain nothing."""
    mark = b"<mark>"
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")

    for name in ("other", "fifo"):
        with pytest.raises(MisuseError, match=f"{name}: it is not a page of runs; choose another name"):
            atomic_file.replaceable_path(tmp_path / name, mark)
    with pytest.raises(MisuseError, match="is a directory"):
        atomic_file.replaceable_path(tmp_path, mark)
    with pytest.raises(MisuseError, match="no such directory"):
        atomic_file.replaceable_path(tmp_path / "typo" / "a", mark)
    for name in ("empty", "new"):
        assert tmp_path / name == atomic_file.replaceable_path(tmp_path / name, mark)


def test_file_that_another_process_creates_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Two operators may choose the same name."""
    with pytest.raises(MisuseError, match="another process has created it"), atomic_file.written(tmp_path / "a"):
        (tmp_path / "a").write_bytes(b"first")

    assert b"first" == (tmp_path / "a").read_bytes()
    assert [tmp_path / "a"] == list(tmp_path.iterdir())


def test_hidden_files_of_other_programs_are_not_deleted(tmp_path: Path) -> None:
    """Browsers use similar names."""
    (tmp_path / ".film.part").write_bytes(b"other")
    with atomic_file.written(tmp_path / "a"):
        pass

    assert (tmp_path / ".film.part").exists()


def test_only_regular_files_are_opened_and_deleted(tmp_path: Path) -> None:
    """Opening a FIFO waits for its writer; a link may lead anywhere."""
    os.mkfifo(tmp_path / f".a.fifo{atomic_file.PART}")
    (tmp_path / f".a.link{atomic_file.PART}").symlink_to(tmp_path / "elsewhere")
    (tmp_path / f".a.directory{atomic_file.PART}").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"other")
    before = {*tmp_path.iterdir()}
    ended = subprocess.run(
        [sys.executable, "-c", HALF, tmp_path / "a"], cwd=ROOT, input=b"", capture_output=True, timeout=10, check=False
    )

    assert (0, before | {tmp_path / "a"}) == (ended.returncode, {*tmp_path.iterdir()})


def test_file_is_synced_before_it_is_named_and_its_directory_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure the file is complete or missing."""
    seen: list[tuple[str, int, int]] = []
    sync, link = os.fsync, os.link

    def watched_sync(number: int) -> None:
        sync(number)
        seen.append(("synced", (found := os.fstat(number)).st_ino, found.st_size * stat.S_ISREG(found.st_mode)))

    def watched_link(source: Path, target: Path) -> None:
        link(source, target)
        seen.append(("named", (found := target.stat()).st_ino, found.st_size))

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "link", watched_link)
    with atomic_file.written(tmp_path / "a") as (number, _):
        os.write(number, b"all of it")
    file, directory = (tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino

    assert [("synced", file, 9), ("named", file, 9), ("synced", directory, 0)] == seen


def test_names_sort_by_time() -> None:
    """In UTC."""
    moment = datetime(2026, 11, 3, 4, 5, 6, 7000, tzinfo=UTC)

    assert "2026-11-03T04-05-06.007Z-x.resp.gz" == atomic_file.name_of(moment, "-x")
