"""Runs as one-off containers: made from the inspected worker, kept after their end as their own record."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from stack.engines import container, docker_log, holder, one_off, reaper
from stack.engines.base import Runs, waiting
from stack.engines.docker_session import LOST, ContainerSession
from stack.engines.told import gone_is_fine, is_refusal, told
from stack.errors import BusyError, EngineError, IdentityError, NotUpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from stack.engines.base import Say, Session
    from stack.model import Order, Run, Running, Stack


class ContainerRuns(Runs):
    """The one-off containers of one project."""

    def __init__(self, api: docker.APIClient, stack: Stack) -> None:
        """Take the connected client and the stack."""
        self.api, self.stack, self.project = api, stack, stack.project

    def begin(self, order: Order) -> Session:
        """Create a container as the worker's, compare the two, attach, start.

        It joins a held network namespace where the worker runs: somebody waits for it. Where that is refused, as when
        the holder has just gone, it has interfaces of its own. A start that was not answered is not repeated.
        """
        with told():
            held = holder.find_or_make(self.api, self.project, self._worker(order.replica)) if order.replica.id else ""
        if not held:
            return self._begin(order)
        try:
            return self._begin(order, held)
        except (EngineError, BusyError) as error:
            if not is_refusal(error):
                raise
            return self._begin(order)
        finally:
            reaper.leave_behind(self.stack)

    def detach(self, order: Order) -> None:
        """Create, compare, start; with interfaces of its own, which depend on nothing, however long it takes."""
        with self._created(order) as created:
            self._start(created)

    def unlike(self, order: Order) -> tuple[str, ...]:
        """Compare the worker with what would be asked of the engine."""
        with told():
            worker = self._worker(order.replica)
        return one_off.unlike(worker, one_off.planned(worker, order), order)

    def make_room(self, keep: int) -> None:
        """Remove the oldest containers that have ended; the list alone tells which."""
        wanted = {"label": self._labels, "status": ["exited", "dead", "created"]}
        found: list[container.Body] = []
        with contextlib.suppress(EngineError, BusyError), told():  # the run's own end is what counts
            found = self.api.containers(all=True, filters=wanted)
        for each in one_off.superfluous(found, keep, time.time()):
            with contextlib.suppress(EngineError, BusyError), told():  # somebody else makes room, too
                self.api.remove_container(each["Id"], v=True)

    def records(self) -> tuple[Run, ...]:
        """Return the one-off containers as records."""
        with told():
            wanted = {"label": self._labels}
            found = [inspected(self.api, each["Id"]) for each in self.api.containers(all=True, filters=wanted)]
        return tuple(sorted((one_off.record(one) for one in found if one), key=lambda run: run.started))

    def printed(self, identity: str, *, follow: bool) -> Iterator[tuple[int, bytes]]:
        """Yield the container's log."""
        with told():
            yield from docker_log.printed(self.api, self._container(identity), follow=follow)

    def stop(self, identity: str, say: Say) -> None:
        """Rename the container, which tells that it was stopped, and stop it; others may do so at the same time."""
        with told(), gone_is_fine():
            run = self.api.inspect_container(self._container(identity))
            if run["State"]["Running"]:
                self._call_stopped(run)
                grace = run["Config"].get("StopTimeout") or one_off.KILL_AFTER
                say(waiting(identity, grace))
                self.api.stop(run["Id"], timeout=grace)

    def forget(self, identity: str) -> None:
        """Remove the container."""
        with told(), gone_is_fine():
            self.api.remove_container(self._container(identity), v=True)

    def _begin(self, order: Order, held: str = "") -> Session:
        with self._created(order, held) as created:
            session = ContainerSession(self.api, created, tty=order.tty, interactive=order.interactive)
            try:
                self._start(created)
            except BaseException:
                session.close()
                raise
        return session

    @contextlib.contextmanager
    def _created(self, order: Order, held: str = "") -> Iterator[str]:
        """Create the container of a run for a while; it is removed where it cannot be started."""
        with told():
            worker = self._worker(order.replica)
            body = one_off.body(worker, order)
            if held:
                body = holder.joined(body, held)
            created = self.api.create_container_from_config(body, f"{self.project}-run-{order.id}")["Id"]
            try:
                for network in [] if held else one_off.networks(worker)[1:]:
                    self.api.connect_container_to_network(created, network)
                self._refuse_unlike(worker, created, order, held)
                yield created
            except BaseException:
                self._withdraw(created)
                raise

    def _start(self, created: str) -> None:
        """Start a container; where no answer comes, it may run all the same."""
        with told(gone=LOST):
            self.api.start(created)

    def _withdraw(self, created: str) -> None:
        """Remove a container that was not started; one that was goes on to its end, and is its own record."""
        with contextlib.suppress(EngineError, BusyError), told():
            found = inspected(self.api, created)
            if found and found["State"]["Status"] == "created":
                self.api.remove_container(created, v=True)  # not by force: it may be started at this moment

    def _worker(self, replica: Running) -> container.Body:
        """Return the inspected worker, or what one of a built release would be."""
        if replica.id:
            if worker := inspected(self.api, replica.id):
                return worker
            raise NotUpError(f"{replica.name} is gone; repeat the command")
        service = self.stack.service(replica.service)
        with gone_is_fine():
            image = self.api.inspect_image(replica.image)
            return one_off.template(self.stack, service, image) if service else {}
        raise NotUpError(f"release {replica.release} is not built here; see: invoke build")

    def _refuse_unlike(self, worker: container.Body, created: str, order: Order, held: str) -> None:
        run = self.api.inspect_container(created)
        if held:
            run = holder.seen_through(run, self._held(held))
        if unasked := one_off.unasked(worker, run, order):
            names = ", ".join(unasked)
            raise IdentityError(f"the run would differ from {order.replica.name} in {names}; nothing was started")

    def _held(self, identity: str) -> container.Body:
        """Return the inspected holder that a run is to join; raises `NotFound` where it is about to go."""
        from docker.errors import NotFound

        found: container.Body = self.api.inspect_container(identity)
        if holder.is_leaving(found["Name"]) or not found["State"]["Running"]:
            raise NotFound(f"the holder {identity[:12]} has gone")
        return found

    @property
    def _labels(self) -> list[str]:
        return [f"{container.COMPOSE}project={self.project}", one_off.RUN]

    def _container(self, identity: str) -> str:
        """Return the id of a run's container, whose name may change at any time; its name where it is not there."""
        found = self.api.containers(all=True, filters={"label": [f"{one_off.RUN}={identity}"]})
        return str(found[0]["Id"]) if found else f"{self.project}-run-{identity}"

    def _call_stopped(self, run: container.Body) -> None:
        """Give a container the name of a stopped run; it has it already where two stop it at once."""
        from docker.errors import APIError

        name = run["Name"].removeprefix("/").removesuffix(one_off.STOPPED) + one_off.STOPPED
        try:
            self.api.rename(run["Id"], name)
        except APIError:
            if self.api.inspect_container(run["Id"])["Name"] != f"/{name}":
                raise


def inspected(api: docker.APIClient, identity: str) -> container.Body | None:
    """Return what the daemon says of a container, None where it is gone."""
    with gone_is_fine():
        answer: container.Body = api.inspect_container(identity)
        return answer
    return None
