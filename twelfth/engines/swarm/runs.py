"""Runs beside a Swarm: plain containers of one of its daemons, made from what the service's tasks are made from.

Swarm's own jobs may run twice (https://github.com/moby/moby/issues/53632). A container is started by one call to one
daemon: once, or not at all. Where each run went is noted in the Swarm before, so that one on a node which is lost is
known to be lost.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.engines.contract import Runs
from twelfth.engines.docker import client, images
from twelfth.engines.docker.errors import docker_errors, gone_is_fine
from twelfth.engines.docker.replica import COMPOSE
from twelfth.engines.docker.run_container import RUN
from twelfth.engines.docker.run_record import STARTED_WITHIN
from twelfth.engines.docker.runs import DockerRuns
from twelfth.engines.swarm import files
from twelfth.errors import EngineError, IdentityError, NotUpError
from twelfth.model.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from twelfth.engines.contract import Say, Session
    from twelfth.engines.docker.replica import Body
    from twelfth.engines.swarm.nodes import Nodes
    from twelfth.model.run import RunRequest
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack

    Inspect = Callable[[docker.APIClient, Replica], Body]


STOPPED = f"{RUN}.stopped"
"""Label of the note of a run that an operator stopped."""


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
        return self._inspect(self.api, replica) if replica.id else super()._inspected(replica)

    def _files(self, replica: Replica, worker: Body) -> dict[str, str]:
        """Return where the node has copies of what a task has as configuration objects, or is declared to have."""
        service = None if replica.id else self.stack.service(replica.service)
        own = files.declared(service) if service else files.referred(self.manager, worker.get("Configs") or [])
        return files.place(self.api, self.project, worker["Image"], own)


class SwarmRuns(Runs):
    """The one-off containers of one project on all nodes that can be reached."""

    def __init__(self, nodes: Nodes, stack: Stack, inspect: Inspect) -> None:
        """Take the nodes, the stack, and how to learn what a task's container is made from."""
        self.nodes, self.stack, self._inspect = nodes, stack, inspect
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
            for note in self._notes():
                if _node(note) in reachable and _identity(note) not in there and _age(note) > STARTED_WITHIN:
                    self._remove_note(note)

    def records(self) -> tuple[Run, ...]:
        """Return the records of the nodes that can be asked, and what was noted of runs on the others."""
        reachable = self.nodes.reachable()
        found = {run.id: run for node in reachable for run in self._of(node).records()}
        for note in self._notes():
            run = found.get(_identity(note))
            if run and run.exit_code is not None and STOPPED in note["Spec"]["Labels"]:
                found[run.id] = replace(run, state="stopped")
            elif not run and _node(note) not in reachable:
                state = "lost" if self.nodes.is_down(_node(note)) else "unreachable"
                found[_identity(note)] = replace(_run(note), state=state)
        return tuple(sorted(found.values(), key=lambda run: run.started))

    def output(
        self, identity: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        return self._holder(identity).output(identity, follow=follow, last=last, since=since)

    def stop(self, identity: str, say: Say) -> None:
        """Note that it was stopped, and stop the container where it is."""
        holder = self._holder(identity)
        for note in self._notes(identity):
            if STOPPED not in note["Spec"]["Labels"]:
                self._label(note, STOPPED)
        holder.stop(identity, say)

    def _label(self, note: Body, label: str) -> None:
        """Add a label to a note; the SDK has no call for that."""
        changed = note["Spec"] | {"Labels": note["Spec"]["Labels"] | {label: ""}}
        with docker_errors():
            wanted = {"version": note["Version"]["Index"]}
            client.post(self.nodes.manager, f"/configs/{note['ID']}/update", changed, wanted)

    def delete(self, identity: str) -> None:
        """Remove the container and the note; of a run on a node that cannot be asked, the note alone."""
        with contextlib.suppress(EngineError):
            self._holder(identity).delete(identity)
        for note in self._notes(identity):
            self._remove_note(note)

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
        return self._of(next(map(_node, self._notes(identity)), self.nodes.own))

    @contextlib.contextmanager
    def _noted(self, request: RunRequest) -> Iterator[NodeRuns]:
        """Note where a run goes while it is started there; a note of one that was refused before is removed."""
        node = self.nodes.chosen(request.node)
        runs, replica = self._of(node), request.replica
        run = Run(
            id=request.id,
            command=request.command,
            engine="swarm",
            release=replica.release,
            image=replica.image,
            operator=request.operator,
            reason=request.reason,
            overrides=tuple(name for name, _ in request.environment),
            started=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            finished="",
            seconds=None,
            state="running",
            exit_code=None,
        )
        labels = {RUN: request.id, f"{COMPOSE}project": self.stack.project, f"{RUN}.node": node}
        with docker_errors():
            name = f"{self.stack.project}-run-{request.id}"
            self.nodes.manager.create_config(name, json.dumps(asdict(run)).encode(), labels)
        try:
            yield runs
        except (IdentityError, NotUpError):
            for note in self._notes(request.id):
                self._remove_note(note)
            raise

    def _notes(self, identity: str = "") -> list[Body]:
        """Return the notes of all runs, the oldest first, or that of one."""
        with docker_errors():
            wanted = {"label": [f"{RUN}={identity}" if identity else RUN, f"{COMPOSE}project={self.stack.project}"]}
            found: list[Body] = self.nodes.manager.configs(filters=wanted)
        return sorted(found, key=lambda note: str(note["CreatedAt"]))

    def _remove_note(self, note: Body) -> None:
        with docker_errors(), gone_is_fine():
            self.nodes.manager.remove_config(note["ID"])


def _identity(note: Body) -> str:
    return str(note["Spec"]["Labels"][RUN])


def _age(note: Body) -> float:
    return time.time() - datetime.fromisoformat(note["CreatedAt"]).timestamp()


def _node(note: Body) -> str:
    return str(note["Spec"]["Labels"][f"{RUN}.node"])


def _run(note: Body) -> Run:
    values = json.loads(base64.b64decode(note["Spec"]["Data"]))
    return Run(**values | {"command": tuple(values["command"]), "overrides": tuple(values["overrides"])})


def pulled(api: docker.APIClient, image: str) -> Body:
    """Return an image as its daemon inspects it, pulled where it is not there: by its digest it can be no other."""
    if found := images.inspect(api, image):
        return found
    if "@" in image:
        for _ in images.pull(api, image):
            pass
    return images.inspect(api, image) or {}
