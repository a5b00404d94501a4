"""Runs as one-off containers: made from the inspected worker, kept after their end as their own record."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines.contract import Runs, waiting
from twelfth.engines.docker_api import client, config_files, identity, images, logs, mounts, run_record, run_spec
from twelfth.engines.docker_api.client import inspect_container
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.process_one import KILL_AFTER
from twelfth.engines.docker_api.session import LOST, DockerSession
from twelfth.errors import BusyError, EngineError, IdentityError, NoReleaseError, NotUpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import docker

    from twelfth.engines.contract import Say, Session
    from twelfth.engines.docker_api.config_files import File
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Service, Stack


class DockerRuns(Runs):
    """The one-off containers of one project."""

    def __init__(self, api: docker.APIClient, stack: Stack) -> None:
        """Take the connected client and the stack."""
        self.api, self.stack, self.project = api, stack, stack.project
        self._pinned: dict[str, Body] = {}

    def start(self, request: RunRequest) -> Session:
        """Create a container like the worker's, compare the two, attach, start; an unanswered start is not repeated."""
        run_spec.refuse_bytes(request)
        with self._created(request) as created:
            limited = request.timeout is not None
            session = DockerSession(
                self.api, created, tty=request.tty, interactive=request.interactive, limited=limited
            )
            try:
                self._start(created)
            except BaseException:
                session.close()
                raise
        return session

    def pin(self, replica: Replica) -> None:
        """Inspect the replica's container, and keep the answer, and its configuration files as they are now."""
        with docker_errors():
            self._pinned[replica.id] = self._source(replica)

    def detach(self, request: RunRequest) -> None:
        """Create, compare, start."""
        run_spec.refuse_bytes(request)
        with self._created(request) as created:
            self._start(created)

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the worker with what would be asked of the engine."""
        with docker_errors():
            worker = self._worker(request.replica)
        return identity.differences(worker, run_spec.planned(worker, request), request)

    def prune(self, keep: int) -> None:
        """Remove the oldest containers that have ended; the list alone tells which."""
        wanted = {"label": self._labels, "status": ["exited", "dead", "created"]}
        with contextlib.suppress(EngineError, BusyError), docker_errors():  # the run's own end is what counts
            listed = self.api.containers(all=True, filters=wanted)
            for each in run_record.prunable(listed, keep, time.time()):
                with contextlib.suppress(APIError):  # somebody else prunes, too
                    self.api.remove_container(each["Id"], v=True)

    def records(self) -> tuple[Run, ...]:
        """Return the one-off containers as records."""
        with docker_errors():
            listed = self.api.containers(all=True, filters={"label": self._labels})
            found = [one for each in listed if (one := inspect_container(self.api, each["Id"]))]
        return tuple(sorted(map(run_record.record, found), key=lambda run: run.started))

    def output(
        self, identity: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        with docker_errors():
            yield from logs.output(self.api, self._container(identity), follow=follow, last=last, since=since)

    def stop(self, identity: str, say: Say) -> None:
        """Rename the container, which tells that it was stopped, and stop it; others may do so at the same time."""
        with docker_errors(), gone_is_fine():
            run = self.api.inspect_container(self._container(identity))
            if run["State"]["Running"]:
                self._name_as_stopped(run)
                grace = run["Config"].get("StopTimeout") or KILL_AFTER
                say(waiting(identity, grace))
                self.api.stop(run["Id"], timeout=grace)

    def delete(self, identity: str) -> None:
        """Remove the container."""
        with docker_errors(), gone_is_fine():
            self.api.remove_container(self._container(identity), v=True)

    @contextlib.contextmanager
    def _created(self, request: RunRequest) -> Iterator[str]:
        """Create the container of a run for a while; it is removed if it cannot be started."""
        with docker_errors():
            worker = self._source(request.replica)
            networks, others = client.split_networks(self.api, run_spec.endpoints(worker))
            body = run_spec.body(worker, request) | networks
            created = self.api.create_container_from_config(body, f"{self.project}-run-{request.id}")["Id"]
            try:
                client.join_networks(self.api, created, others)
                self._refuse_differences(worker, created, request)
                yield created
            except BaseException:
                self._remove_unstarted(created)
                raise

    def _start(self, created: str) -> None:
        """Start a container; where no answer comes, it may run all the same."""
        with docker_errors(gone=LOST):
            self.api.start(created)

    def _remove_unstarted(self, created: str) -> None:
        """Remove a container that was not started; one that was goes on to its end, and is its own record."""
        with contextlib.suppress(EngineError, BusyError), docker_errors():
            found = inspect_container(self.api, created)
            if found and found["State"]["Status"] == "created":
                self.api.remove_container(created, v=True)  # not by force: it may be started at this moment

    def _worker(self, replica: Replica) -> Body:
        """Return the pinned worker, else the inspected one, or what one of a built release would be."""
        return self._pinned.get(replica.id) or self._inspected(replica)

    def _inspected(self, replica: Replica) -> Body:
        if replica.id:
            if worker := inspect_container(self.api, replica.id):
                return worker
            raise NotUpError(f"{replica.name} is gone; repeat the command")
        service = self._declared(replica)
        if image := images.inspect(self.api, replica.image):
            return run_spec.template(self.stack, service, image)
        raise NoReleaseError(f"release {replica.release} is not here; see: invoke releases")

    def _source(self, replica: Replica) -> Body:
        """Return the worker as runs are made from it: its configuration files are theirs, and change no more."""
        if replica.id in self._pinned:
            return self._pinned[replica.id]
        worker = self._inspected(replica)
        return mounts.with_files(worker, self._files(replica, worker))

    def _files(self, replica: Replica, worker: Body) -> dict[str, str]:
        """Return where the daemon has the configuration files of a run, by target."""
        found = self._held(replica, worker) if replica.id else config_files.declared(self._declared(replica))
        return config_files.for_runs(self.stack, replica.service, found)

    def _held(self, replica: Replica, worker: Body) -> dict[str, File]:
        """Return the configuration files of a container, including those that Compose copied into it."""
        with docker_errors():
            copied = config_files.copied(self.api, worker, self.stack.inline_files(replica.service))
        return config_files.held(worker) | copied

    def _declared(self, replica: Replica) -> Service:
        """Return the service that a replica which does not run would be of."""
        if service := self.stack.service(replica.service):
            return service
        raise NotUpError(f"{replica.service} is not declared any more; see: invoke config")

    def _refuse_differences(self, worker: Body, created: str, request: RunRequest) -> None:
        run = self.api.inspect_container(created)
        if unasked := identity.unasked(worker, run, request):
            names = ", ".join(unasked)
            raise IdentityError(f"the run would differ from {request.replica.name} in {names}; nothing was started")

    @property
    def _labels(self) -> list[str]:
        return [f"{COMPOSE}project={self.project}", run_spec.RUN]

    def _container(self, identity: str) -> str:
        """Return the id of a run's container, whose name may change at any time; its name where it is not there."""
        found = self.api.containers(all=True, filters={"label": [f"{run_spec.RUN}={identity}"]})
        return str(found[0]["Id"]) if found else f"{self.project}-run-{identity}"

    def _name_as_stopped(self, run: Body) -> None:
        """Give a container the name of a stopped run; it has it already where two stop it at once."""
        name = run["Name"].removeprefix("/").removesuffix(run_record.STOPPED) + run_record.STOPPED
        try:
            self.api.rename(run["Id"], name)
        except APIError:
            if self.api.inspect_container(run["Id"])["Name"] != f"/{name}":
                raise
