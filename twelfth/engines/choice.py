"""Choose the engine of a stack by its name, or by where the stack is up; the list of engines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack

NAMES = ("local", "docker", "swarm")


def preload(name: str) -> None:
    """Import what an engine takes a while to import."""
    if name != "local":
        import_module("twelfth.engines.docker.engine")


def choose(name: str, stack: Stack) -> Engine:
    """Return the engine of that name, ready to be used.

    `auto` is the engine where this stack is up, else local if the stack has local data, else docker if a daemon answers
    within a second, else local if any service can run there.
    Raises `MisuseError` for an unknown name, and `EngineError` if the engine is not available.
    """
    if name not in (*NAMES, "auto"):
        raise MisuseError(f"engine {name!r} is not known; INVOKE_ENGINE is one of auto, {', '.join(NAMES)}")
    if name == "auto":
        return _where_it_is_up(stack)
    engine = _make(name, stack)
    if why := engine.why_unavailable():
        raise EngineError(why if _could_be_local(stack) else _with_containers_only(why, stack))
    return engine


def _could_be_local(stack: Stack) -> bool:
    return not stack.services or any(map(_make("local", stack).runs_here, stack.services))


def _with_containers_only(why: str, stack: Stack) -> str:
    hint = f"start it: no service of {stack.project} has an x-local, so none runs without containers"
    return f"{why.partition(';')[0]}; {hint}"


def _where_it_is_up(stack: Stack) -> Engine:
    local, docker = _make("local", stack), _make("docker", stack)
    snapshot = local.observe()
    if _is_up(snapshot.replicas):
        return local
    has_remains = bool(snapshot.replicas or snapshot.volumes)
    if why := docker.why_unavailable():
        if not has_remains and not _could_be_local(stack):
            raise EngineError(_with_containers_only(why, stack))
        return local
    swarm = _make("swarm", stack)
    if not swarm.why_unavailable() and _is_up(swarm.observe().replicas):
        return swarm
    return local if has_remains and not _is_up(docker.observe().replicas) else docker


def _is_up(replicas: Iterable[Replica]) -> bool:
    """Return whether a replica is running; after a reboot, the local engine has replicas that are not."""
    return any(replica.is_running for replica in replicas)


def _make(name: str, stack: Stack) -> Engine:
    if name == "local":
        from twelfth.engines.local.engine import Local

        return Local(stack)
    if name == "swarm":
        from twelfth.engines.swarm.engine import Swarm

        return Swarm(stack)
    from twelfth.engines.docker.engine import Docker

    return Docker(stack)
