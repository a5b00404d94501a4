"""Runs as directories, each with a process that monitors it for as long as it goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.engines.contract import Runs, waiting
from twelfth.engines.disk_errors import disk_errors
from twelfth.engines.json_file import has_shape, read_json, write_json
from twelfth.engines.local import run_record
from twelfth.engines.local.run_record import make_private, monitor_of
from twelfth.engines.local.run_spec import WORKER, run_environment, run_spec
from twelfth.engines.local.session import LocalSession
from twelfth.errors import IdentityError, NotUpError
from twelfth.model.snapshot import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twelfth.engines.contract import Say
    from twelfth.engines.local.replica_spec import Spec
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import Replica

POLL = 0.05
"""Seconds between two looks whether a run has ended."""


class LocalRuns(Runs):
    """The run directories of one stack."""

    def __init__(self, home: Path, worker: Callable[[Replica], Spec]) -> None:
        """Take the stack's directory and what tells how a replica was launched."""
        self.home, self.worker = home, worker
        self._pinned: dict[str, Spec] = {}

    def start(self, request: RunRequest) -> LocalSession:
        """Write what the run is, start its monitor, and have that start the run."""
        worker = self._worker(request.replica)
        directory = self._directory(request.id)
        spec = run_spec(worker, request, datetime.now(UTC).isoformat())
        try:
            with disk_errors(directory, "nothing was started"):
                make_private(self.home, "runs")
                directory.mkdir(mode=0o700)
                write_json(directory / "spec.json", spec)
                session = LocalSession(directory, spec | {"environment": run_environment(worker, request)})
        except BaseException:
            self.delete(request.id)
            raise
        session.start()
        return session

    def pin(self, replica: Replica) -> None:
        """Keep what the replica was launched from."""
        self._pinned[replica.id] = self._launched(replica)

    def detach(self, request: RunRequest) -> None:
        """Start the run and leave it to its monitor, which needs no client."""
        self.start(request).leave()

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the worker's environment with what the run would get."""
        worker = self._worker(request.replica)
        identifying = {"REPLICA", *dict(request.identifying_environment)}
        found = differences(worker["environment"], run_environment(worker, request))
        return tuple(f"environment.{name}" for name in found if name not in identifying)

    def prune(self, keep: int) -> None:
        """Delete the oldest directories of runs that have ended; there is nothing to read where there are few."""
        if len(list(self.home.glob("runs/*"))) <= keep:
            return
        ended = [run.id for run in self.records() if not run.is_running]
        for identity in ended[: max(0, len(ended) - keep)]:
            self.delete(identity)

    def records(self) -> tuple[Run, ...]:
        """Return the directories as records."""
        return run_record.records(self.home)

    def output(
        self, identity: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the kept output."""
        return run_record.output(self._directory(identity), follow=follow, last=last, since=since)

    def stop(self, identity: str, say: Say) -> None:
        """Tell the monitor, and wait for its record."""
        directory = self._directory(identity)
        say(waiting(identity, read_json(directory / "spec.json").get("grace", 0)))
        while monitor := monitor_of(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(monitor, signal.SIGTERM)
            deadline = time.monotonic() + 1
            while monitor_of(directory) and time.monotonic() < deadline:
                time.sleep(POLL)

    def delete(self, identity: str) -> None:
        """Delete the directory."""
        shutil.rmtree(self._directory(identity), ignore_errors=True)

    def _directory(self, identity: str) -> Path:
        return self.home / "runs" / identity

    def _worker(self, replica: Replica) -> Spec:
        """Return what a replica was launched from when it was pinned, else what it is launched from now."""
        return self._pinned.get(replica.id) or self._launched(replica)

    def _launched(self, replica: Replica) -> Spec:
        """Return what a replica was launched from, which an `up` may have replaced since it was chosen."""
        worker = self.worker(replica)
        if not has_shape(worker, WORKER):
            raise NotUpError(f"{replica.name} is gone; repeat the command, or: invoke up")
        if not Path(worker["directory"]).is_dir():
            what = f"{replica.name} was started from {worker['directory']}, which is not there any more"
            raise NotUpError(f"{what} (was this directory moved?); start it from here: invoke up")
        chosen = {"release": replica.release} | replica.recipe
        if replica.id and (changed := differences(chosen, {"release": worker["release"]} | worker["recipe"])):
            names = ", ".join(changed)
            raise IdentityError(f"{replica.name} was replaced meanwhile ({names}); nothing was started; repeat it")
        return worker
