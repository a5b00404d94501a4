"""The contract of an engine: where a stack runs, in as few verbs as every engine needs.

An engine keeps no state of its own in memory: whoever makes a second one for the same stack sees the same things.
Its methods raise `EngineError` with one line when the machinery underneath fails.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from twelfth.engines import tcp
from twelfth.errors import EngineError, MisuseError
from twelfth.model.stack import MONITOR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import BuiltRelease, Health, Recipe, Replica, Snapshot
    from twelfth.model.stack import Network, Port, Service, Stack, Volume

    Say = Callable[[str], None]


STDOUT, STDERR = 1, 2
NO_RELOAD = "{} cannot load its configuration anew; remove it, then: invoke up"


def waiting(identity: str, grace: float) -> str:
    """Return what to say while a run is being stopped; `grace` is in seconds."""
    return f"run {identity} has {grace:g} s to end on TERM; then it is killed"


class Session(ABC):
    """A run that has started, as its client holds it: what goes in, what comes out, how it ends."""

    @abstractmethod
    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield (STDOUT or STDERR, bytes) as they come, until the run closes both; a terminal has only STDOUT."""

    @abstractmethod
    def write_stdin(self, data: bytes) -> None:
        """Give the run input; raises `OSError` where it takes no more."""

    @abstractmethod
    def close_stdin(self) -> None:
        """Close the run's input."""

    @abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """Tell the run's terminal its size."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send the run's process a signal; a run that has ended takes none."""

    @abstractmethod
    def wait(self) -> int:
        """Return the exit code when the run has ended, 124 where its time was over."""


class Engine(ABC):
    """One stack on one kind of machinery."""

    name: str
    """What `INVOKE_ENGINE` calls it; shown and recorded, never asked for."""

    mounts_directories = True
    """Whether a replica sees directories of the machine where the Compose file mounts them."""

    has_own_releases = False
    """Whether the releases here were all made for the stacks of this directory."""

    def __init__(self, stack: Stack) -> None:
        """Take the stack as it is declared; ask for nothing yet."""
        self.stack = stack

    def monitor(self, service: str) -> float:
        """Return how many seconds a new replica of a service is watched."""
        declared = self.stack.service(service)
        return declared.monitor if declared else MONITOR_SECONDS

    def host_ports(self, service: Service) -> tuple[Port, ...]:
        """Return the ports of this machine that a new replica of the service needs for itself."""
        return service.ports

    def runs_here(self, service: Service) -> bool:  # noqa: ARG002 - by default an engine runs all
        """Return whether the service is one that this engine runs; `recipe` has None for one that is not."""
        return True

    def why_taken(self, port: Port, leaving: Sequence[Replica] = ()) -> str:
        """Return why a new replica cannot publish a port, or an empty string if nothing is known to be in the way.

        The ports of the replicas that are `leaving` count as free.
        """
        is_own = any(f"port.{port.published}" in each.recipe for each in leaving)
        return "" if is_own or port.protocol != "tcp" else tcp.why_taken(port.host, port.published)

    @abstractmethod
    def why_unavailable(self) -> str:
        """Return why this engine cannot be used here and what to type next, or an empty string; within a second."""

    def refuse_stack(self) -> None:  # noqa: B027 - by default an engine can have any
        """Raise `MisuseError` where the stack, as it is declared, cannot be on this engine as it is now."""

    def notices(self) -> list[str]:
        """Return what of the stack holds otherwise than it may look, for whoever deploys it to know."""
        mounted = [(service, mount) for service in self.stack.services for mount in service.mounted_source]
        return [
            f"{service.name}: source mounted: what is in {mount.source} runs at {mount.target}, not only a release"
            for service, mount in mounted
            if self.mounts_directories
        ]

    def losses(self) -> tuple[str, ...]:
        """Return what of the protection that the stack declares this engine cannot hold, in words."""
        return ()

    def refuse_node(self, node: str) -> None:
        """Raise `MisuseError` for a machine that runs cannot go to; by default there is one, which needs no name."""
        raise MisuseError(f"--node {node}: engine {self.name} has one machine; leave it out")

    @abstractmethod
    def observe(self) -> Snapshot:
        """Return everything of this stack that exists now, whoever made it; never a run."""

    @abstractmethod
    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the replicas of one service: the part of `observe` that a run needs."""

    def current(self, replica: Replica) -> Replica:
        """Return how a replica is now, or the given value if it was removed."""
        return next((each for each in self.replicas(replica.service) if each.id == replica.id), replica)

    @abstractmethod
    def recipe(self, service: Service) -> Recipe | None:
        """Return what a replica of the service would be made from now, or None where it does not run on this engine."""

    @abstractmethod
    def ensure_image(self, service: Service, say: Say) -> None:
        """Make the service's image available, reporting progress a line at a time."""

    @abstractmethod
    def create_resource(self, resource: Network | Volume) -> None:
        """Make a network or volume of the stack."""

    @abstractmethod
    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove an observed network or volume of the stack, with its data.

        A resource of another owner with that name stays.
        """

    @abstractmethod
    def removal(self, resource: Network | Volume) -> str:
        """Return the command to type to remove a network or volume that no plan removes."""

    def clean_up(self) -> None:  # noqa: B027 - by default there is nothing
        """Remove what is kept of a stack that is down and that no step of a plan names, such as copies of files."""

    @abstractmethod
    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield what a replica printed, in pieces as they come; with `follow`, until it is removed.

        Begins `last` lines before the end and not before `since`, where these are given.
        """

    @abstractmethod
    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the replica's healthcheck and return its result.

        A check that takes longer than its `timeout` or `within` seconds has failed, and only the end of its output is
        kept. A replica without a check is ready once it has run for its service's `monitor` seconds since its last
        start.
        """

    @abstractmethod
    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the releases of this stack that need no building, the newest first."""

    def has_buildkit(self) -> bool:
        """Return whether BuildKit builds the images; it reads some `.dockerignore` files differently."""
        return False

    def keep_releases(self, releases: Collection[str]) -> None:  # noqa: B027 - by default no other stack can remove one
        """Keep these releases, and no others, from being removed by stacks of other directories.

        Stacks of the same directory read each other's record of deploys instead.
        """

    @abstractmethod
    def remove_release(self, release: str) -> bool:
        """Remove a release unless other stacks use or keep it; return whether it was removed."""

    @property
    @abstractmethod
    def runs(self) -> Runs:
        """Return the runs of this stack."""


