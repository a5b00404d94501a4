"""What a job declares is overlaid on the container that its run is made from, key by key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.engines.docker_api import daemon
from tests.engines.docker_api.test_keys import FRAGMENTS, IMAGE, PLAIN, service_of, stack
from tests.engines.docker_api.values import STACK, inspected
from twelfth.compose.jobs import OF_SERVICE_ONLY
from twelfth.engines.docker_api import container_spec, identity, run_changes, run_spec
from twelfth.model.job import Changes
from twelfth.model.run import RunRequest
from twelfth.model.service import Mount, Service, as_options
from twelfth.model.snapshot import Replica

if TYPE_CHECKING:
    from twelfth.model.stack import Stack

Body = dict[str, Any]
__all__ = ["stack"]

REFUSED_BY_COMPOSE = {"container_name", "deploy", "depends_on", "links", "scale"}
"""Keys that Compose refuses in a job, or that say nothing about its container."""

IGNORED = {"build", "command", "image", "platform"} | OF_SERVICE_ONLY | REFUSED_BY_COMPOSE
"""Keys that do not change the container of a run."""

NOT_COMPARED = {"expose", "mac_address", "stdin_open", "tty", "configs", "secrets"}
"""Keys that a run has, and that are not compared: newer daemons do not report them, or the mounts are."""

AS_IN_EVERY_RUN = {
    *("hostname: app", "init 0", "init 1", "logging 0", "logging.driver 0", "mem_swappiness: -1", "mem_swappiness 0"),
    *("stop_grace_period 0", "stop_grace_period 1", "networks 0", "pids_limit: -1"),
    *("entrypoint: []", "entrypoint: ''\ncommand: x"),
    *(f"networks.{key} {n}" for key in ("driver_opts", "gw_priority", "mac_address", "priority") for n in (0, 1)),
}
"""Fragments that change no run, or on a network nothing that is compared."""

JOBS = {name: {*yaml.safe_load(text)} - IGNORED for name, text in FRAGMENTS.items()}
PLAIN_WORKER = Service("app", "x", command=("serve",), environment=(("A", "a"), ("B", "b")), networks=("one",))


def reported(stack: Stack, service: Service, image: Body) -> Body:
    """Return what the daemon reports of a replica of a service."""
    body = container_spec.body(stack, service, container_spec.labels(stack, service, 1, {}))
    return daemon.report(body, image, f"{stack.project}-app-1", container_spec.declared_endpoints(stack, service))


def changes_of(stack: Stack, name: str) -> Changes:
    """Return what a job with these keys declares."""
    return Changes(replace(service_of(stack, name), name="job"), frozenset(JOBS[name]))


def request(changes: Changes | None) -> RunRequest:
    """Return the request of a run with these changes."""
    return RunRequest("ab12", ("true",), Replica("app", 1, "c", "running", {}), changes=changes)


def run_of(stack: Stack, worker: Body, asked: RunRequest, image: Body) -> Body:
    """Return what the daemon reports of a run."""
    changed = run_changes.changed(stack, worker, asked.changes)
    body = run_spec.body(changed, asked)
    host = {"Binds": [], "Mounts": [], "SecurityOpt": [], "Tmpfs": {}} | {
        name: v for name, v in body["HostConfig"].items() if v
    }
    return daemon.report(body | {"HostConfig": host}, image, "run", run_spec.endpoints(changed, asked))


@pytest.mark.parametrize("image", [IMAGE, PLAIN], ids=["image with settings", "plain image"])
@pytest.mark.parametrize("name", JOBS)
def test_run_with_a_key_is_what_was_requested(stack: Stack, name: str, image: Body) -> None:
    """And nothing else; a run without it is refused."""
    asked = request(changes_of(stack, name))
    worker = reported(stack, PLAIN_WORKER, image)
    changed = run_changes.changed(stack, worker, asked.changes)

    assert () == identity.unrequested(changed, run_of(stack, worker, asked, image), asked)
    different = {*run_changes.names(stack, worker, asked.changes)} - NOT_COMPARED
    if different and name not in AS_IN_EVERY_RUN:
        assert identity.unrequested(changed, run_of(stack, worker, request(None), image), asked), name


def overlay(worker: Body, container: Service, *keys: str) -> Body:
    """Return a container with what a job declares under these keys."""
    return run_changes.changed(STACK, worker, Changes(container, frozenset(keys)))


def test_variables_are_merged_by_name() -> None:
    """The others are those of the container."""
    config = overlay(inspected(), Service("job", "", environment=(("HOST_REDIS", "b"), ("NEW", "1"))), "environment")

    assert ["PATH=/bin", "HOST_REDIS=b", "NEW=1"] == config["Config"]["Env"]


def test_mounts_are_merged_by_target() -> None:
    """A volume, directory or file that is declared replaces whatever is mounted there."""
    declared = (
        Mount("volume", "/t", "data"),
        Mount("tmpfs", "/data"),
        Mount("bind", "/etc/a", "/b"),
        Mount("bind", "/new", "/c"),
    )
    changed = overlay(inspected(), Service("job", "", mounts=declared), "volumes")
    host = changed["HostConfig"]

    assert {"/data": ""} == host["Tmpfs"]
    assert ["/b:/etc/a:rw", "/c:/new:rw"] == host["Binds"]
    assert [{"Type": "volume", "Target": "/t", "Source": "p_data"}] == host["Mounts"]
    assert [("/t", "p_data")] == [(mount["Destination"], mount["Name"]) for mount in changed["Mounts"]]
    assert "twelfth.configs./etc/a" not in changed["Config"]["Labels"]


def test_names_are_those_of_the_keys_and_variables_that_differ() -> None:
    """Files always count as different: what they contain is not read."""
    container = Service(
        "job",
        "",
        environment=(("HOST_REDIS", "redis"), ("NEW", "1")),
        user="0",
        cap_drop=("ALL",),
        mounts=(Mount("config", "/etc/a", content="text"),),
    )
    changes = Changes(container, frozenset({"environment", "user", "cap_drop", "configs"}))

    assert ("environment.NEW", "configs", "user") == run_changes.names(STACK, inspected(), changes)
    assert () == run_changes.names(STACK, inspected(), None)


def test_entrypoint_is_that_of_the_run() -> None:
    """A time limit precedes it; the command of another entrypoint does not apply to it."""
    changes = Changes(Service("job", "", options=as_options({"entrypoint": ["env"]})), frozenset({"entrypoint"}))
    worker = inspected()
    worker["Config"] |= {"Entrypoint": ["/enter"], "Cmd": ["serve"]}
    asked = replace(request(changes), command=(), timeout=5.0)
    body = run_spec.body(run_changes.changed(STACK, worker, changes), asked)

    assert (["timeout", "-k", "3", "5", "env"], []) == (body["Entrypoint"], body["Cmd"])


def test_labels_of_a_job_are_on_its_runs() -> None:
    """Those of a service are not, and none can replace one of twelfth's."""
    labels = {"team": "data", "twelfth.run": "other", "com.docker.compose.oneoff": "False"}
    changes = Changes(Service("job", "", options=as_options({"labels": labels})), frozenset({"labels"}))
    worker = inspected()
    worker["Config"]["Labels"] |= {"traefik": "on"}
    body = run_spec.body(run_changes.changed(STACK, worker, changes), request(changes))

    assert ("data", "ab12", "True") == tuple(body["Labels"][name] for name in labels)
    assert "traefik" not in body["Labels"]
    assert ("labels",) == run_changes.names(STACK, worker, changes)
