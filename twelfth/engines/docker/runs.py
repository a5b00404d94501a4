"""Runs as one-off containers: made from the inspected worker, kept after their end as their own record."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from twelfth.engines.contract import Runs, waiting
from twelfth.engines.docker import logs, pause, reaper, recipe, run_container
from twelfth.engines.docker.errors import docker_errors, gone_is_fine, is_refusal
from twelfth.engines.docker.session import LOST, ContainerSession
from twelfth.errors import BusyError, EngineError, IdentityError, NotUpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from twelfth.engines.contract import Say, Session
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack


class ContainerRuns(Runs):
    """The one-off containers of one project."""

    def __init__(self, api: docker.APIClient, stack: Stack) -> None:
        """Take the connected client and the stack."""
        self.api, self.stack, self.project = api, stack, stack.project

    def start(self, request: RunRequest) -> Session:
        """Create a container as the worker's, compare the two, attach, start.

        It joins a held network namespace where the worker runs: somebody waits for it. Where that is refused, as when
        the holder has just gone, it has interfaces of its own. A start that was not answered is not repeated.
        """
        with docker_errors():
            held = (
                pause.find_or_make(self.api, self.project, self._worker(request.replica)) if request.replica.id else ""
            )
        if not held:
            return self._begin(request)
        try:
            return self._begin(request, held)
        except (EngineError, BusyError) as error:
            if not is_refusal(error):
                raise
            return self._begin(request)
        finally:
            reaper.leave_behind(self.stack)

    def detach(self, request: RunRequest) -> None:
        """Create, compare, start; with interfaces of its own, which depend on nothing, however long it takes."""
        with self._created(request) as created:
            self._start(created)

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the worker with what would be asked of the engine."""
        with docker_errors():
            worker = self._worker(request.replica)
        return run_container.unlike(worker, run_container.planned(worker, request), request)

    def prune(self, keep: int) -> None:
        """Remove the oldest containers that have ended; the list alone tells which."""
        wanted = {"label": self._labels, "status": ["exited", "dead", "created"]}
        found: list[recipe.Body] = []
        with contextlib.suppress(EngineError, BusyError), docker_errors():  # the run's own end is what counts
            found = self.api.containers(all=True, filters=wanted)
        for each in run_container.prunable(found, keep, time.time()):
            with contextlib.suppress(EngineError, BusyError), docker_errors():  # somebody else makes room, too
                self.api.remove_container(each["Id"], v=True)

    def records(self) -> tuple[Run, ...]:
        """Return the one-off containers as records."""
        with docker_errors():
            wanted = {"label": self._labels}
            found = [inspected(self.api, each["Id"]) for each in self.api.containers(all=True, filters=wanted)]
        return tuple(sorted((run_container.record(one) for one in found if one), key=lambda run: run.started))

    def output(self, identity: str, *, follow: bool) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        with docker_errors():
            yield from logs.printed(self.api, self._container(identity), follow=follow)

    def stop(self, identity: str, say: Say) -> None:
        """Rename the container, which tells that it was stopped, and stop it; others may do so at the same time."""
        with docker_errors(), gone_is_fine():
            run = self.api.inspect_container(self._container(identity))
            if run["State"]["Running"]:
                self._call_stopped(run)
                grace = run["Config"].get("StopTimeout") or run_container.KILL_AFTER
                say(waiting(identity, grace))
                self.api.stop(run["Id"], timeout=grace)

    def delete(self, identity: str) -> None:
        """Remove the container."""
        with docker_errors(), gone_is_fine():
            self.api.remove_container(self._container(identity), v=True)

    def _begin(self, request: RunRequest, held: str = "") -> Session:
        with self._created(request, held) as created:
            session = ContainerSession(self.api, created, tty=request.tty, interactive=request.interactive)
            try:
                self._start(created)
            except BaseException:
                session.close()
                raise
        return session

    @contextlib.contextmanager
    def _created(self, request: RunRequest, held: str = "") -> Iterator[str]:
        """Create the container of a run for a while; it is removed where it cannot be started."""
        with docker_errors():
            worker = self._worker(request.replica)
            body = run_container.body(worker, request)
            if held:
                body = pause.joined(body, held)
            created = self.api.create_container_from_config(body, f"{self.project}-run-{request.id}")["Id"]
            try:
                for network in [] if held else run_container.networks(worker)[1:]:
                    self.api.connect_container_to_network(created, network)
                self._refuse_unlike(worker, created, request, held)
                yield created
            except BaseException:
                self._withdraw(created)
                raise

    def _start(self, created: str) -> None:
        """Start a container; where no answer comes, it may run all the same."""
        with docker_errors(gone=LOST):
            self.api.start(created)

    def _withdraw(self, created: str) -> None:
        """Remove a container that was not started; one that was goes on to its end, and is its own record."""
        with contextlib.suppress(EngineError, BusyError), docker_errors():
            found = inspected(self.api, created)
            if found and found["State"]["Status"] == "created":
                self.api.remove_container(created, v=True)  # not by force: it may be started at this moment

    def _worker(self, replica: Replica) -> recipe.Body:
        """Return the inspected worker, or what one of a built release would be."""
        if replica.id:
            if worker := inspected(self.api, replica.id):
                return worker
            raise NotUpError(f"{replica.name} is gone; repeat the command")
        service = self.stack.service(replica.service)
        with gone_is_fine():
            image = self.api.inspect_image(replica.image)
            return run_container.template(self.stack, service, image) if service else {}
        raise NotUpError(f"release {replica.release} is not built here; see: invoke build")

    def _refuse_unlike(self, worker: recipe.Body, created: str, request: RunRequest, held: str) -> None:
        run = self.api.inspect_container(created)
        if held:
            run = pause.seen_through(run, self._held(held))
        if unasked := run_container.unasked(worker, run, request):
            names = ", ".join(unasked)
            raise IdentityError(f"the run would differ from {request.replica.name} in {names}; nothing was started")

    def _held(self, identity: str) -> recipe.Body:
        """Return the inspected holder that a run is to join; raises `NotFound` where it is about to go."""
        from docker.errors import NotFound

        found: recipe.Body = self.api.inspect_container(identity)
        if pause.is_leaving(found["Name"]) or not found["State"]["Running"]:
            raise NotFound(f"the holder {identity[:12]} has gone")
        return found

    @property
    def _labels(self) -> list[str]:
        return [f"{recipe.COMPOSE}project={self.project}", run_container.RUN]

    def _container(self, identity: str) -> str:
        """Return the id of a run's container, whose name may change at any time; its name where it is not there."""
        found = self.api.containers(all=True, filters={"label": [f"{run_container.RUN}={identity}"]})
        return str(found[0]["Id"]) if found else f"{self.project}-run-{identity}"

    def _call_stopped(self, run: recipe.Body) -> None:
        """Give a container the name of a stopped run; it has it already where two stop it at once."""
        from docker.errors import APIError

        name = run["Name"].removeprefix("/").removesuffix(run_container.STOPPED) + run_container.STOPPED
        try:
            self.api.rename(run["Id"], name)
        except APIError:
            if self.api.inspect_container(run["Id"])["Name"] != f"/{name}":
                raise


def inspected(api: docker.APIClient, identity: str) -> recipe.Body | None:
    """Return what the daemon says of a container, None where it is gone."""
    with gone_is_fine():
        answer: recipe.Body = api.inspect_container(identity)
        return answer
    return None
