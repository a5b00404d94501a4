"""The rules for starting a job: which jobs run before it, and what its services must be."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from twelfth.errors import MisuseError, NotUpError
from twelfth.model.job import Changes, Job
from twelfth.model.service import SERVICE_COMPLETED, SERVICE_HEALTHY, Service
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Stack
from twelfth.runs.jobs import chain, refuse_unmet

STARTED = "service_started"


def job(name: str, *after: str) -> Job:
    """Return a job that runs after others."""
    return Job(name, Changes(Service(name, "")), after=after)


def names(*jobs: Job) -> list[str]:
    """Return the jobs that are started for the first one, in order."""
    return [link.name for link in chain(Stack("p", Path(), (), jobs=jobs), jobs[0])]


def test_jobs_run_after_those_that_they_depend_on() -> None:
    """Each once."""
    assert ["c", "b", "d", "a"] == names(job("a", "b", "c", "d"), job("b", "c"), job("c"), job("d", "c"), job("e"))


@pytest.mark.parametrize("jobs", [(job("a", "a"),), (job("a", "b"), job("b", "c"), job("c", "a"))])
def test_cycle_of_jobs_is_refused(jobs: tuple[Job, ...]) -> None:
    """The error shows it."""
    cycle = " → ".join([*(link.name for link in jobs), "a"])
    with pytest.raises(MisuseError, match=f"^cannot start a: jobs depend on each other: {cycle}. Remove one of them"):
        names(*jobs)


@pytest.mark.parametrize(
    ("condition", "states", "why"),
    [
        (STARTED, ["running"], ""),
        (STARTED, [], "is not running"),
        (STARTED, ["exited (0)"], "is not running"),
        (SERVICE_HEALTHY, ["starting", "running"], ""),
        (SERVICE_HEALTHY, ["starting"], "is not healthy"),
        (SERVICE_COMPLETED, ["exited (0)"], ""),
        (SERVICE_COMPLETED, ["exited (1)"], "has not completed successfully"),
        (SERVICE_COMPLETED, ["running"], "has not completed successfully"),
    ],
)
def test_services_must_fulfil_their_condition(condition: str, states: list[str], why: str) -> None:
    """A run starts no service; here a replica that is `running` is healthy."""
    replicas = [Replica("db", number, str(number), state, {}) for number, state in enumerate(states)]
    needs = Job("a", Changes(Service("a", "")), conditions=(("db", condition),))
    message = f"^cannot start a: it depends on db, which {why}. Try: invoke up$"
    with pytest.raises(NotUpError, match=message) if why else contextlib.nullcontext():
        refuse_unmet(needs, lambda _: replicas, lambda replica: replica.state == "running")
