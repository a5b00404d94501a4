"""A backup gets its name only after it was verified."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.real_redis import eventually
from tests.twelfth_redis.backup.test_format import ENTRIES, packed, plain

ROOT = Path(__file__).resolve().parents[3]
SAVE = """
import os, sys
from pathlib import Path
from invoke import Context
from twelfth_redis.commands import backups

class Target:
    directory = Path(sys.argv[1])

def start_admin(c, target, name, *words, streams, **settings):
    os.write(streams[1], sys.stdin.buffer.read())

backups.start_admin = start_admin
print(backups.save(Context(), Target, sys.argv[2], wait="0"))
"""
"""A program that saves its standard input as if a run had written it."""
ENDLESS = """
import os, time
from pathlib import Path

Path("verifying").touch()
while os.getppid() != 1:
    time.sleep(0.01)
"""


def start(directory: Path, path: Path) -> subprocess.Popen[bytes]:
    """Start to save with the verify program of the project in the directory."""
    return subprocess.Popen(
        [sys.executable, "-c", SAVE, str(directory), str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(("cut", "code"), [(0, 0), (1, 1), (20, 1)])
def test_complete_file_has_its_name(tmp_path: Path, cut: int, code: int) -> None:
    """An incomplete file is deleted."""
    path, file = tmp_path / "a", packed(plain(*ENTRIES))
    saving = start(ROOT, path)
    _, said = saving.communicate(file[: len(file) - cut], timeout=30)

    assert (code, [] if code else [path]) == (saving.returncode, list(tmp_path.iterdir())), said


def test_file_has_no_name_while_it_is_verified_and_none_if_that_is_killed(tmp_path: Path) -> None:
    """The next backup deletes it."""
    project, kept = tmp_path / "project", tmp_path / "kept"
    (project / "admin").mkdir(parents=True)
    kept.mkdir()
    (project / "admin" / "verify.py").write_text(ENDLESS, "utf-8")
    saving = start(project, kept / "a")
    assert saving.stdin
    saving.stdin.write(packed(plain(*ENTRIES)))
    saving.stdin.close()
    eventually((project / "verifying").exists, 30)
    during = [path.name[:3] for path in kept.iterdir()]
    saving.kill()
    saving.wait()
    for stream in (saving.stdout, saving.stderr):
        assert stream
        stream.close()

    assert [".a."] == during
    assert not (kept / "a").exists()
    again = start(ROOT, kept / "b")
    again.communicate(packed(plain(*ENTRIES)), timeout=30)
    assert [kept / "b"] == list(kept.iterdir())
