"""Runs as directories: `spec.json` (what it is), `output` (what it printed), `end.json` (how it ended)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.engines import multiplex
from twelfth.engines.contract import Runs, waiting
from twelfth.engines.local.json_file import read_json, write_json
from twelfth.engines.local.session import KeptSession
from twelfth.engines.local.tail import tail
from twelfth.errors import EngineError, IdentityError, NotUpError
from twelfth.model.run import Run
from twelfth.model.snapshot import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from twelfth.engines.contract import Say, Session
    from twelfth.model.run import RunRequest
    from twelfth.model.snapshot import Replica

POLL = 0.05
"""Seconds between two looks whether a run has ended."""


class KeptRuns(Runs):
    """The run directories of one stack."""

    def __init__(self, home: Path, worker: Callable[[Replica], dict[str, Any]]) -> None:
        """Take the stack's directory and what tells how a replica was launched."""
        self.home, self.worker = home, worker

    def start(self, request: RunRequest) -> Session:
        """Write what the run is, start its monitor, and have it begin."""
        worker = self._worker(request.replica)
        directory = self._directory(request.id)
        spec = _spec(worker, request)
        with _removed_on_failure(directory):
            make_private(self.home, "runs")
            directory.mkdir(mode=0o700)
            write_json(directory / "spec.json", spec)
            session = KeptSession(directory, spec | {"environment": _environment(worker, request)})
        session.begin()
        return session

    def detach(self, request: RunRequest) -> None:
        """Begin, and let go: the monitor needs no client."""
        self.start(request).close_stdin()

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the worker's environment with what the run would get."""
        theirs = self._worker(request.replica)["environment"]
        ours = _environment({"environment": theirs}, request)
        told = {"REPLICA", *dict(request.told)}
        return tuple(f"environment.{name}" for name in differences(theirs, ours) if name not in told)

    def prune(self, keep: int) -> None:
        """Delete the oldest directories of runs that have ended; there is nothing to read where there are few."""
        if len(list(self.home.glob("runs/*"))) <= keep:
            return
        ended = [each.id for each in self.records() if not each.is_running]
        for identity in ended[: max(0, len(ended) - keep)]:
            self.delete(identity)

    def records(self) -> tuple[Run, ...]:
        """Return the directories as records."""
        specs = {path.parent: read_json(path) for path in self.home.glob("runs/*/spec.json")}
        found = [_record(directory, spec) for directory, spec in specs.items() if _has(spec, RECORD)]
        return tuple(sorted(found, key=lambda run: run.started))

    def output(self, identity: str, *, follow: bool) -> Iterator[tuple[int, bytes]]:
        """Yield the kept output."""
        directory = self._directory(identity)
        pieces = tail(directory / "output", lambda: follow and _monitor(directory) != 0)
        yield from multiplex.output(_reader(pieces))
        if why := read_json(directory / "end.json").get("cut"):
            yield (
                multiplex.STDERR,
                f"twelfth: what is kept of this output ends here ({why}); see: df .twelfth\n".encode(),
            )

    def stop(self, identity: str, say: Say) -> None:
        """Tell the monitor, and wait for its record."""
        directory = self._directory(identity)
        say(waiting(identity, read_json(directory / "spec.json").get("grace", 0)))
        while monitor := _monitor(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(monitor, signal.SIGTERM)
            deadline = time.monotonic() + 1
            while _monitor(directory) and time.monotonic() < deadline:
                time.sleep(POLL)

    def delete(self, identity: str) -> None:
        """Delete the directory."""
        shutil.rmtree(self._directory(identity), ignore_errors=True)

    def _directory(self, identity: str) -> Path:
        return self.home / "runs" / identity

    def _worker(self, replica: Replica) -> dict[str, Any]:
        """Return what a replica was launched from, which an `up` may have replaced since it was chosen."""
        worker = self.worker(replica)
        if not _has(worker, WORKER):
            raise NotUpError(f"{replica.name} is gone; repeat the command, or: invoke up")
        if not Path(worker["directory"]).is_dir():
            what = f"{replica.name} was started from {worker['directory']}, which is not there any more"
            raise NotUpError(f"{what} (was this directory moved?); start it from here: invoke up")
        chosen = {"release": replica.release} | replica.recipe
        if replica.id and (unlike := differences(chosen, {"release": worker["release"]} | worker["recipe"])):
            names = ", ".join(unlike)
            raise IdentityError(f"{replica.name} was replaced meanwhile ({names}); nothing was started; repeat it")
        return worker


def make_private(home: Path, *below: str) -> None:
    """Make a directory below `home`, and `home` as one that only this user may enter, whatever the umask."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.joinpath(*below).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _removed_on_failure(directory: Path) -> Iterator[None]:
    """Leave nothing of a run that did not come to begin."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, OSError):
            where = error.filename or directory
            raise EngineError(f"cannot write {where}: {error.strerror}; nothing was started") from error
        raise


WORKER = {"release": str, "environment": dict, "directory": str, "recipe": dict}
RECORD = {"command": list, "release": str, "operator": str, "reason": str, "overrides": list, "started": str}
END = {"started": str, "finished": str, "seconds": float | int, "state": str, "exit_code": int}
"""What a file must hold, at least, to be one of ours."""


def _has(values: Mapping[str, Any], shape: Mapping[str, Any]) -> bool:
    return all(isinstance(values.get(name), kind) for name, kind in shape.items())


def _environment(worker: dict[str, Any], request: RunRequest) -> dict[str, str]:
    """Return the worker's variables with what the run has instead."""
    own = {"REPLICA": f"run-{request.id}"}
    return {**worker["environment"], **own, **dict(request.environment), **dict(request.told)}


def _spec(worker: dict[str, Any], request: RunRequest) -> dict[str, Any]:
    """Return what a run is, as far as it is kept: all but its environment."""
    return {
        "command": list(request.command),
        "directory": worker["directory"],
        "release": worker["release"],
        "overrides": [name for name, _ in request.environment],
        "operator": request.operator,
        "reason": request.reason,
        "started": datetime.now(UTC).isoformat(),
        "timeout": request.timeout,
        "grace": int(worker["recipe"]["stop_grace_period"].rstrip("s")),
        "tty": request.tty,
        "interactive": request.interactive,
        "kept": request.kept,
    }


def _record(directory: Path, spec: dict[str, Any]) -> Run:
    end = read_json(directory / "end.json")
    end = end if _has(end, END) else {}
    return Run(
        id=directory.name,
        command=tuple(map(str, spec["command"])),
        engine="local",
        release=spec["release"],
        image=spec["release"],
        operator=spec["operator"],
        reason=spec["reason"],
        overrides=tuple(map(str, spec["overrides"])),
        started=end.get("started", spec["started"]),
        finished=end.get("finished", ""),
        seconds=end.get("seconds"),
        state=end.get("state") or _state(directory),
        exit_code=end.get("exit_code"),
    )


def _state(directory: Path) -> str:
    """Return how a run stands that left no record of its end: `created` where its monitor never came to keep it."""
    if _monitor(directory):
        return "running"
    with contextlib.suppress(OSError):
        return "lost" if (directory / "monitor").stat().st_size else "created"
    return "created"


def _monitor(directory: Path) -> int:
    """Return the process that keeps the run, 0 where it has ended: the lock on `monitor` is held while it lives."""
    import fcntl

    if (directory / "end.json").exists():
        return 0
    with contextlib.suppress(OSError), (directory / "monitor").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0)
    return 0


def _reader(pieces: Iterator[bytes]) -> Any:
    """Return a function that reads at most so many bytes from pieces that come."""
    rest = b""

    def read(most: int) -> bytes:
        nonlocal rest
        rest = rest or next(pieces, b"")
        piece, rest = rest[:most], rest[most:]
        return piece

    return read
