"""Runs on the nodes of a Swarm: plain containers, made from the same specification as the service's tasks.

Swarm's own jobs may run twice (https://github.com/moby/moby/issues/53632). A container is started by one call to one
daemon: once, or not at all. The node of each run is recorded in the Swarm before the start, so that a run on a lost
node is reported as lost.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.engines.contract import Runs
from twelfth.engines.docker_api.config_files import ConfigFiles
from twelfth.engines.docker_api.run_record import STARTED_WITHIN
from twelfth.engines.docker_api.runs import DockerRuns
from twelfth.engines.docker_api.state_volume import StateVolume
from twelfth.engines.swarm import config_files, registry, service_spec
from twelfth.engines.swarm.run_locations import Notes
from twelfth.errors import EngineError, TwelfthError
from twelfth.model.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    import docker

    from twelfth.engines.contract import Say, Session
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.docker_api.file_archive import File
    from twelfth.engines.swarm.nodes import Nodes
    from twelfth.model.run import RunRequest
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack

    Inspect = Callable[[docker.APIClient, Replica], Body]


class NodeRuns(DockerRuns):
    """The one-off containers of one project on one node's daemon."""

    def __init__(self, api: docker.APIClient, manager: docker.APIClient, stack: Stack, inspect: Inspect) -> None:
        super().__init__(api, stack, ConfigFiles(StateVolume(api, stack.project)))
        self.manager, self._inspect = manager, inspect

    def _inspected_runs(self, listed: Iterable[Body]) -> tuple[Run, ...]:
        return tuple(replace(run, engine="swarm") for run in super()._inspected_runs(listed))

    def _name_as_stopped(self, run: Body) -> None:
        """Do nothing: a container on an overlay network cannot be renamed, so the run's note is marked instead."""

    def _inspected(self, replica: Replica) -> Body:
        if replica.id:
            return self._inspect(self.api, replica)
        template = super()._inspected(replica)
        host = template["HostConfig"]
        mounts = list(map(self._mount, host["Mounts"]))
        return template | {"HostConfig": host | {"Mounts": mounts}}

    def _image(self, name: str) -> Body | None:
        """Return an image, which a node pulls by its digest if it does not have it."""
        return registry.pulled(self.api, name) or None

    def _mount(self, mount: Body) -> Body:
        return service_spec.volume(self.stack, mount)

    def _unmounted(self, replica: Replica, worker: Body) -> dict[str, File]:
        """Return the files of a task's configuration objects, by target."""
        if replica.id:
            return config_files.referred(self.manager, worker.get("Configs") or [])
        return config_files.declared(self._declared(replica))


