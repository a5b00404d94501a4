"""A context is read once, whatever its size, and nothing remains of the copy."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.docker_client import listed
from twelfth import build_context
from twelfth.build_context.spool import Reader
from twelfth.errors import EngineError, MisuseError, NoReleaseError
from twelfth.model.service import Build

READ = """
import re, sys, time
from pathlib import Path
from twelfth import build_context
from twelfth.model.service import Build
contents = build_context.read(Build(Path(sys.argv[1])))
# Not ru_maxrss, which is that of the parent if it was higher before exec.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], flush=True)
time.sleep(60)
"""
LARGE = 200 << 20


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a context of two files."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    (context / "a").write_text("before")
    return context


def test_what_is_changed_after_the_reading_is_not_built(context: Path) -> None:
    """However often the copy is read."""
    found = build_context.read(Build(context))
    for change in (lambda: (context / "a").write_text("after"), (context / "a").unlink):
        change()
        reader, _ = build_context.for_daemon(found, Build(context))
        assert b"before" == listed(io.BufferedReader(reader))["a"][-1]


def test_two_readers_do_not_disturb_each_other(context: Path) -> None:
    """One context may be built into several images."""
    found = build_context.read(Build(context))
    first, second = Reader(found.tar, b"tail"), Reader(found.tar, b"tail")
    whole = io.BufferedReader(Reader(found.tar, b"tail")).read()
    mixed = [(first.read(100), second.read(100)) for _ in range(len(whole) // 100 + 3)]

    assert whole.endswith(b"tail")
    assert whole == b"".join(a for a, _ in mixed) == b"".join(b for _, b in mixed)
    assert len(whole) == first.seek(0, os.SEEK_END)


def test_large_context_takes_little_memory_and_a_kill_leaves_nothing(context: Path, tmp_path: Path) -> None:
    """The copy is unnamed: it vanishes with the process."""
    with (context / "large").open("wb") as file:
        file.truncate(LARGE)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", READ, str(context)], stdout=subprocess.PIPE, env=environment
    ) as reader:
        assert reader.stdout
        kilobytes = int(reader.stdout.readline())
        used = max(each.stat().st_size for each in Path(f"/proc/{reader.pid}/fd").iterdir())
        reader.send_signal(signal.SIGKILL)

    assert used > LARGE
    assert kilobytes < LARGE / 1024 / 2
    assert [] == list(temporary.iterdir())


def test_full_disk_is_one_line(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: PTH123, SIM115

    with pytest.raises(EngineError, match=r"^cannot copy the build context to .*: No space left on device") as failed:
        build_context.read(Build(context))
    assert "TMPDIR=DIRECTORY invoke up" in str(failed.value)


def test_missing_temporary_directory_is_one_line(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same line."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")

    with pytest.raises(EngineError, match=r"^cannot copy the build context to /nowhere: No such file or directory"):
        build_context.read(Build(context))


def test_file_that_becomes_shorter_is_named(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read bytes belong to no version of the file."""
    monkeypatch.setattr(os, "read", lambda *_: b"")

    with pytest.raises(MisuseError, match=r"^cannot read .*/a: it was truncated while being read"):
        build_context.read(Build(context))


def test_release_without_a_reading_is_not_built(context: Path) -> None:
    """It was named: the present files may be another release."""
    with pytest.raises(NoReleaseError):
        build_context.require_contents(Build(context, is_named=True))
