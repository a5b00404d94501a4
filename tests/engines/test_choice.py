"""Which engine `auto` is, and when a second one is refused: pure decisions, and the facts that they are made from."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from twelfth.engines import choice
from twelfth.engines.choice import Facts, decide, refuse_second
from twelfth.engines.docker_api import settings
from twelfth.engines.local import presence
from twelfth.errors import EngineError, MisuseError
from twelfth.model.service import Local, Service
from twelfth.model.snapshot import Replica, Snapshot
from twelfth.model.stack import Stack, Volume

if TYPE_CHECKING:
    from pathlib import Path

AWAY = Facts(no_daemon="no Docker daemon answers at X")
ABSENT = replace(AWAY, expects_daemon=False)


@pytest.mark.parametrize(
    ("facts", "engine"),
    [
        (Facts(), "docker"),
        (Facts(is_on_docker=True), "docker"),
        (Facts(is_on_swarm=True, is_on_docker=True), "swarm"),
        (Facts(is_local=True), "local"),
        (replace(AWAY, is_local=True), "local"),
        (ABSENT, "local"),
    ],
)
def test_auto_is_where_the_stack_is_then_a_daemon_that_answers(facts: Facts, engine: str) -> None:
    """Data of a volume on one node is data of Docker and of a Swarm."""
    assert engine == decide("p", facts)


def test_daemon_that_does_not_answer_is_an_error() -> None:
    """A second, empty stack would return numbers twice; the error does not suggest it."""
    with pytest.raises(EngineError) as away:
        decide("p", AWAY)
    with pytest.raises(EngineError) as without_local:
        decide("p", replace(ABSENT, can_be_local=False))

    assert AWAY.no_daemon == str(away.value)
    assert f"{AWAY.no_daemon}; no service of p has an x-local, so none runs without containers" == str(
        without_local.value
    )


@pytest.mark.parametrize(("facts", "other"), [(Facts(is_on_docker=True), "docker"), (Facts(is_on_swarm=True), "swarm")])
def test_stack_on_two_engines_needs_a_choice(facts: Facts, other: str) -> None:
    """Both are named."""
    with pytest.raises(MisuseError) as refused:
        decide("p", replace(facts, is_local=True))

    names = f"INVOKE_ENGINE=local invoke status, or: INVOKE_ENGINE={other} invoke status"
    assert f"cannot choose an engine: p is on local and on {other}. Try: {names}" == str(refused.value)


@pytest.mark.parametrize(
    ("name", "facts", "error"),
    [
        ("local", Facts(is_on_docker=True, has_containers=True), "cannot deploy p on local: it is on docker. "),
        ("local", Facts(is_on_swarm=True), "cannot deploy p on local: it is on swarm. "),
        ("local", AWAY, f"cannot deploy p on local: it may be on Docker, and {AWAY.no_daemon}. "),
        ("docker", Facts(is_local=True), "cannot deploy p on docker: it is on local. "),
        ("swarm", Facts(is_local=True), "cannot deploy p on swarm: it is on local. "),
    ],
)
def test_second_engine_is_refused(name: str, facts: Facts, error: str) -> None:
    """The error has the command for an operator who wants two."""
    with pytest.raises((MisuseError, EngineError)) as refused:
        refuse_second(name, "p", facts)

    hint = f"To have a second stack with separate data: INVOKE_ENGINE={name} invoke up --second-engine"
    assert error + hint == str(refused.value)


def test_data_that_down_has_left_is_the_reason() -> None:
    """The stack itself is not running; the error also names the command that deletes the data."""
    with pytest.raises(MisuseError) as refused:
        refuse_second("local", "p", Facts(is_on_docker=True))

    second = "To have a second stack with separate data: INVOKE_ENGINE=local invoke up --second-engine"
    hint = f"{second}. To delete that data: INVOKE_ENGINE=docker invoke down --volumes"
    assert f"cannot deploy p on local: its data is on docker. {hint}" == str(refused.value)


@pytest.mark.parametrize(
    ("name", "other", "facts"),
    [
        ("swarm", "docker", Facts(is_on_docker=True, has_containers=True)),
        ("docker", "swarm", Facts(is_on_swarm=True, is_on_docker=True)),
    ],
)
def test_stack_of_docker_and_one_of_its_swarm_exclude_each_other(name: str, other: str, facts: Facts) -> None:
    """Two databases would use one volume, so no second stack is offered."""
    with pytest.raises(MisuseError) as refused:
        refuse_second(name, "p", facts)

    hint = f"To move it: INVOKE_ENGINE={other} invoke down"
    assert f"cannot deploy p on {name}: it is on {other}. {hint}" == str(refused.value)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("local", ABSENT),
        ("local", Facts()),
        ("local", replace(AWAY, is_local=True)),
        ("local", Facts(is_local=True, is_on_docker=True)),
        ("docker", Facts(is_local=True, is_on_docker=True)),
        ("docker", Facts(is_on_docker=True)),
        ("docker", Facts(is_on_docker=True, has_containers=True)),
        ("swarm", Facts(is_on_docker=True)),
        ("swarm", Facts(is_on_swarm=True)),
        ("swarm", Facts(is_on_swarm=True, is_on_docker=True, has_containers=True)),
    ],
)
def test_only_or_known_second_engine_is_not_refused(name: str, facts: Facts) -> None:
    """The option is needed once."""
    refuse_second(name, "p", facts)


def engine(name: str, snapshot: Snapshot, why: str = "") -> SimpleNamespace:
    """Return an engine with a snapshot; `why` is the reason if it is unavailable."""
    made = SimpleNamespace(
        name=name,
        why_unavailable=lambda: why,
        observe=lambda: snapshot,
        runs_here=lambda service: bool(service.local),
    )
    made.with_stack = lambda _: made
    return made


@pytest.fixture
def stack(tmp_path: Path, state_of_test: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:  # noqa: ARG001 - it has an effect
    """Return a stack that is on no engine; a daemon is configured and answers, and is no manager of a Swarm."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    set_engines(monkeypatch, docker=engine("docker", Snapshot()))
    return Stack("p", tmp_path, (Service("app", "app", local=Local(("true",))),))


