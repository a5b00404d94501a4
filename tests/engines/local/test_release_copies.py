"""Copies of releases on disk: which can be removed, and that no half of a copy is left."""

from __future__ import annotations

import fcntl
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from twelfth.engines.json_file import write_json
from twelfth.engines.local import release_copies
from twelfth.engines.local.engine import Local
from twelfth.engines.local.run_record import make_private
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

RELEASE, OTHER = "0123456789ab", "ba9876543210"
SPEC = {"command": ["true"], "release": RELEASE, "operator": "me", "reason": "", "overrides": [], "started": "now"}
END = {"started": "now", "finished": "now", "seconds": 1, "state": "done", "exit_code": 0}


@pytest.fixture
def engine(tmp_path: Path, state_of_test: Path) -> Local:  # noqa: ARG001 - it has an effect
    """Return an engine with read-only copies of two releases."""
    engine = Local(Stack("p", tmp_path, ()))
    for name in (RELEASE, OTHER):
        directory = engine.releases_directory / name / "below"
        directory.mkdir(parents=True)
        (directory / "file").write_text("text")
        for path in (directory / "file", directory, directory.parent):
            path.chmod(0o555)
    return engine


def ids(engine: Local) -> list[str]:
    """Return the ids of the releases."""
    return [release.id for release in engine.releases()]


@pytest.mark.parametrize(("record", "stays"), [({}, True), (END, False)])
def test_release_of_an_unfinished_run_stays(engine: Local, record: dict[str, Any], *, stays: bool) -> None:
    """It is the copy in which the run is running."""
    home = engine.home
    make_private(home, "runs", "ab12")
    write_json(home / "runs" / "ab12" / "spec.json", SPEC)
    with (home / "runs" / "ab12" / "monitor").open("wb", buffering=0) as monitor:
        monitor.write(b"1")
        fcntl.flock(monitor, fcntl.LOCK_EX)
        if record:
            write_json(home / "runs" / "ab12" / "end.json", record)

        assert stays is not engine.remove_release(RELEASE)
    assert stays is (RELEASE in ids(engine))


def test_interrupted_removal_leaves_no_half_of_a_release(engine: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is renamed before the first file is deleted; the next removal deletes the rest."""

    def killed(path: Path) -> None:
        (path / "below" / "file").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            engine.remove_release(RELEASE)
    assert [OTHER] == ids(engine)
    assert 2 == len(list(engine.releases_directory.iterdir()))

    assert engine.remove_release(OTHER)
    assert [] == list(engine.releases_directory.iterdir())


def test_missing_release_can_be_removed(tmp_path: Path) -> None:
    """Another process has just removed it."""
    release_copies.remove(tmp_path / "gone")

    assert [] == list(tmp_path.iterdir())
