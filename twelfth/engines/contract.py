"""The contract of an engine: where a stack runs, in as few verbs as every engine needs.

An engine keeps no state in memory, so two engines of one stack show the same. Its methods raise `EngineError` with one
line if the daemon, supervisord or the disk fails.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from twelfth.engines import tcp
from twelfth.errors import EngineError, MisuseError
from twelfth.model.service import MONITOR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from twelfth.engines.state import State
    from twelfth.model.hook import Hook
    from twelfth.model.pin import Pin
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.service import Port, Service
    from twelfth.model.snapshot import BuiltRelease, Health, Recipe, Replica, Snapshot
    from twelfth.model.stack import Network, Stack, Volume

    Say = Callable[[str], None]


STDOUT, STDERR = 1, 2
NO_RELOAD = "{} cannot reload its configuration; remove it, then: invoke up"


def waiting(run_id: str, grace: float) -> str:
    """Return the line that is shown while a run is being stopped; `grace` is in seconds."""
    return f"run {run_id} has {grace:g} s to exit after TERM; then it is killed"


class Session(ABC):
    """A client's connection to a run that has started: its input, output, signals and exit code."""

    exit_code: int | None = None
    """The run's exit code, as soon as this client has seen it."""

    @abstractmethod
    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield (STDOUT or STDERR, bytes) as they come, until the run closes both; a terminal has only STDOUT."""

    @abstractmethod
    def write_stdin(self, data: bytes) -> None:
        """Write to the run's stdin; raises `OSError` if the run no longer reads it."""

    @abstractmethod
    def close_stdin(self) -> None:
        """Close the run's stdin."""

    @abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the run's terminal."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send the run's process a signal; does nothing if the run has exited."""

    @abstractmethod
    def wait(self) -> int:
        """Wait for the run to exit, and return its exit code, 124 after its time limit."""


class Engine(ABC):
    """Run one stack; each subclass runs it in another place."""

    name: str
    """The value of `INVOKE_ENGINE`; it is shown and recorded, and no code branches on it."""

    mounts_directories = True
    """Whether a replica sees the directories that the Compose file mounts."""

    has_images = True
    """Whether a run can have an image that no service has."""

    keeps_scheduler = False
    """Whether the engine keeps a scheduler running from `up` to `down`; else another program has to."""

    def __init__(self, stack: Stack) -> None:
        """Keep the declared stack; nothing is started or connected yet."""
        self.stack = stack

    def with_stack(self, stack: Stack) -> Self:
        """Return an engine of this kind, with the same connections, for another declaration of the same stack."""
        return type(self)(stack)

    def monitor(self, service: str) -> float:
        """Return the seconds for which a new replica of a service is watched."""
        declared = self.stack.service(service)
        return declared.monitor if declared else MONITOR_SECONDS

    def adopt_old_state(self, *, may_stop: bool) -> str:  # noqa: ARG002 - by default there is none
        """Move what an older version stored elsewhere, and return a line that reports it, "" if there is nothing.

        Raises `BusyError` if processes have to be stopped for that and `may_stop` is not set.
        """
        return ""

    def other_directory(self) -> Path | None:
        """Return the directory that the stack was deployed from if it exists and is another one than this."""
        return None

    @property
    def machine(self) -> str:
        """The machine of published ports and bind mounts, as in `ssh://MACHINE`, "" for this one."""
        return ""

    def host_ports(self, service: Service) -> tuple[Port, ...]:
        """Return the ports of this machine that a new replica of the service must be able to bind."""
        return service.ports

    def runs_here(self, service: Service) -> bool:  # noqa: ARG002 - by default an engine runs all
        """Return whether this engine runs the service; if not, `recipe` returns None."""
        return True

    def why_taken(self, port: Port, leaving: Sequence[Replica] = ()) -> str:
        """Return why a new replica cannot publish a port, or an empty string if no reason is known.

        The ports of the replicas that are `leaving` count as free.
        """
        becomes_free = any(f"port.{port.published}" in replica.recipe for replica in leaving)
        return "" if becomes_free or port.protocol != "tcp" else tcp.why_taken(port.host, port.published)

    @abstractmethod
    def why_unavailable(self) -> str:
        """Return why this engine cannot be used and what to type next, or an empty string; takes at most a second."""

    def refuse_stack(self) -> None:  # noqa: B027 - by default an engine runs any stack
        """Raise `MisuseError` if this engine cannot run the declared stack."""

    def notices(self) -> list[str]:
        """Return warnings: where this engine runs the stack differently than the Compose file suggests."""
        mounted = [(service, mount) for service in self.stack.services for mount in service.mounted_source]
        return [
            f"{service.name}: source mounted: {mount.target} shows {mount.source}, which can change without a release"
            for service, mount in mounted
            if self.mounts_directories
        ]

    def restarts_with_daemon(self, replica: Replica) -> bool:  # noqa: ARG002 - by default there is no daemon
        """Return whether a stopped replica is started again when the daemon of the engine restarts."""
        return False

    def losses(self) -> tuple[str, ...]:
        """Return sentences on the declared protection that this engine does not enforce."""
        return ()

    def refuse_node(self, node: str) -> None:
        """Raise `MisuseError` if runs cannot be started on a node; by default the engine has a single machine."""
        raise MisuseError(f"--node {node}: engine {self.name} has one machine; leave it out")

    def start_scheduler(self, environment: Mapping[str, str]) -> None:  # noqa: B027 - by default an operator does
        """Keep a scheduler of the stack running with these variables, if this engine `keeps_scheduler`."""

    def stop_scheduler(self) -> None:  # noqa: B027 - by default there is none
        """Stop the scheduler that this engine keeps running; runs that it has started continue."""

    def scheduler_state(self) -> str:
        """Return the state of the scheduler that this engine keeps running, "" if there is none."""
        return ""

    @abstractmethod
    def observe(self) -> Snapshot:
        """Return all of this stack that exists, including what other tools created, but no runs."""

    @abstractmethod
    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the replicas of one service, of all services for ""; faster than `observe`."""

    def replicas_of(self, services: Collection[str]) -> tuple[Replica, ...]:
        """Return the replicas of these services, of all services if there are none."""
        return tuple(replica for service in services or ("",) for replica in self.replicas(service))

    def current(self, replica: Replica) -> Replica:
        """Return the current state of a replica, or the given value if it was removed."""
        replicas = self.replicas(replica.service)
        return next((current for current in replicas if current.id == replica.id), replica)

    @abstractmethod
    def recipe(self, service: Service) -> Recipe | None:
        """Return what a new replica would be created from, or None if this engine does not run the service."""

    @abstractmethod
    def ensure_image(self, service: Service, say: Say) -> None:
        """Build or pull the service's image if it is missing, and pass each line of progress to `say`."""

    def image_id(self, name: str) -> str:  # noqa: ARG002 - by default there are no images
        """Return the id of an image by its name or id, "" if it is missing."""
        return ""

    def pull_image(self, service: Service, say: Say) -> None:  # noqa: ARG002 - by default there are no images
        """Pull the service's image, also if the engine has one of that name; `say` is called with the progress."""
        raise EngineError(f"cannot pull {service.image}: engine {self.name} has no images")

    def resolve(self, reference: str) -> Pin | None:  # noqa: ARG002 - by default there are no images
        """Return the image that a reference names now, None if it is missing; asks no registry."""
        return None

    def keep_pulled(self, release: str, image: str) -> None:  # noqa: B027 - by default there are no images
        """Protect an image by its id from the removal of images without a name."""

    def remove_pulled(self, release: str, names: Collection[str]) -> bool:  # noqa: ARG002 - by default there are none
        """Remove the image of a pulled release unless a container uses it; return whether it was removed.

        `names` are the names that this stack has given it. If it has others, only its protection is removed.
        """
        return True

    def keep_job_images(self, images: Mapping[str, str]) -> None:  # noqa: B027 - by default there are no images
        """Protect these images of jobs, by job, from the removal of unused images; remove others that were built.

        A pulled image is never removed.
        """

    @abstractmethod
    def create_resource(self, resource: Network | Volume) -> None:
        """Create a network or volume of the stack."""

    @abstractmethod
    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove an observed network or volume of the stack, with its data.

        A resource of another owner with that name stays.
        """

    @abstractmethod
    def removal(self, resource: Network | Volume) -> str:
        """Return the command to type to remove a network or volume that no plan removes."""

    def clean_up(self) -> None:  # noqa: B027 - by default nothing is left
        """Remove the remains of a stack that is down, such as copies of files, which no step of a plan names."""

    @abstractmethod
    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield pieces of a replica's output as they arrive; with `follow`, until it is removed.

        `last` limits it to this many lines before the end, `since` to output of that time or later.
        """

    @abstractmethod
    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the replica's healthcheck and return its result.

        A check fails if it takes longer than its `timeout` or `within` seconds. Only the end of its output is kept. A
        replica without a check is ready once it has run for its service's `monitor` seconds since its last start.
        """

    @abstractmethod
    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the releases of this stack that are already built, the newest first."""

    def has_buildkit(self) -> bool:
        """Return whether BuildKit builds the images; it interprets some `.dockerignore` files differently."""
        return False

    def keeps_release(self, release: str) -> bool:  # noqa: ARG002 - by default no other stack can remove one
        """Return whether a release is already protected; listing all images can take seconds."""
        return True

    def keep_releases(self, releases: Collection[str]) -> None:  # noqa: B027 - by default no other stack can remove one
        """Protect these releases, and no others, from removal by stacks of other directories.

        Stacks of one directory do not need it: they read each other's record of deploys.
        """

    @abstractmethod
    def remove_release(self, release: str) -> bool:
        """Remove a release unless another stack uses or protects it; return whether it was removed."""

    def execute(self, replica: Replica, hook: Hook, *, tty: bool, interactive: bool) -> Session:  # noqa: ARG002 - no container
        """Start a command in a running replica, and return its streams; raises `MisuseError` without a container."""
        command = shlex.join(["invoke", "run", "--service", replica.service, "--", *hook.command])
        raise MisuseError(f"cannot execute in {replica.name}: engine {self.name} has no containers. Try: {command}")

    @property
    @abstractmethod
    def runs(self) -> Runs:
        """The runs of this stack."""

    @property
    @abstractmethod
    def state(self) -> State:
        """The stored state of this stack, and its lock."""


