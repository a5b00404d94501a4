"""What a process is launched from, as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from twelfth.engines.local import replica_spec, run_spec
from twelfth.errors import EngineError
from twelfth.model.run import RunRequest
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Local, Mount, Service, Stack

REDIS = Service("redis", "redis:8", mounts=(Mount("volume", "/data", "redis-data"),), local=Local(("serve",)))
WORKER = Service("worker", "app:abc", environment=(("A", "1"), ("B", "2")), local=Local(("w",), (("B", "<port>"),)))
STACK = Stack("p", Path("/src"), (REDIS, WORKER, Service("web", "web:1")))
PORTS = {"redis": 6001, "worker": 6002}


def fill(text: str, service: Service = REDIS) -> str:
    """Return the text as the service's declaration has it, filled."""
    return replica_spec.filled(text, STACK, service, Path("/v"), PORTS.__getitem__)


def test_placeholders_stand_for_own_and_others_ports_and_the_volume() -> None:
    """One of a service that has no port here stays as it is, and so does one that each replica has its own of."""
    assert "6001 6002 /v/redis-data <web.port>" == fill("<port> <worker.port> <data> <web.port>")
    assert "<port> /v/worker" == fill("<port> <data>", WORKER)


def test_port_that_no_text_names_is_not_asked_for() -> None:
    """To choose one may take a look at the machine."""

    def refuse(name: str) -> int:
        raise AssertionError(name)

    assert "a <data-> b" == replica_spec.filled("a <data-> b", STACK, REDIS, Path("/v"), refuse)


def test_environment_is_the_declared_one_with_what_is_said_for_this_engine() -> None:
    """Filled, too."""
    recipe = replica_spec.recipe(WORKER, Path("/src"), lambda text: fill(text, WORKER))

    assert ("1", "<port>") == (recipe["environment.A"], recipe["environment.B"])


def test_service_that_does_not_run_here_is_refused_with_what_to_do() -> None:
    """Its declaration says nothing of this engine."""
    with pytest.raises(EngineError, match=r"^web does not run on this engine: .*no x-local; add one, or: "):
        replica_spec.recipe(Service("web", "web:1"), Path("/src"), fill)


def test_clone_is_what_would_be_made_anew() -> None:
    """But for its port: all of it is in the recipe, with what the first inherited."""
    recipe = replica_spec.recipe(WORKER, Path("/src"), lambda text: fill(text, WORKER))
    first, second = (replica_spec.replica_spec(WORKER, each, recipe, {"PATH": "/bin"}, Path("/r")) for each in (1, 2))
    placed = replica_spec.with_own_port(first, 7001)

    assert {"PATH": "/bin", "A": "1", "B": "7001", "REPLICA": "worker-1"} == placed["environment"]
    assert second | {"port": 7001} == replica_spec.clone(placed, 2)


def test_run_has_the_workers_environment_but_for_its_name_and_what_was_asked() -> None:
    """The environment is no part of what is kept of a run."""
    recipe = {"stop_grace_period": "3s"}
    worker = {"environment": {"A": "1", "REPLICA": "worker-1"}, "directory": "/r", "release": "abc", "recipe": recipe}
    request = RunRequest("ab12", ("x",), Replica("worker", 1, "1", "running", {}), environment=(("A", "hush"),))
    kept = run_spec.run_spec(worker, request, "now")

    assert {"A": "hush", "REPLICA": "run-ab12"} == run_spec.run_environment(worker, request)
    assert (["A"], 3, "/r") == (kept["overrides"], kept["grace"], kept["directory"])
    assert "hush" not in str(kept)
