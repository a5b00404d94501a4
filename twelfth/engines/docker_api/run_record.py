"""Read the record of a run from its inspected container, and decide which records are kept; pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.container_spec import RELEASE, SOURCE_MOUNTED
from twelfth.engines.docker_api.run_spec import RUN
from twelfth.model.run import OPERATOR, Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.docker_api.container_spec import Body

TIMED_OUT = 124
"""Exit code of `timeout` (coreutils) for a command that reached its time limit."""

FORCED = {TIMED_OUT, 137, 143}
"""Exit codes of `timeout` after a timeout: 137 if KILL was needed; BusyBox's exits with that of the signal."""

STARTED_WITHIN = 60
"""Seconds after which a client no longer starts a container that it created."""

STOPPED = "-stopped"
"""Suffix of the name of a run that an operator stopped: a container's name can change, its labels cannot."""


def records(inspected: Iterable[Body]) -> tuple[Run, ...]:
    """Return the records of inspected containers, the oldest first, without those that are being removed.

    A container that is being removed has no exit code although it is not running, and may never have been started.
    """
    remaining = (run for run in inspected if run["State"]["Status"] != "removing")
    return tuple(sorted(map(record, remaining), key=lambda run: run.started))


def record(run: Body) -> Run:
    """Return the record of a run from its inspected container."""
    labels, state = run["Config"]["Labels"], run["State"]
    has_exited = state["Status"] in {"exited", "dead"}
    return Run(
        id=labels[RUN],
        command=tuple(json.loads(labels[f"{RUN}.command"])),
        engine="docker",
        release=labels.get(RELEASE, ""),
        image=run["Image"],
        operator=labels.get(f"{RUN}.operator", ""),
        reason=labels.get(f"{RUN}.reason", ""),
        overrides=tuple(json.loads(labels[f"{RUN}.overrides"])),
        started=run["Created"] if state["Status"] == "created" else state["StartedAt"],
        finished=_finished(run) if has_exited else "",
        seconds=round(seconds(run), 3) if has_exited else None,
        state=_state(run) if has_exited else state["Status"],
        exit_code=exit_code(run) if has_exited else None,
        source_mounted=SOURCE_MOUNTED in labels,
        purpose=labels.get(f"{RUN}.purpose", ""),
        host=labels.get(f"{RUN}.host", ""),
        kind=labels.get(f"{RUN}.kind", "run"),
        what=labels.get(f"{RUN}.what", ""),
        job=labels.get(f"{RUN}.job", ""),
        trigger=labels.get(f"{RUN}.trigger", OPERATOR),
        notify=labels.get(f"{RUN}.notify", ""),
        discards_output=bool(labels.get(f"{RUN}.discards_output")),
    )


def _state(run: Body) -> str:
    if run["Name"].endswith(STOPPED):
        return "stopped"
    if timed_out(run):
        return "timeout"
    return "failed" if run["State"]["ExitCode"] else "done"


LATE = 0.5
"""Seconds by which a busy daemon may record a container's start too late."""

LATE_WITH_OWN_CODE = 0.2
"""The same for the process's own exit code.

BusyBox's `timeout` exits with the code of a process that handles TERM, such as 0, so only the time shows a timeout. A
process that exits by itself this shortly before its limit counts as timed out.
"""


def exit_code(run: Body) -> int:
    """Return a run's exit code, 124 after its time limit, whichever signal was needed to stop it."""
    return TIMED_OUT if timed_out(run) else int(run["State"]["ExitCode"])


def timed_out(run: Body) -> bool:
    """Return whether a run took as long as its time limit."""
    limit = run["Config"]["Labels"].get(f"{RUN}.timeout")
    late = LATE if run["State"]["ExitCode"] in FORCED else LATE_WITH_OWN_CODE
    return bool(limit) and seconds(run) >= float(limit) - late


def seconds(run: Body) -> float:
    """Return the duration of a run that has exited."""
    return max(0.0, _elapsed(run))


def _finished(run: Body) -> str:
    """Return when a run exited, or its start, which the daemon may record later than the exit of a short run."""
    return str(run["State"]["FinishedAt" if _elapsed(run) > 0 else "StartedAt"])


def _elapsed(run: Body) -> float:
    started, finished = (datetime.fromisoformat(run["State"][key]) for key in ("StartedAt", "FinishedAt"))
    return (finished - started).total_seconds()


def prunable(listed: Iterable[Body], keep: int, now: float) -> list[Body]:
    """Return the containers to remove, of those that are listed as not running, newest first.

    The last `keep` stay, and the last `keep` that failed. A container that was created and not started belongs to a
    client that is about to start it or has died; after a minute, the client counts as dead. `Created` is in whole
    seconds, so the order of the list decides within one.
    """
    ended = [container for container in listed if container["State"] != "created" or is_abandoned(container, now)]
    failed = [container for container in ended if _has_failed(container)]
    return [container for container in ended[keep:] if container not in failed[:keep]]


def _has_failed(listed: Body) -> bool:
    return listed["State"] != "created" and not listed["Status"].startswith("Exited (0)")


def is_abandoned(listed: Body, now: float) -> bool:
    """Return whether a created run will no longer be started."""
    return bool(listed["State"] == "created" and now - listed["Created"] > STARTED_WITHIN)
