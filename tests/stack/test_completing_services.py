"""Services that others wait for until they have ended, and services that follow another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twelfth.model.service import SERVICE_COMPLETED, Service
from twelfth.model.snapshot import Replica, Snapshot
from twelfth.model.stack import Stack
from twelfth.stack import plan

JOB = Service("prepare", "job:1")
WEB = Service("web", "web:1", depends_on=("prepare",), conditions=(("prepare", SERVICE_COMPLETED),))
STACK = Stack("p", Path(), (JOB, WEB))
RECIPE = {"image": "one"}


def replica(service: str, state: str = "running", **changes: str) -> Replica:
    """Return a replica that was found."""
    return Replica(service, 1, f"{service}-1", state, RECIPE | changes)


def steps(*found: Replica, stack: Stack = STACK) -> list[str]:
    """Return what `up` would do."""
    images = frozenset(service.image for service in stack.services)
    recipes = {service.name: RECIPE for service in stack.services}
    return [str(step) for step in plan.up(stack, Snapshot(found, images=images), recipes)]


def test_job_comes_to_its_end_before_others_start() -> None:
    """It is never admitted: it gets no requests."""
    assert [
        "Create prepare-1 (missing)",
        "Wait for prepare-1 (until it exits)",
        "Create web-1 (missing)",
        "Wait for web-1 (until it is ready)",
    ] == steps()


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (replica("prepare", "exited (0)"), []),
        (replica("prepare"), ["Wait for prepare-1 (until it exits)"]),
        (
            replica("prepare", "exited (3)"),
            [
                "Remove prepare-1 (exited (3))",
                "Create prepare-1 (exited (3))",
                "Wait for prepare-1 (until it exits)",
            ],
        ),
        (
            replica("prepare", "exited (0)", image="two"),
            [
                "Remove prepare-1 (image changed)",
                "Create prepare-1 (image changed)",
                "Wait for prepare-1 (until it exits)",
            ],
        ),
    ],
)
def test_job_is_done_once_for_what_it_is_made_from(job: Replica, expected: list[str]) -> None:
    """A failed one is repeated, and one that is running is waited for."""
    assert expected == steps(job, replica("web"))


@pytest.mark.parametrize("database", [replica("db", image="two"), replica("db")])
def test_service_that_follows_another_is_replaced_with_it(database: Replica) -> None:
    """And only then."""
    app = replace(WEB, depends_on=("db",), conditions=(), follows=("db",))
    found = steps(database, replica("web"), stack=Stack("p", Path(), (Service("db", "db:1"), app)))

    is_replaced = database.recipe != RECIPE
    assert (is_replaced, is_replaced) == (
        "Create db-1 (image changed)" in found,
        "Create web-1 (service.db changed)" in found,
    )


def test_replica_with_an_anonymous_volume_is_replaced_in_place() -> None:
    """The new replica has its number and its volume."""
    old = replace(replica("db", image="two"), has_own_volumes=True)

    assert ["Replace db-1 (image changed)"] == steps(old, stack=Stack("p", Path(), (Service("db", "db:1"),)))


def test_image_that_is_always_pulled_is_pulled(tmp_path: Path) -> None:
    """Even if the engine has it."""
    stack = Stack("p", tmp_path, (Service("db", "db:1", pull_policy="always"),))

    assert ["Pull db:1 (pull_policy is always)"] == steps(replica("db"), stack=stack)
