"""The specifications of replicas and runs, as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twelfth.engines.local import replica_spec, run_spec
from twelfth.errors import EngineError
from twelfth.model.job import Changes
from twelfth.model.run import RunRequest
from twelfth.model.service import Local, Mount, Service, as_options
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Stack

REDIS = Service("redis", "redis:8", mounts=(Mount("volume", "/data", "redis-data"),), local=Local(("serve",)))
WORKER = Service("worker", "app:abc", environment=(("A", "1"), ("B", "2")), local=Local(("w",), (("B", "<port>"),)))
STACK = Stack("p", Path("/src"), (REDIS, WORKER, Service("web", "web:1")))
PORTS = {"redis": 6001, "worker": 6002}


def fill(text: str, service: Service = REDIS) -> str:
    """Return a text of the service's declaration with its placeholders replaced."""
    return replica_spec.filled(text, STACK, service, Path("/v"), PORTS.__getitem__)


def test_placeholders_stand_for_ports_and_the_volume() -> None:
    """The placeholder of a service without a port stays, as does that of a port that differs between replicas."""
    assert "6001 6002 /v/redis-data <web.port>" == fill("<port> <worker.port> <data> <web.port>")
    assert "<port> /v/worker" == fill("<port> <data>", WORKER)


def test_port_that_no_text_names_is_not_chosen() -> None:
    """Choosing a port checks the machine."""

    def refuse(name: str) -> int:
        raise AssertionError(name)

    assert "a <data-> b" == replica_spec.filled("a <data-> b", STACK, REDIS, Path("/v"), refuse)


def test_environment_of_x_local_overrides_the_services() -> None:
    """Its placeholders are replaced, too."""
    recipe = replica_spec.recipe(WORKER, Path("/src"), lambda text: fill(text, WORKER))

    assert ("1", "<port>") == (recipe["environment.A"], recipe["environment.B"])


def test_service_without_x_local_is_refused_with_a_hint() -> None:
    """The local engine cannot run it."""
    with pytest.raises(EngineError, match=r"^web does not run on this engine: .*no x-local; add one, then: invoke up$"):
        replica_spec.recipe(Service("web", "web:1"), Path("/src"), fill)


def test_clone_equals_a_new_replica() -> None:
    """Only its port differs: the recipe and the inherited environment decide the rest."""
    recipe = replica_spec.recipe(WORKER, Path("/src"), lambda text: fill(text, WORKER))
    first, second = (
        replica_spec.replica_spec(WORKER, number, recipe, {"PATH": "/bin"}, Path("/r")) for number in (1, 2)
    )
    placed = replica_spec.with_port(first, 7001)

    assert {"PATH": "/bin", "A": "1", "B": "7001", "REPLICA": "worker-1"} == placed["environment"]
    assert second | {"port": 7001} == replica_spec.clone(placed, 2)


def test_run_has_the_workers_environment_except_for_its_name_and_overrides() -> None:
    """The record of a run does not contain the environment."""
    recipe = {"stop_grace_period": "3s"}
    worker = {"environment": {"A": "1", "REPLICA": "worker-1"}, "directory": "/r", "release": "abc", "recipe": recipe}
    request = RunRequest("ab12", ("x",), Replica("worker", 1, "1", "running", {}), environment=(("A", "hush"),))
    record = run_spec.run_spec(worker, request, "now")

    assert {"A": "hush", "REPLICA": "run-ab12"} == run_spec.run_environment(worker, request)
    assert (["A"], 3, "/r") == (record["overrides"], record["grace"], record["directory"])
    assert "hush" not in str(record)


def test_process_cannot_have_all_that_a_job_declares() -> None:
    """A limit or user needs a container."""
    changes = Changes(WORKER, frozenset({"command", "environment", "working_dir", "user", "mem_limit"}))

    assert ("mem_limit", "user") == run_spec.ignored(changes)
    assert () == run_spec.ignored(None)


def test_working_directory_of_a_job_is_looked_for_in_the_release() -> None:
    """An image may have the release in any directory."""
    changes = Changes(replace(WORKER, options=as_options({"working_dir": "/app/x/../a/b"})), frozenset({"working_dir"}))

    assert ["app/a/b", "a/b", "b"] == list(map(str, run_spec.directories(changes)))
    assert [] == run_spec.directories(None)
