"""A stack that an older version stored in the checkout is moved to the state directory, with nothing lost."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Recorded
from twelfth.engines.json_file import write_json
from twelfth.engines.local import engine as engine_module
from twelfth.engines.local.engine import Local
from twelfth.engines.local.run_record import make_private
from twelfth.errors import BusyError
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Mount, Service
from twelfth.model.stack import Stack, Volume
from twelfth.stack import deploy, lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASE = "0123456789ab"
DB = Service(
    "db",
    "db:1",
    mounts=(Mount("volume", "/data", "data"),),
    local=LocalSettings(("sleep", "600")),
    stop_grace=1,
    monitor=0.1,
)
FILES = {
    "local/p/volumes/data/appendonly/1.aof": "the data",
    "local/p/runs/ab12/spec.json": "{}",
    "local/p/ports.json": '{"db": 6001}',
    f"releases/{RELEASE}/app/file": "the release",
}


@pytest.fixture
def stack(tmp_path: Path, state_of_test: Path) -> Stack:  # noqa: ARG001 - it has an effect
    """Return a stack with the files of an older version."""
    stack = Stack("p", tmp_path / "checkout", (DB,), volumes=(Volume("data"),))
    for name, text in FILES.items():
        path = stack.directory / ".twelfth" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (stack.directory / ".twelfth" / "releases" / RELEASE).rglob("*"):
        path.chmod(0o555)
    return stack


def contents(home: Path) -> dict[str, str]:
    """Return the texts of all files that were in the old directories."""
    return {
        str(path.relative_to(home)): path.read_text()
        for path in home.rglob("*")
        if path.is_file() and not path.is_relative_to(home / "state")
    }


MOVED = {name.removeprefix("local/p/"): text for name, text in FILES.items()}


def test_stack_is_moved_once(stack: Stack) -> None:
    """The command reports it. The checkout has nothing left."""
    engine = Local(stack)
    old = stack.directory / ".twelfth" / "local" / "p"

    assert f"moved the stack from {old} to {engine.home}" == engine.adopt_old_state(may_stop=False)
    assert MOVED == contents(engine.home)
    assert [] == list((stack.directory / ".twelfth").iterdir())
    assert "" == engine.adopt_old_state(may_stop=False)


def _rename_on_one_file_system(original: Callable[[Path, Path], Path], checkout: Path) -> Callable[[Path, Path], Path]:
    def rename(path: Path, target: Path) -> Path:
        if path.is_relative_to(checkout) and not target.is_relative_to(checkout):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return original(path, target)

    return rename


def test_stack_is_copied_to_another_file_system(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is complete before it has its name."""
    monkeypatch.setattr(Path, "rename", _rename_on_one_file_system(Path.rename, stack.directory))
    Local(stack).adopt_old_state(may_stop=False)

    assert MOVED == contents(Local(stack).home)
    assert [] == list((stack.directory / ".twelfth").iterdir())


def test_interrupted_move_is_completed_by_the_next(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is moved last."""

    def rename(path: Path, target: Path) -> Path:
        if path.name == "data":
            raise KeyboardInterrupt
        return original(path, target)

    original = Path.rename
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        Local(stack).adopt_old_state(may_stop=False)
    monkeypatch.setattr(Path, "rename", original)
    assert (Local(stack).home / "runs" / "ab12").is_dir()
    Local(stack).adopt_old_state(may_stop=False)

    assert MOVED == contents(Local(stack).home)


def test_data_is_never_replaced(stack: Stack) -> None:
    """Another checkout has a stack of this name: nothing is moved, and each command reports it."""
    engine = Local(stack)
    make_private(engine.home, "volumes", "data")
    (engine.home / "volumes" / "data" / "file").write_text("other data")
    old = stack.directory / ".twelfth" / "local" / "p" / "volumes" / "data"

    assert f"{old} is ignored: {engine.home}/volumes/data has other data" in engine.adopt_old_state(may_stop=True)
    assert {"volumes/data/file": "other data"} == contents(engine.home)
    assert "the data" == (old / "appendonly" / "1.aof").read_text()


def test_stack_with_a_running_run_is_not_moved(stack: Stack) -> None:
    """Its monitor writes the record where it started; the error has the command that stops it."""
    directory = stack.directory / ".twelfth" / "local" / "p" / "runs" / "ab12"
    spec: dict[str, Any] = {"command": ["true"], "release": RELEASE, "operator": "me", "reason": "", "overrides": []}
    write_json(directory / "spec.json", spec | {"started": "now"})
    with (directory / "monitor").open("wb", buffering=0) as monitor:
        monitor.write(b"1")
        fcntl.flock(monitor, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match=r"run ab12 is running. .* or stop it: kill 1$"):
            Local(stack).adopt_old_state(may_stop=True)
    assert {} == contents(Local(stack).home)


def test_running_stack_is_stopped_by_up_only(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then `up` starts it again, with its data."""
    old = stack.directory / ".twelfth" / "local" / "p"
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "state_home", lambda _: old)
        deploy.up(Local(stack), Recorded())
    engine = Local(stack)
    with pytest.raises(BusyError, match=f"an older version started the stack in {old}.* invoke up$"):
        engine.adopt_old_state(may_stop=False)
    assert (old / "supervisord.pid").exists()
    assert "moved the stack" in engine.adopt_old_state(may_stop=True)
    assert not old.exists()
    report = Recorded()
    try:
        deploy.up(engine, report)
        assert "Replace db-1 (directory changed)" in report.steps
        assert "the data" == (engine.home / "volumes" / "data" / "appendonly" / "1.aof").read_text()
    finally:
        lifecycle.down(engine, Recorded())
