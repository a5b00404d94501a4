"""The steps of a plan: printable values, each with its cause, such as `Create worker-2 (scale to 2)`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from twelfth.model.run import Run
    from twelfth.model.service import Service
    from twelfth.model.snapshot import BuiltRelease, Replica
    from twelfth.model.stack import Network, Volume


Restarts = tuple[tuple[int, int], ...]
"""Numbers of replicas, with the restarts of each."""


class Step:
    """One change to the stack; `cause` is its reason."""

    cause: str
    says: ClassVar[str]
    """The verb and its object, a `str.format` template of the step's fields."""

    @property
    def what(self) -> str:
        """Return the verb and its object."""
        return self.says.format(**vars(self))

    def __str__(self) -> str:
        """Return `Verb object (cause)`."""
        return f"{self.what} ({self.cause})"


@dataclass(frozen=True)
class EnsureImage(Step):
    """Build or pull a service's image."""

    service: Service
    cause: str

    @property
    def what(self) -> str:
        """Return `Build IMAGE` or `Pull IMAGE`."""
        return f"{'Build' if self.service.build else 'Pull'} {self.service.image}"


@dataclass(frozen=True)
class FixImage(Step):
    """Store the id of the image that runs of a job are made from; `image` is "" before the image exists."""

    says = "Fix image {reference} of job {job}"
    job: str
    reference: str
    image: str
    cause: str


@dataclass(frozen=True)
class CreateResource(Step):
    """Create a network or volume."""

    says = "Create {resource.kind} {resource.name}"
    resource: Network | Volume
    cause: str


@dataclass(frozen=True)
class RemoveResource(Step):
    """Remove a network or volume."""

    says = "Remove {resource.kind} {resource.name}"
    resource: Network | Volume
    cause: str


@dataclass(frozen=True)
class CreateReplica(Step):
    """Create and start a replica, which gets no requests yet: from the service as declared, or `like` a replica.

    `old` is the replica of the same number that it will replace.
    """

    says = "Create {service.name}-{number}"
    service: Service
    number: int
    cause: str
    like: Replica | None = None
    old: Replica | None = None


@dataclass(frozen=True)
class AdmitReplica(Step):
    """Wait until a replica is ready and let requests reach it; remove it if it does not get ready in time."""

    says = "Wait for {service.name}-{number}"
    service: Service
    number: int
    cause: str = "until it is ready"


@dataclass(frozen=True)
class StartReplica(Step):
    """Start a replica that has exited, and wait until it is ready."""

    says = "Start {replica.name}"
    service: Service
    replica: Replica
    cause: str
    is_kept: bool = False
    """Whether it stays if it does not get ready; else it is removed, so that the next `up` creates another one."""


@dataclass(frozen=True)
class StopReplica(Step):
    """Stop a replica within its grace period; it stays, and can be started again."""

    says = "Stop {replica.name}"
    replica: Replica
    cause: str


@dataclass(frozen=True)
class CompleteReplica(Step):
    """Wait until a replica has exited with 0, which services that depend on it require."""

    says = "Wait for {service.name}-{number}"
    service: Service
    number: int
    cause: str = "until it exits"


@dataclass(frozen=True)
class TryReplica(Step):
    """Create a candidate without ports, wait until it is ready, watch it and remove it; the old replica keeps running.

    `seconds` is how long the last candidate of the service took to start and stop, None if that is not known.
    """

    says = "Try {service.name}-{number} without its ports"
    service: Service
    number: int
    cause: str
    seconds: float | None = None

    def __str__(self) -> str:
        """Return the step with the time for which the service will not answer after it."""
        return f"{self.what} ({self.cause}; {no_answers(self.service, self.seconds, 'the last candidate')})"


def no_answers(service: Service, seconds: float | None, measured_on: str = "the candidate") -> str:
    """Return that a service will not answer while it is replaced, and how long if a candidate was measured."""
    port = service.fixed_port.published if service.fixed_port else ""
    if seconds is None:
        return f"{service.name} publishes {port}: no answers between stop and start; see docs/proxy.md"
    about = f"{seconds:.0f}" if seconds >= 1 else f"{seconds:.1f}"
    return (
        f"{service.name} publishes {port}: about {about} s without answers (measured on {measured_on}); "
        "see docs/proxy.md"
    )


@dataclass(frozen=True)
class ReplaceReplica(Step):
    """Stop a replica and start a new one, since they cannot run at the same time; restore `old` if that fails."""

    service: Service
    number: int
    old: Replica
    cause: str
    is_watched: bool = False
    """Whether the new replica is watched for its service's `monitor` seconds before the old one is removed."""

    @property
    def what(self) -> str:
        """Return `Replace REPLICA`, and with which one if that has another name."""
        new = f"{self.service.name}-{self.number}"
        return f"Replace {self.old.name}" + ("" if self.old.name == new else f" with {new}")


@dataclass(frozen=True)
class WatchReplicas(Step):
    """Watch new replicas for their service's `monitor` seconds; if one fails, go back to the old ones.

    `restarts` has the new replicas' numbers, with the restarts of each so far. `removed` is the number of old replicas
    that are removed before this step.
    """

    service: Service
    restarts: Restarts
    removed: int
    cause: str

    @property
    def what(self) -> str:
        """Return `Watch REPLICA, REPLICA for N s`."""
        names = ", ".join(f"{self.service.name}-{number}" for number, _ in self.restarts)
        return f"Watch {names} for {self.service.monitor:g} s"


@dataclass(frozen=True)
class ReloadReplica(Step):
    """Make a replica load its changed configuration files, and wait until it is ready."""

    says = "Reload {replica.name}"
    service: Service
    replica: Replica
    cause: str


@dataclass(frozen=True)
class RemoveReplica(Step):
    """Stop a replica within its grace period, and remove it."""

    says = "Remove {replica.name}"
    replica: Replica
    cause: str


@dataclass(frozen=True)
class RollService(Step):
    """Roll out a service as it is declared, on an engine that replaces the replicas itself."""

    says = "Roll out {service.name}"
    service: Service
    cause: str


@dataclass(frozen=True)
class ScaleService(Step):
    """Change the number of replicas of a service, all of the running release."""

    says = "Scale {service.name} to {service.replicas}"
    service: Service
    cause: str


@dataclass(frozen=True)
class RemoveService(Step):
    """Stop a service within its grace period, and remove it."""

    says = "Remove {service}"
    service: str
    cause: str


@dataclass(frozen=True)
class RemoveRelease(Step):
    """Remove an unused release."""

    says = "Remove release {release.id}"
    release: BuiltRelease
    cause: str


@dataclass(frozen=True)
class StopRun(Step):
    """Stop a run within its grace period."""

    says = "Stop run {run.id}"
    run: Run
    cause: str


@dataclass(frozen=True)
class DeleteRun(Step):
    """Remove the record of a run."""

    says = "Delete run {run.id}"
    run: Run
    cause: str


@dataclass(frozen=True)
class RunReleaseCommand(Step):
    """Run a release command of a service, from the release that is being deployed.

    `after` has the dependencies that are changed before it; `entry` is its index in `pre_start`.
    """

    service: Service
    cause: str
    after: tuple[str, ...] = ()
    entry: int = 0

    @property
    def what(self) -> str:
        """Return `Run COMMAND`."""
        command = self.service.pre_start[self.entry].container.command or ()
        return f"Run {printable(shlex.join(command))}"
