"""What is wanted and what is there, as frozen values; nothing here reads, writes or asks.

The desired side (`Stack` and what it holds) is what Compose makes of `docker-compose.yml`. The observed side
(`Snapshot` and what it holds) is what an engine found. Names and units follow the Compose specification
(https://github.com/compose-spec/compose-spec/blob/main/spec.md): sizes in bytes, durations in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Pairs = tuple[tuple[str, str], ...]
"""A mapping as a value: (name, value) pairs, sorted by name."""


@dataclass(frozen=True)
class Build:
    """What an image is built from: a context directory and build arguments."""

    context: Path
    args: Pairs = ()


@dataclass(frozen=True)
class Mount:
    """Something of the engine's or the operator's that a replica sees at `target`.

    `kind` is `volume` (source: a key of the stack's volumes), `config` (source: the file's path, always read-only)
    or `tmpfs` (no source).
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class Port:
    """A published TCP port: `host`:`published` outside is `target` inside; an empty host is every address."""

    target: int
    published: int
    host: str = ""


@dataclass(frozen=True)
class Healthcheck:
    """A command that tells whether a replica is well; None where Compose's own default holds."""

    test: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    retries: int | None = None


@dataclass(frozen=True)
class Limits:
    """The most that one replica may take: processors, bytes of memory, processes."""

    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None


@dataclass(frozen=True)
class Local:
    """How a service runs without containers (`x-local`): a command, and what its environment has instead.

    `port` is the public port where the service answers by itself, None where it is to get any free one. `<port>`,
    `<data>` (the directory of its volume) and `<SERVICE.port>` in the other two stand for what the engine chose.
    """

    command: tuple[str, ...]
    environment: Pairs = ()
    port: int | None = None


@dataclass(frozen=True)
class Service:
    """One long-running part of the stack, as many replicas as asked for."""

    name: str
    image: str
    build: Build | None = None
    command: tuple[str, ...] | None = None
    environment: Pairs = ()
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    depends_on: tuple[str, ...] = ()
    replicas: int = 1
    user: str | None = None
    init: bool = False
    read_only: bool = False
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    limits: Limits = Limits()
    healthcheck: Healthcheck | None = None
    restart: str = "no"
    stop_grace: float = 10.0
    local: Local | None = None
    release_command: tuple[str, ...] = ()
    """What is run from a new release before anything of it serves (`x-release`), as Heroku's release phase is
    (https://devcenter.heroku.com/articles/release-phase)."""


@dataclass(frozen=True)
class Network:
    """A network of the stack; an internal one has no way out."""

    name: str
    internal: bool = False


@dataclass(frozen=True)
class Volume:
    """A named volume of the stack: data that outlives its containers."""

    name: str


@dataclass(frozen=True)
class Stack:
    """Everything that a project's Compose files declare, services in the order in which they start."""

    project: str
    directory: Path
    services: tuple[Service, ...]
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    files: tuple[Path, ...] = ()

    def service(self, name: str) -> Service | None:
        """Return the service of that name, or None."""
        return next((service for service in self.services if service.name == name), None)


def with_release(stack: Stack, release: str) -> Stack:
    """Return a stack whose release was none in particular, of that release: the tag of each image that it builds."""
    services = tuple(replace(one, image=f"{one.image}:{release}") if one.build else one for one in stack.services)
    return replace(stack, services=services)


Recipe = dict[str, str]
"""What one replica is made from, flat and by name (`image`, `environment.PORT_REDIS`, `limits.memory`): the
fingerprint of a replica, kept readable so that a difference can be named."""

UNKNOWN = "\0unknown"
"""What a recipe holds where the engine cannot tell, which no setting can be; it is not held against a replica."""


@dataclass(frozen=True)
class Running:
    """One replica that an engine found, whoever made it and whether it still runs."""

    service: str
    number: int
    id: str
    state: str
    recipe: Recipe
    health: str = ""
    release: str = ""
    image: str = ""
    address: str = ""

    @property
    def name(self) -> str:
        """Return the replica's name within its stack, such as `worker-2`."""
        return f"{self.service}-{self.number}"

    @property
    def is_running(self) -> bool:
        """Return whether its process runs now."""
        return self.state in {"running", "starting"}


@dataclass(frozen=True)
class Snapshot:
    """Everything of one stack that an engine found at one moment.

    `images` are the names, of those that the stack asks for, that need no building or pulling.
    """

    running: tuple[Running, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    images: frozenset[str] = frozenset()

    def of(self, service: str) -> tuple[Running, ...]:
        """Return the replicas of one service, by number."""
        return tuple(sorted((one for one in self.running if one.service == service), key=lambda one: one.number))

    @property
    def address(self) -> str:
        """Return `host:port` of the door that a replica publishes now, or an empty string."""
        return next((one.address for one in self.running if one.is_running and one.address), "")


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sorted names of what differs between two recipes, as far as both are known."""
    names = sorted(wanted.keys() | found.keys())
    known = [name for name in names if UNKNOWN not in (wanted.get(name), found.get(name))]
    return tuple(name for name in known if wanted.get(name) != found.get(name))


@dataclass(frozen=True)
class Order:
    """A run that is wanted: a command, the replica whose release and environment it gets, and what was asked otherwise.

    `environment` are overrides; `timeout` is in seconds, None for as long as it takes; `interactive` means that the
    run gets an input; where the output is not `kept`, only its client has it, such as all the data of a backup. A run
    that is an admin process of the release `is_told` which run it is; any other has exactly the worker's environment.
    """

    id: str
    command: tuple[str, ...]
    replica: Running
    environment: Pairs = ()
    operator: str = ""
    reason: str = ""
    timeout: float | None = None
    tty: bool = False
    interactive: bool = True
    kept: bool = True
    is_told: bool = False

    @property
    def told(self) -> Pairs:
        """Return the variables that tell an admin process which run it is, by which its records name it.

        As Heroku tells a dyno its name in DYNO (https://devcenter.heroku.com/articles/dynos#local-environment-variables).
        """
        if not self.is_told:
            return ()
        own = {"OPERATOR": self.operator, "RELEASE": self.replica.release, "RUN": self.id}
        return tuple((f"TWELFTH_{name}", value) for name, value in own.items())


@dataclass(frozen=True)
class Run:
    """The record of a run. Times are ISO 8601 in UTC; `overrides` are names of environment variables, never values.

    `state` is `running`, `done`, `failed`, `timeout` or `stopped`; `created` for one whose client died before it was
    started and `lost` for one whose machine did. `seconds` and `exit_code` are None where it has not ended.
    """

    id: str
    command: tuple[str, ...]
    engine: str
    release: str
    image: str
    operator: str
    reason: str
    overrides: tuple[str, ...]
    started: str
    finished: str
    seconds: float | None
    state: str
    exit_code: int | None

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self.exit_code is None and self.state not in {"created", "lost"}
