"""Anonymous volumes: which they are, and which container gets them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import IMAGE, REQUEST, STACK, WORKER, inspected
from twelfth.engines.docker_api import container_spec, identity, mounts, recipe, run_spec
from twelfth.model.service import Mount
from twelfth.model.snapshot import differences
from twelfth.model.stack import Volume

KEPT, OTHER = "a" * 64, "b" * 64
"""Names that a daemon generated."""


def replaced(times: int, *, by_compose: bool = False) -> dict[str, Any]:
    """Return an inspected worker whose image has a volume at /keep, after some replacements."""
    found = with_volume(inspected())
    for _ in range(times):
        body = mounts.taking_over(made(), mounts.anonymous_volumes(found))
        found = with_volume(inspected(HostConfig=body["HostConfig"]))
        found["Config"]["Labels"] |= {mounts.ANONYMOUS_VOLUMES: body["Labels"][mounts.ANONYMOUS_VOLUMES]}
        if by_compose:
            del found["Config"]["Labels"][mounts.ANONYMOUS_VOLUMES]
    return found


def made() -> dict[str, Any]:
    """Return the body that creates a worker."""
    return container_spec.body(STACK, WORKER, {})


def with_volume(worker: dict[str, Any], name: str = KEPT) -> dict[str, Any]:
    """Return an inspected worker with a volume at /keep, as the daemon reports it."""
    return worker | {
        "Mounts": [*worker["Mounts"], {"Type": "volume", "Name": name, "Destination": "/keep", "RW": True}]
    }


def sources(body: dict[str, Any]) -> dict[str, str]:
    """Return the named sources of what a body mounts, by target."""
    return {each["Target"]: each["Source"] for each in body["HostConfig"]["Mounts"] if "Source" in each}


def test_tmpfs_that_is_read_only_is_made_so() -> None:
    """The API's short notation does not support it; a change is detected."""
    services = [replace(WORKER, mounts=(Mount("tmpfs", "/a", read_only=each),)) for each in (True, False)]
    read_only, writable = (container_spec.declared_options(STACK, each)["volumes"] for each in services)

    assert [{"Type": "tmpfs", "Target": "/a", "ReadOnly": True}] == mounts.declared(STACK, services[0])["Mounts"]
    assert {"/a": ""} == mounts.declared(STACK, services[1])["Tmpfs"]
    assert read_only != writable


@pytest.mark.parametrize("by_compose", [False, True])
@pytest.mark.parametrize("times", [0, 1, 3])
def test_run_and_clone_never_see_the_anonymous_volumes_of_a_service(times: int, by_compose: bool) -> None:  # noqa: FBT001
    """After any number of replacements, by twelfth or Compose: the daemon creates new ones and fills them."""
    worker = replaced(times, by_compose=by_compose)
    run, clone = run_spec.body(worker, REQUEST), container_spec.clone(worker, 2, {}, {})

    assert {"/keep": KEPT} == mounts.anonymous_volumes(worker)
    for body in (run, clone):
        assert KEPT not in json.dumps(body["HostConfig"])
        assert "p_data" == sources(body)["/data"]
    assert () == identity.unrequested(worker, as_made(run, OTHER), REQUEST)


def as_made(run: dict[str, Any], volume: str) -> dict[str, Any]:
    """Return what the daemon reports of a run with that volume at /keep."""
    made = with_volume(inspected(Config=run, HostConfig=run["HostConfig"]), volume)
    return made | {"HostConfig": run["HostConfig"] | run_spec.RUN_SETTINGS}


def test_replica_with_a_taken_over_volume_has_the_declared_settings() -> None:
    """So the next `up` has nothing to do, and a replacement gets the same volume."""
    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})

    assert () == differences(wanted, recipe.found_recipe(replaced(1)))
    assert {"/keep": KEPT} == mounts.anonymous_volumes(replaced(2))


def test_declared_volume_with_a_generated_name_is_not_anonymous() -> None:
    """One rescued from a removed container is the same for runs, and is never removed with a replica."""
    worker = replace(WORKER, mounts=(Mount("volume", "/keep", "rescued"),))
    stack = replace(STACK, services=(worker,), volumes=(Volume("rescued", KEPT, external=True),))
    body = container_spec.body(stack, worker, container_spec.labels(stack, worker, 1, {}))
    config = inspected()["Config"] | {"Labels": body["Labels"]}
    found = with_volume(inspected(Config=config, HostConfig=body["HostConfig"], Mounts=[]))
    run = run_spec.body(found, REQUEST)

    assert {} == mounts.anonymous_volumes(found)
    assert {"/keep": KEPT} == sources(run)
    assert () == differences(recipe.wanted_recipe(stack, worker, IMAGE, {}), recipe.found_recipe(found))
    host = run["HostConfig"] | run_spec.RUN_SETTINGS
    assert () == identity.unrequested(found, found | {"Config": run, "HostConfig": host}, REQUEST)


def test_declared_volume_with_a_generated_name_is_not_anonymous_in_a_container_of_compose() -> None:
    """Compose puts declared volumes into Binds."""
    host = inspected()["HostConfig"]
    found = with_volume(inspected(HostConfig=host | {"Binds": [f"{KEPT}:/keep:rw"]}))

    assert {} == mounts.anonymous_volumes(found)


def test_run_does_not_mount_the_hidden_volume_of_its_worker() -> None:
    """It differs from the worker in nothing else."""
    worker = inspected()
    hidden = mounts.with_hidden_volume(worker, "twelfth-state-p", ["/proc/kcore"])
    reports = [mounts.reported(mount) for mount in hidden["HostConfig"]["Mounts"]]

    assert ["/proc/kcore", mounts.HIDDEN] == hidden["HostConfig"]["MaskedPaths"]
    assert () == differences(recipe.found_recipe(worker), recipe.found_recipe(hidden | {"Mounts": reports}))
    plain = mounts.without_hidden_volume(hidden | {"Mounts": reports})
    assert worker["HostConfig"] | {"MaskedPaths": ["/proc/kcore"]} == plain["HostConfig"]
    assert mounts.HIDDEN not in {mount["Destination"] for mount in plain["Mounts"]}
    assert worker == mounts.without_hidden_volume(worker)


@pytest.mark.parametrize(
    "settings", [{"Privileged": True}, {"CapAdd": ["sys_admin"]}, {"SecurityOpt": ["systempaths=unconfined"]}]
)
def test_process_that_could_see_a_hidden_volume_gets_none(settings: dict[str, Any]) -> None:
    """The daemon hides nothing from it, or it can unmount what hides a path."""
    worker = inspected(HostConfig={"Mounts": [], **settings})

    assert worker == mounts.with_hidden_volume(worker, "twelfth-state-p", [])
