"""Choose the engine of a stack, which never moves to another one by itself; the list of engines."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.settings import is_daemon_configured
from twelfth.engines.local.presence import has_stack, is_second
from twelfth.errors import EngineError, MisuseError
from twelfth.model.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from twelfth.engines.contract import Engine
    from twelfth.model.stack import Stack

    Make = Callable[[str], Engine]

NAMES = ("local", "docker", "swarm")


@dataclass(frozen=True)
class Facts:
    """Where a stack has replicas or data; `has_containers` is whether it has replicas on plain Docker.

    `no_daemon` is why no daemon can be used, "" if one answers; `expects_daemon` is whether one is configured, or was
    used by the last deploy from this directory. `can_be_local` is whether any of its services can run without
    containers.
    """

    is_local: bool = False
    is_on_docker: bool = False
    is_on_swarm: bool = False
    has_containers: bool = False
    no_daemon: str = ""
    expects_daemon: bool = True
    can_be_local: bool = True

    @property
    def on_daemon(self) -> str:
        """The engine with a daemon that has the stack, "" if there is none."""
        return "swarm" if self.is_on_swarm else "docker" if self.is_on_docker else ""


def decide(project: str, facts: Facts) -> str:
    """Return the name of the engine that `auto` stands for.

    Raises `MisuseError` if the stack is on two, `EngineError` if the daemon that should have it does not answer.
    """
    if facts.is_local and facts.on_daemon:
        names = f"INVOKE_ENGINE=local invoke status, or: INVOKE_ENGINE={facts.on_daemon} invoke status"
        raise MisuseError(f"cannot choose an engine: {project} is on local and on {facts.on_daemon}. Try: {names}")
    if facts.is_local:
        return "local"
    if facts.no_daemon and facts.expects_daemon:
        raise EngineError(facts.no_daemon)
    if facts.no_daemon and not facts.can_be_local:
        raise EngineError(f"{facts.no_daemon}; no service of {project} has an x-local, so none runs without containers")
    if facts.no_daemon:
        return "local"
    return "swarm" if facts.is_on_swarm else "docker"


def refuse_second(name: str, project: str, facts: Facts) -> None:
    """Raise an error if a deploy to an engine would make a second stack, or if that is not known."""
    rival = {"docker": "swarm", "swarm": "docker"}.get(name, "")
    if (rival == "swarm" and facts.is_on_swarm and not facts.has_containers) or (
        rival == "docker" and facts.has_containers and not facts.is_on_swarm
    ):  # both would use one volume at the same time
        hint = f"To move it: INVOKE_ENGINE={rival} invoke down"
        raise MisuseError(f"cannot deploy {project} on {name}: it is on {rival}. {hint}")
    second = f"To have a second stack with separate data: INVOKE_ENGINE={name} invoke up --second-engine"
    if name == "local" and not facts.is_local:
        if facts.is_on_docker and not facts.has_containers and not facts.is_on_swarm:  # after `down`
            hint = f"{second}. To delete that data: INVOKE_ENGINE=docker invoke down --volumes"
            raise MisuseError(f"cannot deploy {project} on local: its data is on docker. {hint}")
        if facts.on_daemon:
            raise MisuseError(f"cannot deploy {project} on local: it is on {facts.on_daemon}. {second}")
        if facts.no_daemon and facts.expects_daemon:
            raise EngineError(f"cannot deploy {project} on local: it may be on Docker, and {facts.no_daemon}. {second}")
    if name != "local" and facts.is_local and not facts.on_daemon:
        raise MisuseError(f"cannot deploy {project} on {name}: it is on local. {second}")


def preload(name: str) -> None:
    """Import what an engine takes a while to import."""
    if name != "local":
        import_module("twelfth.engines.docker.engine")


def choose(name: str, stack: Stack, last: str = "", connected: Engine | None = None) -> Engine:
    """Return the engine of that name, ready to be used.

    `last` is the engine of the last deploy from this directory, `connected` an engine whose connection can be used.
    Raises `MisuseError` for an unknown name, and `EngineError` if the engine is not available.
    """
    if name not in (*NAMES, "auto"):
        raise MisuseError(f"engine {name!r} is not known; INVOKE_ENGINE is one of auto, {', '.join(NAMES)}")
    make = functools.cache(lambda candidate: _make(candidate, stack))
    if connected:
        make = functools.cache(lambda name: connected if name == connected.name else _make(name, stack))
    if name == "auto":
        name = decide(stack.project, _facts(stack, make, last, is_deploy=False))
    engine = make(name)
    if why := engine.why_unavailable():
        raise EngineError(why)
    return engine


def choose_last(stack: Stack, last: str) -> Engine | None:
    """Return the engine of the last deploy if local state agrees, without asking another; else None.

    Raises `EngineError` if the engine is not available.
    """
    if last not in NAMES or is_second(stack) or has_stack(stack) != (last == "local"):
        return None
    return choose(last, stack)


def refuse_second_engine(name: str, stack: Stack, last: str = "") -> None:
    """Raise an error if a deploy to an engine would make a second stack, or if that cannot be found out."""
    facts = _facts(stack, lambda candidate: _make(candidate, stack), last, is_deploy=True)
    refuse_second(name, stack.project, facts)


def _facts(stack: Stack, make: Make, last: str, *, is_deploy: bool) -> Facts:
    is_local, expects_daemon = has_stack(stack), is_daemon_configured() or last in {"docker", "swarm"}
    facts = Facts(is_local=is_local, expects_daemon=expects_daemon)
    if not expects_daemon:
        can_be_local = not stack.services or any(map(make("local").runs_here, stack.services))
        return replace(facts, no_daemon="no Docker daemon is configured", can_be_local=can_be_local)
    docker, swarm = make("docker"), make("swarm")
    if no_daemon := docker.why_unavailable():
        return replace(facts, no_daemon=no_daemon)
    names = replace(stack, services=(), networks=(), volumes=())
    containers = docker.with_stack(names).observe() if is_local or is_deploy or last == "swarm" else Snapshot()
    if not swarm.why_unavailable():
        was_last = last == "swarm" and not containers.replicas
        facts = replace(facts, is_on_swarm=was_last or bool(swarm.with_stack(names).observe().replicas))
    has_containers = bool(containers.replicas)
    return replace(facts, is_on_docker=has_containers or bool(containers.volumes), has_containers=has_containers)


def _make(name: str, stack: Stack) -> Engine:
    if name == "local":
        from twelfth.engines.local.engine import Local

        return Local(stack)
    if name == "swarm":
        from twelfth.engines.swarm.engine import Swarm

        return Swarm(stack)
    from twelfth.engines.docker.engine import Docker

    return Docker(stack)
