"""Runs beside a Swarm: plain containers of one of its daemons, made from what the service's tasks are made from.

Swarm's own jobs may run twice (https://github.com/moby/moby/issues/53632). A container is started by one call to one
daemon: once, or not at all. Where each run went is noted in the Swarm before, so that one on a node which is lost is
known to be lost.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.engines.contract import Runs
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.engines.docker_api.run_record import STARTED_WITHIN
from twelfth.engines.docker_api.run_spec import RUN
from twelfth.engines.docker_api.runs import DockerRuns
from twelfth.engines.swarm import config_files, service_spec
from twelfth.engines.swarm.run_locations import Notes
from twelfth.errors import EngineError, TwelfthError
from twelfth.model.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from twelfth.engines.contract import Say, Session
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.swarm.nodes import Nodes
    from twelfth.model.run import RunRequest
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack

    Inspect = Callable[[docker.APIClient, Replica], Body]


class NodeRuns(DockerRuns):
    """The one-off containers of one project on one node's daemon."""

    def __init__(self, api: docker.APIClient, manager: docker.APIClient, stack: Stack, inspect: Inspect) -> None:
        """Take the node's client, a manager's, the stack, and how to learn what a task's container is made from."""
        super().__init__(api, stack)
        self.manager, self._inspect = manager, inspect

    def records(self) -> tuple[Run, ...]:
        """Return the one-off containers as records."""
        return tuple(replace(run, engine="swarm") for run in super().records())

    def identities(self) -> set[str]:
        """Return the ids of the runs that are kept; the list of containers alone tells them."""
        with docker_errors():
            listed = self.api.containers(all=True, filters={"label": self._labels})
        return {each["Labels"][RUN] for each in listed}

    def _name_as_stopped(self, run: Body) -> None:
        """Do nothing: a container on an overlay network cannot be renamed, so the run's note says it."""

    def _inspected(self, replica: Replica) -> Body:
        if replica.id:
            return self._inspect(self.api, replica)
        made = super()._inspected(replica)
        host = made["HostConfig"]
        return made | {
            "HostConfig": host | {"Mounts": [service_spec.volume(self.stack, each) for each in host["Mounts"]]}
        }

    def _files(self, replica: Replica, worker: Body) -> dict[str, str]:
        """Return where the node has copies of what a task has as configuration objects, or is declared to have."""
        referred = worker.get("Configs") or []
        own = (
            config_files.referred(self.manager, referred)
            if replica.id
            else config_files.declared(self._declared(replica))
        )
        return config_files.place(self.api, self.project, worker["Image"], own)


class SwarmRuns(Runs):
    """The one-off containers of one project on all nodes that can be reached."""

    def __init__(self, nodes: Nodes, stack: Stack, inspect: Inspect) -> None:
        """Take the nodes, the stack, and how to learn what a task's container is made from."""
        self.nodes, self.stack, self._inspect = nodes, stack, inspect
        self.notes = Notes(nodes.manager, stack.project)
        self._runs: dict[str, NodeRuns] = {}

    def start(self, request: RunRequest) -> Session:
        """Note where the run goes, and start it there."""
        with self._noted(request) as runs:
            return runs.start(request)

    def detach(self, request: RunRequest) -> None:
        """Note where the run goes, and start it there."""
        with self._noted(request) as runs:
            runs.detach(request)

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare on the node where it would go."""
        return self._of(self.nodes.chosen(request.node)).differences(request)

    def pin(self, replica: Replica) -> None:
        """Keep what the replica is made from now, for the runs of our own node; elsewhere tasks are asked again."""
        self._of(self.nodes.own).pin(replica)

    def prune(self, keep: int) -> None:
        """Remove the oldest containers that have ended on each node, and the notes of runs that are gone."""
        with contextlib.suppress(EngineError):
            reachable = self.nodes.reachable()
            for node in reachable:
                self._of(node).prune(keep)
            there = {identity for node in reachable for identity in self._of(node).identities()}
            for note in self.notes.all():
                if note.node in reachable and note.identity not in there and note.age > STARTED_WITHIN:
                    self.notes.remove(note.identity)

    def records(self) -> tuple[Run, ...]:
        """Return the records of the nodes that can be asked, and what was noted of runs on the others."""
        reachable = self.nodes.reachable()
        found = {run.id: run for node in reachable for run in self._of(node).records()}
        for note in self.notes.all():
            run = found.get(note.identity)
            if run and run.exit_code is not None and note.is_stopped:
                found[run.id] = replace(run, state="stopped")
            elif not run and note.node not in reachable:
                state = "lost" if self.nodes.is_down(note.node) else "unreachable"
                found[note.identity] = replace(note.run, state=state)
        return tuple(sorted(found.values(), key=lambda run: run.started))

    def output(
        self, identity: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        return self._holder(identity).output(identity, follow=follow, last=last, since=since)

    def stop(self, identity: str, say: Say) -> None:
        """Note that it was stopped, and stop the container where it is."""
        holder = self._holder(identity)
        self.notes.mark_stopped(identity)
        holder.stop(identity, say)

    def delete(self, identity: str) -> None:
        """Remove the container and the note; of a run on a node that cannot be asked, the note alone."""
        with contextlib.suppress(EngineError):
            self._holder(identity).delete(identity)
        self.notes.remove(identity)

    def _of(self, node: str) -> NodeRuns:
        if node not in self._runs:
            api = self.nodes.client(node)
            if api is None:
                raise EngineError(f"the daemon of {self.nodes.name(node)} does not answer; see: docker node ls")
            self._runs[node] = NodeRuns(api, self.nodes.manager, self.stack, self._inspect)
        return self._runs[node]

    def _holder(self, identity: str) -> NodeRuns:
        """Return the runs of the node that a run went to: our own, where the docker engine started it.

        Raises `EngineError` where that node cannot be asked.
        """
        return self._of(next((note.node for note in self.notes.all(identity)), self.nodes.own))

    @contextlib.contextmanager
    def _noted(self, request: RunRequest) -> Iterator[NodeRuns]:
        """Note where a run goes while it is started there; a note of one that was never made there is removed."""
        node = self.nodes.chosen(request.node)
        runs = self._of(node)
        self.notes.add(_started(request), node)
        try:
            yield runs
        except TwelfthError:
            with contextlib.suppress(TwelfthError):  # whoever does not answer may have it
                if request.id not in runs.identities():
                    self.notes.remove(request.id)
            raise


def _started(request: RunRequest) -> Run:
    """Return the record of a run that starts now."""
    return Run(
        id=request.id,
        command=request.command,
        engine="swarm",
        release=request.replica.release,
        image=request.replica.image,
        operator=request.operator,
        reason=request.reason,
        overrides=tuple(name for name, _ in request.environment),
        started=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        finished="",
        seconds=None,
        state="running",
        exit_code=None,
        purpose=request.purpose,
    )
