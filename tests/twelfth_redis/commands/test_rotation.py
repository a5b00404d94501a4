"""`backup --keep N` deletes old backups and nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from twelfth.model.job import Changes, Job
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth_redis.commands import backups
from twelfth_redis.commands.rotation import rotate

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
VALID, DAMAGED = b"valid", b"torn"
OTHERS = ("2025-01-01T00-00-00.000Z-before-restore.resp.gz", "hits.resp.gz", ".2025-01-01T00-00-00.000Z.resp.gz.part")


def name(day: int) -> str:
    """Return the default name of a backup of a day in November."""
    return f"2026-11-{day:02}T03-17-00.000Z.resp.gz"


@dataclass
class Directory:
    """A directory of backups, and which of them were verified."""

    path: Path
    verified: list[str] = field(default_factory=list)

    def add(self, *days: int, content: bytes = VALID) -> None:
        """Write backups of these days, with the mode that they have."""
        for day in days:
            (self.path / name(day)).write_bytes(content)

    def names(self) -> list[str]:
        """Return the names of all files."""
        return sorted(path.name for path in self.path.iterdir())

    def rotate(self, new: int, keep: int, *, before: Callable[[Path], None] = lambda _: None) -> list[str]:
        """Rotate after the backup of that day was written; return the names of the deleted files."""

        def is_valid(path: Path) -> bool:
            before(path)
            self.verified.append(path.name)
            return path.exists() and path.read_bytes() == VALID

        return [path.name for path in rotate(self.path / name(new), keep, is_valid)]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """Return an empty directory of backups."""
    return Directory(tmp_path)


def test_newest_backups_are_kept(directory: Directory) -> None:
    """Only as many are verified as are needed, since that takes long."""
    directory.add(*range(1, 7))

    assert [name(3), name(2), name(1)] == directory.rotate(6, keep=3)
    assert [name(4), name(5), name(6)] == directory.names()
    assert [name(5), name(4)] == directory.verified


def test_damaged_backup_does_not_count(directory: Directory) -> None:
    """It is kept while it is newer than the oldest valid one that is kept."""
    directory.add(1, 2, 3, 5)
    directory.add(4, content=DAMAGED)

    assert [name(1)] == directory.rotate(5, keep=3)
    assert [name(2), name(3), name(4), name(5)] == directory.names()


def test_nothing_is_deleted_without_enough_valid_backups(directory: Directory) -> None:
    """However many damaged ones there are."""
    directory.add(*range(1, 9), content=DAMAGED)
    directory.add(9)

    assert [] == directory.rotate(9, keep=2)
    assert 9 == len(directory.names())


def test_files_with_other_names_are_kept(directory: Directory) -> None:
    """Also a backup from before a restore, and what has the name of a backup and is no file."""
    directory.add(1, 2)
    for other in OTHERS:
        (directory.path / other).write_bytes(VALID)
    (directory.path / "kept").mkdir()
    (directory.path / name(3)).mkdir()
    (directory.path / name(4)).symlink_to(directory.path / "hits.resp.gz")
    directory.add(5)

    assert [name(2), name(1)] == directory.rotate(5, keep=1)
    assert sorted([*OTHERS, "kept", name(3), name(4), name(5)]) == directory.names()


def test_new_backup_is_kept_if_the_clock_went_back(directory: Directory) -> None:
    """It has just been verified, and names only seem to be newer."""
    directory.add(1, 7, 8, 9)

    assert [name(8), name(7)] == directory.rotate(1, keep=2)
    assert [name(1), name(9)] == directory.names()


def test_two_rotations_at_the_same_time_keep_enough(directory: Directory) -> None:
    """The second one starts while the first one verifies."""
    directory.add(*range(1, 8))

    def also_rotate(_: Path) -> None:
        if not directory.verified:
            directory.verified.append("")
            directory.rotate(7, keep=3)

    directory.rotate(6, keep=3, before=also_rotate)

    assert {name(5), name(6), name(7)} <= set(directory.names())


@dataclass
class Stored:
    """A project whose runs write a backup into the state directory of a test."""

    directory: Path
    keep: int = 0
    output: bytes = VALID

    def target(self, *_: object) -> SimpleNamespace:
        """Return what the command needs of a target."""
        job = Job("backup", Changes(Service("backup", "")), keep=self.keep)
        engine = SimpleNamespace(stack=Stack("shop", ROOT, ()))
        return SimpleNamespace(engine=lambda: engine, for_job=lambda _: SimpleNamespace(required_job=job))

    def start(self, *_: object, streams: tuple[int, int], **__: object) -> None:
        """Write the backup."""
        with open(streams[1], "wb", closefd=False) as file:
            file.write(self.output)

    def verify(self, _: object, __: object, path: Path, **___: object) -> None:
        """Verify a backup, as `admin.verify` does in a process."""
        if path.read_bytes() != VALID:
            raise Exit(f"verify: {path}: it is damaged", 1)

    def names(self) -> list[str]:
        """Return the names of the backups."""
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
def stored(state_of_test: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Return the project with three backups, of which the newest is damaged."""
    stored = Stored(state_of_test / "shop" / "backups")
    stored.directory.mkdir(parents=True)
    for day, content in ((1, VALID), (2, VALID), (3, DAMAGED)):
        (stored.directory / name(day)).write_bytes(content)
    monkeypatch.setattr(backups, "Target", stored.target)
    monkeypatch.setattr(backups, "start_admin", stored.start)
    monkeypatch.setattr(backups, "verify_file", stored.verify)
    return stored


def backup(**options: str) -> None:
    """Execute the command."""
    context = Context()
    context.config.run.dry = False
    backups.backup(context, **options)


def test_command_keeps_what_verifies(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    """The path is alone on standard output; what was damaged or deleted is named on standard error."""
    backup(keep="2")
    printed = capsys.readouterr()
    new = Path(printed.out.strip())

    assert [name(2), name(3), new.name] == stored.names()
    assert f"was not deleted: verify: {stored.directory / name(3)}: it is damaged" in printed.err
    assert f"deleted 1 older than the newest 2: {name(1)}" in printed.err


@pytest.mark.parametrize(("keep", "remaining"), [(1, 1), (0, 4)])
def test_job_of_the_file_has_the_default(stored: Stored, keep: int, remaining: int) -> None:
    """Without it all are kept."""
    stored.keep = keep
    backup()

    assert remaining == len(stored.names())


def test_failed_backup_deletes_nothing(stored: Stored) -> None:
    """The old ones may be all that there is."""
    stored.output, before = DAMAGED, stored.names()
    with pytest.raises(Exit):
        backup(keep="1")

    assert before == stored.names()


@pytest.mark.parametrize(
    ("words", "why"), [(["--keep", "0"], "must be a number, 1 or more"), (["f", "--keep", "2"], "--keep cannot be")]
)
def test_invalid_use_is_refused(words: list[str], why: str) -> None:
    """Before anything is done."""
    done = subprocess.run(
        [sys.executable, "-m", "twelfth", "backup", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (2, True) == (done.returncode, why in done.stderr), done.stderr