class ReplicaEngine(Engine):
    """An engine that is told what to do with each replica: `stack/rollout.py` rolls its services."""

    admission_seconds = 0.0
    """How long whoever sends visitors may take to find a replica that was admitted."""

    @abstractmethod
    def create_replica(self, service: Service, number: int) -> Replica:
        """Create and start a replica that gets no traffic yet; if it cannot be started, remove it."""

    @abstractmethod
    def prepare_replica(self, service: Service, number: int, old: Replica) -> Replica:
        """Create the replica that will replace `old`, with its anonymous volumes, without starting it.

        It records which replica it replaces, and what `remove_replica` needs to undo that.
        """

    @abstractmethod
    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Make and start another replica just like one that is there, which nobody is sent to yet."""

    @abstractmethod
    def admit_replica(self, replica: Replica) -> None:
        """Have visitors, and the services that depend on this one, find the replica from now on."""

    def check_reload(self, service: Service, replica: Replica) -> None:  # noqa: ARG002 - by default none can
        """Raise `EngineError` where the service's own check refuses its configuration files as they are now.

        The replica does not see them meanwhile.
        """
        raise EngineError(NO_RELOAD.format(replica.name))

    def reload_replica(self, service: Service, replica: Replica) -> None:  # noqa: ARG002 - by default none can
        """Have a replica that `is_reloadable` load its service's configuration files as they are now, and serve on.

        Raises `EngineError` where the service's check refuses them, and has changed nothing then.
        """
        raise EngineError(NO_RELOAD.format(replica.name))

    def restore_configuration(self, service: Service, replica: Replica) -> bool:  # noqa: ARG002 - by default none can
        """Reload the configuration files from before `reload_replica`; return whether they are known."""
        return False

    @abstractmethod
    def stop_replica(self, replica: Replica) -> None:
        """End a replica's process, with its service's grace period, and keep it, so that it can be started again."""

    @abstractmethod
    def retire_replica(self, replica: Replica) -> None:
        """Stop a replica that another one is prepared to replace, so that a restart of the engine does not start it."""

    @abstractmethod
    def start_replica(self, replica: Replica) -> None:
        """Start a replica that was stopped or prepared; one that runs keeps running."""

    @abstractmethod
    def remove_replica(self, replica: Replica) -> None:
        """Stop a replica, with its service's grace period, and remove it; it may be gone already.

        If it was prepared to replace another one, that one gets its name and restart policy back. It is not started.
        """


class ServiceEngine(Engine):
    """An engine that is given whole services and rolls their replicas by itself; its snapshots say so."""

    @abstractmethod
    def roll_service(self, service: Service, within: float, say: Say) -> None:
        """Make a service what is declared, and return when its replicas serve.

        Raises `EngineError` with the last words of one that does not get ready in `within` seconds; what served before
        serves on then.
        """

    @abstractmethod
    def scale_service(self, service: Service, within: float, say: Say) -> None:
        """Give a service its number of replicas, all of what it is now, whatever is declared."""

    @abstractmethod
    def remove_service(self, service: str) -> None:
        """Stop and remove a service with its replicas; it may be gone already."""


class Runs(ABC):
    """The one-off processes of one stack on one engine; the engine keeps their records, whoever started them."""

    @abstractmethod
    def start(self, request: RunRequest) -> Session:
        """Start a run made from the request's replica as it runs now, and hold its streams.

        Builds, pulls and changes nothing else. Raises `IdentityError` where what was made differs from the replica in
        anything that was not asked for; nothing has been started then and nothing is left.
        """

    @abstractmethod
    def pin(self, replica: Replica) -> None:
        """Have every later run of this object that is made from the replica made from what it is now.

        So the runs of one command are of one release, even where a deploy removes the replica meanwhile.
        """

    @abstractmethod
    def detach(self, request: RunRequest) -> None:
        """Start a run as `start` does, with nobody at its streams."""

    @abstractmethod
    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Return the names of what the run would have that differs from its replica, such as `environment.LEVEL`.

        Starts and makes nothing. What belongs to serving (ports, restarts, the healthcheck) and the command do not
        count.
        """

    @abstractmethod
    def prune(self, keep: int) -> None:
        """Remove the records and output of all ended runs but the last `keep`."""

    @abstractmethod
    def records(self) -> tuple[Run, ...]:
        """Return the records of the runs that are kept, the oldest first."""

    @abstractmethod
    def output(
        self, identity: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (STDOUT or STDERR, bytes) of what a run printed; with `follow`, until it has ended.

        Begins `last` lines, of both streams together, before the end and not before `since`, where these are given.
        """

    @abstractmethod
    def stop(self, identity: str, say: Say) -> None:
        """End a run with TERM, and KILL after its grace period; return when it has ended, recorded as stopped.

        Says once what is waited for.
        """

    @abstractmethod
    def delete(self, identity: str) -> None:
        """Remove the record and the output of a run that has ended."""