class ReplicaEngine(Engine):
    """An engine that creates and removes single replicas: `stack/rollout.py` rolls out its services."""

    admission_seconds = 0.0
    """Seconds that a proxy or client may need to discover an admitted replica."""

    @abstractmethod
    def create_replica(self, service: Service, number: int) -> Replica:
        """Create and start a replica that gets no traffic yet; remove it if it cannot be started."""

    def create_candidate(self, service: Service, number: int) -> Replica:  # noqa: ARG002 - by default none can
        """Create and start a replica that is never admitted, from `service.candidate`; remove it if it cannot start.

        Only an engine whose snapshots have `tries_replicas` can.
        """
        raise EngineError(f"engine {self.name} cannot try {service.name}")

    @abstractmethod
    def prepare_replica(self, service: Service, number: int, old: Replica) -> Replica:
        """Create the replica that will replace `old`, with the anonymous volumes of `old`, without starting it.

        The new replica may have the number of `old`. It records which one it replaces, and how `remove_replica` undoes
        that.
        """

    @abstractmethod
    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Create and start a copy of an existing replica; it gets no traffic yet."""

    @abstractmethod
    def admit_replica(self, replica: Replica) -> None:
        """Let requests, and the services that depend on this one, reach the replica."""

    def withdraw_replica(self, replica: Replica) -> None:
        """Keep requests from a stopped replica after its next start, until it is admitted again."""

    def check_reload(self, service: Service, replica: Replica) -> None:  # noqa: ARG002 - by default none can
        """Raise `EngineError` if the service's check rejects its current configuration files.

        The replica does not see these files.
        """
        raise EngineError(NO_RELOAD.format(replica.name))

    def reload_replica(self, service: Service, replica: Replica) -> None:  # noqa: ARG002 - by default none can
        """Make a replica that `is_reloadable` load its service's current configuration files without a restart.

        Raises `EngineError` if the service's check rejects them; nothing has changed then.
        """
        raise EngineError(NO_RELOAD.format(replica.name))

    def restore_configuration(self, service: Service, replica: Replica) -> bool:  # noqa: ARG002 - by default none can
        """Make a replica load its files from before `reload_replica` again; return whether they are known."""
        return False

    @abstractmethod
    def execute_hook(self, replica: Replica, hook: Hook) -> tuple[int, str]:
        """Execute a hook in a running replica, and return its exit code and the end of its output."""

    def addresses(self, replica: Replica) -> tuple[str, ...]:  # noqa: ARG002 - by default none is known
        """Return the IPv4 addresses at which other services reach a running replica."""
        return ()

    @abstractmethod
    def stop_replica(self, replica: Replica) -> None:
        """Stop a replica with its service's grace period; it can be started again."""

    @abstractmethod
    def retire_replica(self, replica: Replica) -> None:
        """Stop a replica whose replacement is prepared, so that a restart of the engine does not start it."""

    @abstractmethod
    def start_replica(self, replica: Replica) -> None:
        """Start a stopped or prepared replica; a running one keeps running."""

    @abstractmethod
    def remove_replica(self, replica: Replica) -> None:
        """Stop a replica with its service's grace period, and remove it, unless it is gone already.

        A replica that it was prepared to replace gets its name and restart policy back, but is not started. A replica
        that replaces it gets its name.
        """