class SwarmRuns(Runs):
    """The one-off containers of one project on all reachable nodes."""

    def __init__(self, nodes: Nodes, stack: Stack, inspect: Inspect) -> None:
        self.nodes, self.stack, self._inspect = nodes, stack, inspect
        self.notes = Notes(nodes.manager, stack.project)
        self._runs: dict[str, NodeRuns] = {}

    def start(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> Session:
        """Record the run's node, and start the run there."""
        with self._noted(request) as runs:
            return runs.start(request, ready)

    def detach(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> None:
        """Record the run's node, and start the run there."""
        with self._noted(request) as runs:
            runs.detach(request, ready)

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare on the node on which the run would be started."""
        return self._on_node(self.nodes.chosen(request.node)).differences(request)

    def pin(self, replica: Replica) -> None:
        """Pin the replica for runs on the manager's node; runs on other nodes inspect it again."""
        self._on_node(self.nodes.local_id).pin(replica)

    def prune(self, keep: int, removing: Callable[[Sequence[Run]], None] = lambda _: None) -> None:
        """Remove the oldest exited containers on each reachable node, and the notes of runs without a container."""
        with contextlib.suppress(EngineError):
            reachable = self.nodes.reachable()
            for node in reachable:
                self._on_node(node).prune(keep, lambda runs: removing(self._with_notes(runs)))
            run_ids = {run_id for node in reachable for run_id in self._on_node(node).ids()}
            for note in self.notes.all():
                if note.node in reachable and note.run_id not in run_ids and note.age > STARTED_WITHIN:
                    self.notes.remove(note.run_id)

    def ids(self) -> frozenset[str]:
        """Return the ids of the runs on reachable nodes, and of those in the notes."""
        on_nodes = (self._on_node(node).ids() for node in self.nodes.reachable())
        return frozenset().union(*on_nodes, (note.run_id for note in self.notes.all()))

    def records(self, ids: Collection[str] | None = None) -> tuple[Run, ...]:
        """Return the records on reachable nodes, and those in the notes of runs on other nodes."""
        reachable = self.nodes.reachable()
        runs = self._with_notes([run for node in reachable for run in self._on_node(node).records(ids)])
        names = {run.id for run in runs}
        for note in self.notes.all():
            if note.node not in reachable and note.run_id not in names and (ids is None or note.run_id in ids):
                state = "lost" if self.nodes.is_down(note.node) else "unreachable"
                runs.append(replace(note.run, state=state))
        return tuple(sorted(runs, key=lambda run: run.started))

    def _with_notes(self, runs: Sequence[Run]) -> list[Run]:
        """Return runs with the state `stopped` if their notes are marked so."""
        stopped = {note.run_id for note in self.notes.all() if note.is_stopped} if runs else set()
        return [
            replace(run, state="stopped") if run.exit_code is not None and run.id in stopped else run for run in runs
        ]

    def output(
        self, run_id: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        return self._node_runs(run_id).output(run_id, follow=follow, last=last, since=since)

    def stop(self, run_id: str, say: Say) -> None:
        """Mark the run's note as stopped, and stop the container on its node."""
        node_runs = self._node_runs(run_id)
        self.notes.mark_stopped(run_id)
        node_runs.stop(run_id, say)

    def delete(self, run_id: str) -> None:
        """Remove the container and the note; if the run's node cannot be reached, only the note."""
        with contextlib.suppress(EngineError):
            self._node_runs(run_id).delete(run_id)
        self.notes.remove(run_id)

    def _on_node(self, node: str) -> NodeRuns:
        if node not in self._runs:
            api = self.nodes.client(node)
            if api is None:
                raise EngineError(f"the daemon of {self.nodes.name(node)} does not answer; see: docker node ls")
            self._runs[node] = NodeRuns(api, self.nodes.manager, self.stack, self._inspect)
        return self._runs[node]

    def _node_runs(self, run_id: str) -> NodeRuns:
        """Return the runs of a run's node; a run without a note was started by the docker engine, on this node."""
        return self._on_node(next((note.node for note in self.notes.all(run_id)), self.nodes.local_id))

    @contextlib.contextmanager
    def _noted(self, request: RunRequest) -> Iterator[NodeRuns]:
        """Record a run's node before the start, and remove the note if the run's container was not created."""
        node = self.nodes.chosen(request.node)
        runs = self._on_node(node)
        self.notes.add(_started(request), node)
        try:
            yield runs
        except TwelfthError:
            with contextlib.suppress(TwelfthError):  # a daemon that does not answer may have created it
                if request.id not in runs.ids():
                    self.notes.remove(request.id)
            raise


def _started(request: RunRequest) -> Run:
    return Run(
        id=request.id,
        command=request.command,
        engine="swarm",
        release=request.replica.release,
        image=request.replica.image,
        operator=request.operator,
        reason=request.reason,
        overrides=request.overrides,
        started=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        finished="",
        seconds=None,
        state="running",
        exit_code=None,
        purpose=request.purpose,
        host=request.host,
        kind=request.kind,
        what=request.what,
        job=request.job,
        trigger=request.trigger,
        notify=request.notify,
        discards_output=not request.kept,
    )
