"""The runs of the Docker engines: one-off containers, made from the inspected worker, and kept as the record."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines.contract import Runs, waiting
from twelfth.engines.docker_api import (
    client,
    config_files,
    identity,
    images,
    logs,
    mounts,
    namespaces,
    run_changes,
    run_record,
    run_spec,
)
from twelfth.engines.docker_api.client import inspect_container
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.process_one import KILL_AFTER
from twelfth.engines.docker_api.session import LOST, DockerSession
from twelfth.errors import BusyError, EngineError, IdentityError, NoReleaseError, NotUpError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    import docker

    from twelfth.engines.contract import Say, Session
    from twelfth.engines.docker_api.config_files import ConfigFiles
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.docker_api.file_archive import File
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack


class DockerRuns(Runs):
    """The one-off containers of one project."""

    def __init__(self, api: docker.APIClient, stack: Stack, config: ConfigFiles) -> None:
        self.api, self.stack, self.project, self.config = api, stack, stack.project, config
        self._pinned: dict[str, Body] = {}

    def start(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> Session:
        """Create a container like the worker's, compare them, attach and start; an unanswered start is not repeated."""
        run_spec.refuse_bytes(request)
        with self._created(request) as created:
            limited = request.timeout is not None
            session = DockerSession(
                self.api, created, tty=request.tty, interactive=request.interactive, limited=limited
            )
            try:
                ready()
                self._start(created)
            except BaseException:
                session.close()
                raise
        return session

    def pin(self, replica: Replica) -> None:
        """Remember the replica's inspected container and its current configuration files."""
        with docker_errors():
            self._pinned[replica.identity] = self._with_files(replica)

    def detach(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> None:
        """Create the run's container, compare it with the worker's, and start it."""
        run_spec.refuse_bytes(request)
        with self._created(request) as created:
            ready()
            self._start(created)

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the worker with the planned container, without creating it."""
        with docker_errors():
            worker = self._worker(request.replica)
            changed = self._changed(worker, request)
        others = identity.differences(changed, run_spec.planned(changed, request), request)
        return tuple(dict.fromkeys((*run_changes.names(self.stack, worker, request.changes), *others)))

    def prune(self, keep: int, removing: Callable[[Sequence[Run]], None] = lambda _: None) -> None:
        """Remove the oldest containers that have exited."""
        filters = {"label": self._labels, "status": ["exited", "dead", "created"]}
        with contextlib.suppress(EngineError, BusyError), docker_errors():  # must not change the run's exit code
            listed = run_record.prunable(self.api.containers(all=True, filters=filters), keep, time.time())
            removing(self._inspected_runs(listed))
            for container in listed:
                with contextlib.suppress(APIError):  # another process prunes, too
                    self.api.remove_container(container["Id"], v=True)

    def ids(self) -> frozenset[str]:
        """Return the ids of the runs with a container."""
        with docker_errors():
            return frozenset(container["Labels"][run_spec.RUN] for container in self._listed())

    def records(self, ids: Collection[str] | None = None) -> tuple[Run, ...]:
        """Return the one-off containers as records."""
        if ids is not None and not ids:
            return ()
        with docker_errors():
            listed = self._listed(*ids) if ids and len(ids) == 1 else self._listed()
            return self._inspected_runs(
                container for container in listed if ids is None or container["Labels"][run_spec.RUN] in ids
            )

    def _listed(self, *run_id: str) -> list[Body]:
        labels = [*self._labels, *(f"{run_spec.RUN}={name}" for name in run_id)]
        listed: list[Body] = self.api.containers(all=True, filters={"label": labels})
        return listed

    def _inspected_runs(self, listed: Iterable[Body]) -> tuple[Run, ...]:
        return run_record.records(client.inspect_containers(self.api, listed))

    def output(
        self, run_id: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        with docker_errors():
            yield from logs.output(self.api, self._container(run_id), follow=follow, last=last, since=since)

    def stop(self, run_id: str, say: Say) -> None:
        """Rename the container to record that it was stopped, and stop it; another process may do so, too."""
        with docker_errors(), gone_is_fine():
            run = self.api.inspect_container(self._container(run_id))
            if run["State"]["Running"]:
                self._name_as_stopped(run)
                grace = run["Config"].get("StopTimeout") or KILL_AFTER
                say(waiting(run_id, grace))
                self.api.stop(run["Id"], timeout=grace)

    def delete(self, run_id: str) -> None:
        """Remove the container."""
        with docker_errors(), gone_is_fine():
            self.api.remove_container(self._container(run_id), v=True)

    @contextlib.contextmanager
    def _created(self, request: RunRequest) -> Iterator[str]:
        """Create the container of a run; it is removed if the caller cannot start it."""
        with docker_errors():
            worker = self._with_declared_files(self._changed(self._with_files(request.replica), request), request)
            networks, others = client.split_networks(self.api, run_spec.endpoints(worker, request))
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
        """Start a container; without an answer of the daemon, it may still have started."""
        with docker_errors(gone=LOST):
            self.api.start(created)

    def _remove_unstarted(self, created: str) -> None:
        """Remove a container unless it was started; a started one keeps running and is the run's record."""
        with contextlib.suppress(EngineError, BusyError), docker_errors():
            container = inspect_container(self.api, created)
            if container and container["State"]["Status"] == "created":
                self.api.remove_container(created, v=True)  # without force: it may just be starting

    def _worker(self, replica: Replica) -> Body:
        return self._pinned.get(replica.identity) or self._inspected(replica)

    def _inspected(self, replica: Replica) -> Body:
        if replica.id:
            if worker := inspect_container(self.api, replica.id):
                return mounts.without_hidden_volume(worker)
            raise NotUpError(f"{replica.name} is gone; repeat the command")
        service = self._declared(replica)
        if image := self._image(replica.image):
            return run_spec.template(self.stack, service, image)
        if replica.release:
            raise NoReleaseError(f"release {replica.release} does not exist; see: invoke releases")
        raise NotUpError(f"the image {replica.image} of {replica.service} was removed. Try: invoke up")

    def _with_files(self, replica: Replica) -> Body:
        """Return the worker with configuration files that a later deploy does not change."""
        if pinned := self._pinned.get(replica.identity):
            return pinned
        worker = self._inspected(replica)
        return mounts.with_files(worker, self._files(replica, worker))

    def _image(self, name: str) -> Body | None:
        return images.inspect(self.api, name)

    def _changed(self, worker: Body, request: RunRequest) -> Body:
        """Return the worker with what the request's job or hook declares, except for configuration files."""
        changed = run_changes.changed(self.stack, worker, request.changes, self._mount)
        return changed | {"HostConfig": namespaces.resolved(self.api, self.project, changed["HostConfig"])}

    def _with_declared_files(self, worker: Body, request: RunRequest) -> Body:
        files = config_files.declared(request.changes.container) if request.changes else {}
        if not files:
            return worker
        version = self.config.place(request.replica.service, files)
        return mounts.with_files(worker, self.config.mounts(version.directory, files))

    def _mount(self, mount: Body) -> Body:
        """Return a mount of a declared volume as this daemon needs it."""
        return mount

    def _files(self, replica: Replica, worker: Body) -> list[Body]:
        """Return the mounts of configuration files that replace those of the worker."""
        if files := self._unmounted(replica, worker):
            version = self.config.place(replica.service, files)
            return self.config.mounts(version.directory, files)
        return self.config.mounts_of_run(worker)

    def _unmounted(self, replica: Replica, worker: Body) -> dict[str, File]:
        """Return the configuration files that the worker does not mount: Compose copied them, or there is no worker."""
        if replica.id:
            return config_files.copied(self.api, worker, self.stack.inline_files(replica.service))
        return config_files.declared(self._declared(replica))

    def _declared(self, replica: Replica) -> Service:
        if service := self.stack.service(replica.service):
            return service
        if job := self.stack.job(replica.service):
            return job.changes.container
        raise NotUpError(f"{replica.service} is no longer declared; see: invoke config")

    def _refuse_differences(self, worker: Body, created: str, request: RunRequest) -> None:
        run = self.api.inspect_container(created)
        if unrequested := identity.unrequested(worker, run, request):
            names = ", ".join(unrequested)
            raise IdentityError(f"the run would differ from {request.replica.name} in {names}; nothing was started")

    @property
    def _labels(self) -> list[str]:
        return [f"{COMPOSE}project={self.project}", run_spec.RUN]

    def _container(self, run_id: str) -> str:
        """Return the id of a run's container, whose name can change, or its original name if it is gone."""
        listed = self._listed(run_id)
        return str(listed[0]["Id"]) if listed else f"{self.project}-run-{run_id}"

    def _name_as_stopped(self, run: Body) -> None:
        """Give a container the name of a stopped run, unless another process has just done so."""
        name = run["Name"].removeprefix("/").removesuffix(run_record.STOPPED) + run_record.STOPPED
        try:
            self.api.rename(run["Id"], name)
        except APIError:
            if self.api.inspect_container(run["Id"])["Name"] != f"/{name}":
                raise