class ServiceEngine(Engine):
    """An engine that rolls out whole services by itself; its snapshots have `rolls_services`."""

    @abstractmethod
    def roll_service(self, service: Service, within: float, say: Say) -> None:
        """Create or update a service as declared, and return when its replicas are ready.

        Raises `EngineError`, with the last output of a replica that is not ready in `within` seconds; the previous
        release is still running then.
        """

    @abstractmethod
    def scale_service(self, service: Service, within: float, say: Say) -> None:
        """Change a service's number of replicas to the declared one, and nothing else of it."""

    @abstractmethod
    def remove_service(self, service: str) -> None:
        """Stop and remove a service with its replicas, unless it is gone already."""


class Runs(ABC):
    """The one-off processes of one stack on one engine, which keeps their records."""

    @abstractmethod
    def start(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> Session:
        """Start a run made from the request's replica as it is running, and return its streams.

        Builds, pulls and changes nothing. Raises `IdentityError` if the run would differ from the replica in anything
        that the request does not name. `ready` is called before the run is started. If either raises an error, nothing
        was started and nothing is left.
        """

    @abstractmethod
    def pin(self, replica: Replica) -> None:
        """Remember what the replica is made from, and make all later runs of this object from that.

        So all runs of one command have the same release, even if a deploy removes the replica in the meantime.
        """

    @abstractmethod
    def detach(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> None:
        """Start a run as `start` does, without a client."""

    @abstractmethod
    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Return the names of the settings in which the run would differ from its replica, such as `environment.LEVEL`.

        Creates nothing. The command does not count, nor do settings of a service: ports, restarts, the healthcheck.
        """

    def ignored(self, request: RunRequest) -> tuple[str, ...]:  # noqa: ARG002 - by default an engine ignores none
        """Return the names of declared settings that a run cannot have on this engine."""
        return ()

    @abstractmethod
    def prune(self, keep: int, removing: Callable[[Sequence[Run]], None] = lambda _: None) -> None:
        """Remove the output of runs that have exited, except for the last `keep` and the last `keep` that failed.

        Calls `removing` with the runs before; if that raises an error, nothing is removed.
        """

    @abstractmethod
    def ids(self) -> frozenset[str]:
        """Return the ids of all runs whose output is kept, and of those that are running."""

    @abstractmethod
    def records(self, ids: Collection[str] | None = None) -> tuple[Run, ...]:
        """Return these runs, by default all, the oldest first; without those that do not exist."""

    @abstractmethod
    def output(
        self, run_id: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield a run's output as (STDOUT or STDERR, bytes); with `follow`, until it has exited.

        `last` limits it to this many lines of both streams together, `since` to output of that time or later.
        """

    @abstractmethod
    def stop(self, run_id: str, say: Say) -> None:
        """Stop a run with TERM, and KILL after its grace period; return when it has exited and is recorded as stopped.

        Passes one line to `say` before it waits.
        """

    @abstractmethod
    def delete(self, run_id: str) -> None:
        """Remove the record and the output of a run that has exited."""