def set_engines(monkeypatch: pytest.MonkeyPatch, **engines: SimpleNamespace) -> None:
    """Replace the engines."""
    known = {"local": engine("local", Snapshot()), "swarm": engine("swarm", Snapshot(), "no manager")} | engines
    monkeypatch.setattr(choice, "_make", lambda name, _: known[name])


def store(stack: Stack, directory: Path, name: str = "volumes/data/file") -> None:
    """Write a file of the local engine."""
    path = directory / stack.project / name
    path.parent.mkdir(parents=True)
    path.touch()


RUNNING = Snapshot((Replica("app", 1, "id", "running", {}),))
DATA = Snapshot(volumes=(Volume("data"),))


@pytest.mark.parametrize("name", ["volumes/data/file", "services/app-1.json"])
def test_data_and_processes_are_local_state(
    stack: Stack, state_of_test: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also if the daemon does not answer. Records of runs, releases and backups alone are not."""
    store(stack, state_of_test, "runs/ab12/spec.json")
    assert "docker" == choice.choose("auto", stack).name
    store(stack, state_of_test, name)
    assert "local" == choice.choose("auto", stack).name
    set_engines(monkeypatch, docker=engine("docker", RUNNING, "no daemon answers"))
    assert "local" == choice.choose("auto", stack).name


def test_old_state_in_the_checkout_is_local_state(stack: Stack) -> None:
    """It is moved when the engine is used."""
    store(stack, stack.directory / ".twelfth" / "local")

    assert "local" == choice.choose("auto", stack).name


@pytest.mark.parametrize("snapshot", [RUNNING, DATA])
def test_containers_or_data_on_docker_and_local_state_are_two_stacks(
    stack: Stack, state_of_test: Path, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    """After `down` the data is still there."""
    store(stack, state_of_test)
    set_engines(monkeypatch, docker=engine("docker", snapshot))
    with pytest.raises(MisuseError, match="p is on local and on docker"):
        choice.choose("auto", stack)


def test_swarm_is_chosen_if_it_has_the_stack_or_had_it_last(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that manages a Swarm is a Docker daemon, too; after `down` only the volume is left."""
    set_engines(monkeypatch, docker=engine("docker", DATA), swarm=engine("swarm", RUNNING))
    assert "swarm" == choice.choose("auto", stack).name
    connected = engine("swarm", RUNNING)
    assert connected is choice.choose("auto", stack, "swarm", connected)  # type: ignore[arg-type, comparison-overlap]
    set_engines(monkeypatch, docker=engine("docker", DATA), swarm=engine("swarm", DATA))
    assert ["docker", "swarm"] == [choice.choose("auto", stack, last).name for last in ("", "swarm")]


def test_deploy_to_a_second_engine_is_refused(
    stack: Stack, state_of_test: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either of them can be the second."""
    set_engines(monkeypatch, docker=engine("docker", DATA))
    with pytest.raises(MisuseError, match="cannot deploy p on local: its data is on docker"):
        choice.refuse_second_engine("local", stack)
    set_engines(monkeypatch, docker=engine("docker", Snapshot()))
    choice.refuse_second_engine("local", stack)
    store(stack, state_of_test)
    with pytest.raises(MisuseError, match="cannot deploy p on docker: it is on local"):
        choice.refuse_second_engine("docker", stack)


def test_last_engine_is_used_without_a_question_unless_local_state_contradicts(
    stack: Stack, state_of_test: Path
) -> None:
    """A run starts sooner. If the stack is on a second engine, the engines are asked."""

    def last(name: str) -> str:
        last = choice.choose_last(stack, name)
        return last.name if last else ""

    assert ["", "docker"] == [last("local"), last("docker")]
    store(stack, state_of_test)
    assert ["local", ""] == [last("local"), last("docker")]
    presence.mark_second(stack)
    assert ["", ""] == [last("local"), last("docker")]


@pytest.mark.parametrize(
    ("variables", "context", "is_configured"),
    [
        ({}, "", False),
        ({}, "default", False),
        ({}, "remote", True),
        ({"DOCKER_CONTEXT": "default"}, "remote", False),
        ({"DOCKER_CONTEXT": "remote"}, "", True),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "", True),
    ],
)
def test_daemon_is_expected_if_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], context: str, *, is_configured: bool
) -> None:
    """By a variable, or by the current context, as for the docker command line."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(settings, "SOCKET", str(tmp_path / "socket"))
    if context:
        (tmp_path / "config.json").write_text(json.dumps({"currentContext": context}), "utf-8")

    assert is_configured is settings.is_daemon_configured()


def test_socket_that_cannot_be_used_is_a_configured_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon is stopped, or this user has no permission."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "socket").symlink_to("gone")
    monkeypatch.setattr(settings, "SOCKET", str(tmp_path / "socket"))

    assert settings.is_daemon_configured()
