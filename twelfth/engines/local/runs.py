"""The runs of the local engine: each has a directory, and a process that monitors it until it exits."""

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
from twelfth.engines.local.run_record import UNSTARTED, make_private, monitor_of
from twelfth.engines.local.run_spec import (
    WORKER,
    WORKING_DIRECTORY,
    directories,
    ignored,
    run_environment,
    run_spec,
)
from twelfth.engines.local.session import LocalSession
from twelfth.errors import IdentityError, NotUpError
from twelfth.model.snapshot import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from twelfth.engines.contract import Say
    from twelfth.engines.local.replica_spec import Spec
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import Replica

POLL = 0.05
"""Seconds between two checks whether a run has exited."""


class LocalRuns(Runs):
    """The run directories of one stack."""

    def __init__(self, home: Path, worker: Callable[[Replica], Spec]) -> None:
        """Keep the stack's directory; `worker` returns the specification of a replica."""
        self.home, self.worker = home, worker
        self._pinned: dict[str, Spec] = {}

    def start(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> LocalSession:
        """Write the run's specification, start its monitor, and make the monitor start the run."""
        worker = _in_declared_directory(self._worker(request.replica), request)
        directory = self._directory(request.id)
        spec = run_spec(worker, request, datetime.now(UTC).isoformat())
        try:
            with disk_errors(directory, "nothing was started"):
                make_private(self.home, "runs")
                directory.mkdir(mode=0o700)
                (directory / UNSTARTED).touch()
                write_json(directory / "spec.json", spec)
                session = LocalSession(directory, spec | {"environment": run_environment(worker, request)})
            with session.given_up_on_errors():
                ready()
        except BaseException:
            self.delete(request.id)
            raise
        session.start()
        return session

    def pin(self, replica: Replica) -> None:
        """Keep the replica's specification."""
        self._pinned[replica.identity] = self._launched(replica)

    def detach(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> None:
        """Start the run and disconnect; its monitor needs no client."""
        self.start(request, ready).leave()

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the worker's environment with that of the run."""
        worker = self._worker(request.replica)
        identifying = {"REPLICA", *dict(request.identifying_environment)}
        names = differences(worker["environment"], run_environment(worker, request))
        is_elsewhere = _in_declared_directory(worker, request)["directory"] != worker["directory"]
        environment = (f"environment.{name}" for name in names if name not in identifying)
        return (*environment, *([WORKING_DIRECTORY] if is_elsewhere else []))

    def ignored(self, request: RunRequest) -> tuple[str, ...]:
        """Return the declared settings that a process cannot have."""
        worker, names = self._worker(request.replica), ignored(request.changes)
        is_missing = bool(directories(request.changes)) and _declared_directory(worker, request) is None
        return (*names, *([WORKING_DIRECTORY] if is_missing else []))

    def prune(self, keep: int, removing: Callable[[Sequence[Run]], None] = lambda _: None) -> None:
        """Delete the oldest directories of runs that have exited; few directories need not be read."""
        runs = self.records() if len(self.ids()) > keep else ()
        exited = [run for run in runs if not monitor_of(self._directory(run.id))]
        failed = [run for run in exited if run.state != "done"]
        kept = {run.id for run in (*exited[max(0, len(exited) - keep) :], *failed[max(0, len(failed) - keep) :])}
        removed = [run for run in exited if run.id not in kept]
        removing(removed)
        for run in removed:
            self.delete(run.id)

    def ids(self) -> frozenset[str]:
        """Return the names of the directories."""
        return frozenset(path.name for path in self.home.glob("runs/*"))

    def records(self, ids: Collection[str] | None = None) -> tuple[Run, ...]:
        """Return the records in the directories."""
        return run_record.records(self.home, ids)

    def output(
        self, run_id: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the recorded output."""
        return run_record.output(self._directory(run_id), follow=follow, last=last, since=since)

    def stop(self, run_id: str, say: Say) -> None:
        """Send TERM to the monitor until it has recorded the run's exit."""
        directory = self._directory(run_id)
        say(waiting(run_id, read_json(directory / "spec.json").get("grace", 0)))
        while monitor := monitor_of(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(monitor, signal.SIGTERM)
            deadline = time.monotonic() + 1
            while monitor_of(directory) and time.monotonic() < deadline:
                time.sleep(POLL)

    def delete(self, run_id: str) -> None:
        """Delete the directory."""
        shutil.rmtree(self._directory(run_id), ignore_errors=True)

    def _directory(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def _worker(self, replica: Replica) -> Spec:
        """Return the specification that was pinned, else the current one."""
        return self._pinned.get(replica.identity) or self._launched(replica)

    def _launched(self, replica: Replica) -> Spec:
        """Return the specification of a replica, which an `up` may have replaced since the replica was chosen."""
        worker = self.worker(replica)
        if not has_shape(worker, WORKER):
            raise NotUpError(f"{replica.name} is gone; repeat the command, or: invoke up")
        if not Path(worker["directory"]).is_dir():
            what = f"{replica.name} was started from {worker['directory']}, which no longer exists"
            raise NotUpError(f"{what}; try: invoke up")
        chosen = {"release": replica.release} | replica.recipe
        if replica.id and (changed := differences(chosen, {"release": worker["release"]} | worker["recipe"])):
            names = ", ".join(changed)
            raise IdentityError(f"{replica.name} was replaced meanwhile ({names}); nothing was started; repeat it")
        return worker


def _in_declared_directory(worker: Spec, request: RunRequest) -> Spec:
    declared = _declared_directory(worker, request)
    return worker | {"directory": str(declared)} if declared else worker


def _declared_directory(worker: Spec, request: RunRequest) -> Path | None:
    paths = (Path(worker["directory"], path) for path in directories(request.changes))
    return next((path for path in paths if path.is_dir()), None)
