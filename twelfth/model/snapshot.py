"""A stack as an engine observes it at one moment, as frozen values."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from twelfth.model.stack import Network, Stack, Volume


Recipe = dict[str, str]
"""What one replica is made from, flat and by name (`image`, `environment.PORT_REDIS`, `limits.memory`): the
fingerprint of a replica, kept readable so that a difference can be named."""


UNKNOWN = "\0unknown"
"""The value of a setting that the engine cannot read, unlike any real value; it is never a difference."""


@dataclass(frozen=True)
class Replica:
    """One observed replica, running or not.

    A replica that is not `is_admitted` gets no requests from clients yet. `restarts` counts the engine's restarts.
    `is_reloadable` is set if its configuration files can be changed while it runs, `has_own_volumes` if it has
    anonymous volumes, which only its replacement can take over. `replaces` is the id of the replica that it replaces,
    which has the same number, and which may be removed already.
    """

    service: str
    number: int
    id: str
    state: str
    recipe: Recipe
    health: str = ""
    release: str = ""
    image: str = ""
    address: str = ""
    is_admitted: bool = True
    restarts: int = 0
    is_reloadable: bool = False
    has_own_volumes: bool = False
    replaces: str = ""
    is_candidate: bool = False
    """Whether it was created only to be tried, without its ports; it is never admitted."""

    @property
    def name(self) -> str:
        """Return the name within the stack, such as `worker-2`."""
        return f"{self.service}-{self.number}"

    @property
    def identity(self) -> str:
        """Return what distinguishes it from the others, also if it stands for a release that is not running."""
        return self.id or f"{self.service} {self.image}"

    @property
    def version(self) -> str:
        """Return the release, or where none is known the beginning of the image's id."""
        return self.release or self.image[: len("sha256:") + 12]

    @property
    def is_running(self) -> bool:
        """Return whether its process runs now."""
        return self.state in {"running", "starting"}

    @property
    def is_startable(self) -> bool:
        """Return whether it was created but never started, or was stopped; one that exited by itself is neither."""
        return self.state in {"created", "stopped"}

    @property
    def is_stopped(self) -> bool:
        """Return whether it was admitted and has exited or was stopped, and the engine does not restart it."""
        return self.is_admitted and (self.state in {"stopped", "failed"} or self.state.startswith("exited"))

    @property
    def has_completed(self) -> bool:
        """Return whether its process exited with 0."""
        return self.state == "exited (0)"

    @property
    def serves(self) -> bool:
        """Return whether it runs and gets requests from clients."""
        return self.is_running and self.is_admitted


@dataclass(frozen=True)
class BuiltRelease:
    """A release that needs no building: since when (ISO 8601 in UTC), by whom ("" if unknown), how many bytes.

    `references` are the names under which it was pulled, () if it was built. `project` is that of the stack that it was
    built for, "" if that is not known.
    """

    id: str
    built: str
    operator: str
    size: int
    references: tuple[str, ...] = ()
    project: str = ""


@dataclass(frozen=True)
class Attachment:
    """A running container on a network; `service` is the stack's service that it belongs to, or "".

    `network` is the engine's name of the network.
    """

    network: str
    container: str
    service: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Everything of one stack that an engine found at one moment.

    `networks` and `volumes` include, as `external`, those that the stack declares and another owner made. `images` has
    the stack's images that need no build or pull. `attachments` has the containers on its networks, except for runs.
    """

    replicas: tuple[Replica, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    images: frozenset[str] = frozenset()
    attachments: tuple[Attachment, ...] = ()
    rolls_services: bool = False
    """Whether the engine is given whole services and rolls their replicas by itself."""
    tries_replicas: bool = False
    """Whether the engine can create candidates."""

    def replicas_of(self, service: str) -> tuple[Replica, ...]:
        """Return the replicas of one service, by number."""
        replicas = (replica for replica in self.replicas if replica.service == service)
        return tuple(sorted(replicas, key=lambda replica: replica.number))

    @property
    def foreign_resources(self) -> tuple[Network | Volume, ...]:
        """Return the networks and volumes that the stack declares and another owner created."""
        resources: tuple[Network | Volume, ...] = (*self.networks, *self.volumes)
        return tuple(resource for resource in resources if resource.external)

    def users(self, network: str, without: Collection[str]) -> tuple[Attachment, ...]:
        """Return the containers on a network (by the engine's name) that are not replicas of these services."""
        attachments = (attachment for attachment in self.attachments if attachment.network == network)
        return tuple(attachment for attachment in attachments if attachment.service not in without)


def missing_resources(stack: Stack, snapshot: Snapshot) -> tuple[Network | Volume, ...]:
    """Return the networks and volumes of the stack that do not exist, one for each name."""
    external = (resource for resource in stack.resources if resource.external)
    existing = [*snapshot.networks, *snapshot.volumes, *external]
    names = {(resource.kind, stack.engine_name(resource)) for resource in existing}
    declared = {(resource.kind, stack.engine_name(resource)): resource for resource in reversed(stack.resources)}
    missing = [resource for name, resource in declared.items() if name not in names]
    return tuple(resource for resource in stack.resources if resource in missing)


def differences(expected: Mapping[str, str], actual: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sorted names of what differs between two recipes, as far as both are known.

    If the rest of a kind is not known (`environment`), only what is expected by name counts; if nothing of a
    kind was observed (`option`), none of it does.
    """
    names = [name for name in sorted({*expected, *actual}) if name in expected or _kind(name) not in expected]
    known = [name for name in names if UNKNOWN not in (expected.get(name), actual.get(name), actual.get(_kind(name)))]
    return tuple(name for name in known if expected.get(name) != actual.get(name))


def _kind(name: str) -> str:
    return name.partition(".")[0]


UNHEALTHY = "unhealthy"
"""Docker's health of a container whose healthcheck failed `retries` times in a row."""


@dataclass(frozen=True)
class Health:
    """The result of a replica's healthcheck: whether it is ready, the check's output and its command.

    `has_check` is False if the service has no healthcheck. A replica that `is_crashing` keeps exiting.
    """

    is_ready: bool
    output: str = ""
    command: str = ""
    has_check: bool = True
    is_crashing: bool = False
    is_cut_off: bool = False
    """Whether the check had less time than its own `timeout`, and did not finish."""

    @property
    def details(self) -> dict[str, Any]:
        """Return the JSON object that the check printed, an empty one for other output."""
        try:
            details = json.loads(self.output)
        except ValueError:
            return {}
        return details if isinstance(details, dict) else {}

    @property
    def complaint(self) -> str:
        """Return why the replica cannot serve now, "" if it can.

        A check may pass and print an `error`: then its process is healthy, and something that it needs is not.
        """
        if error := self.details.get("error"):
            return str(error)
        return "" if self.is_ready else self.reason or "its healthcheck fails"

    @property
    def reason(self) -> str:
        """Return why it is not ready, as the check says: the `error` of its JSON, else its last line.

        With that comes the path that the check asks for; one that says nothing is named itself.
        """
        if self.is_crashing:
            return "it keeps crashing"
        if error := self.details.get("error"):
            return str(error)
        last = (self.output.strip().splitlines() or [""])[-1]
        if not last:
            return f"its healthcheck fails: {self.command}" if self.command else ""
        path = _PATH.search(self.command)
        return f"its healthcheck asks {path[1]}: {last}" if path else last


_PATH = re.compile(r"https?://[^/\s'\"]+(/[^\s'\"|;)]*)")
