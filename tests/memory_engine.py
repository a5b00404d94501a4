"""An engine in memory: all of the contract, in no time, and with failures at will.

The same tests as for the real engines check it (tests/engines/test_contract.py), so what is about the tool itself can
be tested on it. Its runs interpret a few commands, see `PROGRAMS`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import shlex
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from twelfth.compose import container_keys
from twelfth.engines import healthcheck
from twelfth.engines.contract import STDERR, STDOUT, ReplicaEngine, Runs, Session, waiting
from twelfth.engines.state import State, locked, this_process
from twelfth.errors import EngineError, NoReleaseError, NotUpError
from twelfth.model.image_name import image_name
from twelfth.model.pin import Pin
from twelfth.model.run import Run, RunRequest
from twelfth.model.snapshot import Attachment, BuiltRelease, Health, Replica, Snapshot, differences
from twelfth.model.stack import Network, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from twelfth.engines.contract import Say
    from twelfth.engines.state import Holder
    from twelfth.model.hook import Hook
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Stack

TIMED_OUT = 124
NO_SUCH_PROGRAM = 127


@dataclass
class World:
    """What all engines of one project share: what there is, what was done, and what is to fail.

    A replica that replaces another one has the key `new worker-1` in `replicas` until the other one is removed.
    `done` names each change in its order, such as `create worker-1`. `failures` has what such a change raises, before
    anything is changed; `dying` has the last words of services whose new replicas end at once, with exit code 1.
    `healths` has what healthchecks say, `refusals` what checks of a configuration say, by service. `others` are the
    containers of other owners on its networks. `restarts` has what the engine does with a replica when it restarts, by
    id; `kill_at` is the change before which `up` is killed. `running_seconds` has for how long replicas without a
    healthcheck have run, by name; any other has run for long. `digests` has what tags lead to in the registry, `local`
    what they lead to here.
    """

    replicas: dict[str, Replica] = field(default_factory=dict)
    resources: list[Network | Volume] = field(default_factory=list)
    others: list[Attachment] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    image_ids: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    kept_releases: dict[str, str] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, Process] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    failures: dict[str, BaseException] = field(default_factory=dict)
    dying: dict[str, str] = field(default_factory=dict)
    healths: dict[str, Health] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    restarts: dict[str, str] = field(default_factory=dict)
    kill_at: int | None = None
    previous: dict[str, Recipe] = field(default_factory=dict)
    running_seconds: dict[str, float] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    claims: set[str] = field(default_factory=set)
    reads: list[str] = field(default_factory=list)
    holder: Holder | None = None
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def image_id(self, name: str) -> str:
        """Return the id of an image by its name or id, "" if it is missing."""
        ids = {image: self.image_ids.get(image, f"sha256:{image}") for image in self.images}
        return ids.get(name) or (name if name in {*ids.values(), *self.kept.values()} else "")

    def begin(self, change: str) -> None:
        """Note a change that is about to be made; raises what is to fail, and all from when its process was killed."""
        if self.kill_at is not None and len(self.done) >= self.kill_at:
            raise KilledProcessError
        if failure := self.failures.get(change):
            raise failure
        self.done.append(change)

    def change(self, change: str, name: str, **values: object) -> None:
        """Make a change to a replica."""
        self.begin(change)
        with self.changed:
            self.replicas[name] = replace(self.replicas[name], **values)  # type: ignore[arg-type]
            self.changed.notify_all()

    def name(self, replica: Replica) -> str:
        """Return the key of a replica, "" if it was removed."""
        return next((name for name, existing in dict(self.replicas).items() if existing.id == replica.id), "")

    def restart(self) -> None:
        """Restart the engine: everything exits, and replicas are restarted according to their policies."""
        for name, replica in self.replicas.items():
            policy, was_stopped = self.restarts[replica.id], replica.state == "stopped"
            has_started = replica.state != "created"
            again = policy == "always" or (policy == "unless-stopped" and not was_stopped)
            ended = "exited (137)" if replica.is_running else replica.state
            self.replicas[name] = replace(replica, state="running" if again and has_started else ended)

    def end_replica(self, name: str, words: str, code: int = 1) -> None:
        """Let a replica's process end by itself, with its last words."""
        with self.changed:
            self.logs[name] += f"{words}\n".encode()
            self.replicas[name] = replace(self.replicas[name], state=f"exited ({code})")
            self.changed.notify_all()


class MemoryState(State):
    """The state of a stack in its world."""

    def __init__(self, world: World) -> None:
        """Take the world; the lock is free."""
        self.world = world
        self._held: Holder | None = None

    def read(self, directory: str) -> dict[str, bytes]:
        """Return the files whose path is the directory and a name."""
        self.world.reads.append(directory)
        directory = self.world.links.get(directory, directory)
        paths = {path.rpartition("/"): content for path, content in dict(self.world.files).items()}
        return {name: content for (parent, _, name), content in paths.items() if parent == directory}

    def write(self, files: Mapping[str, bytes]) -> None:
        """Add or replace files."""
        if failure := self.world.failures.get("write state"):
            raise failure
        self.world.files.update(files)

    def add(self, directory: str, files: Mapping[str, bytes]) -> bool:
        """Add files to a directory that has some."""
        directory = self.world.links.get(directory, directory)
        if not any(path.startswith(f"{directory}/") for path in self.world.files):
            return False
        self.write({f"{directory}/{name}": content for name, content in files.items()})
        return True

    def send(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Add files."""
        with contextlib.suppress(EngineError):
            self.add(directory, files)

    def link(self, path: str, name: str) -> None:
        """Keep the directory that the path stands for."""
        self.world.links[path] = f"{path.rpartition('/')[0]}/{name}"

    def remove(self, directory: str = "") -> None:
        """Remove the files below a directory."""
        prefix = f"{directory}/" if directory else ""
        self.world.claims = self.world.claims if directory else set()
        self.world.files = {path: content for path, content in self.world.files.items() if not path.startswith(prefix)}
        self.world.links = {path: name for path, name in self.world.links.items() if not path.startswith(prefix)}

    def claim(self, name: str) -> bool:
        """Keep the name."""
        if failure := self.world.failures.get("claim"):
            raise failure
        with self.world.changed:
            is_new = name not in self.world.claims
            self.world.claims.add(name)
        return is_new

    def claims(self) -> frozenset[str]:
        """Return the names."""
        return frozenset(self.world.claims)

    def forget_claims(self, names: Iterable[str]) -> None:
        """Drop the names."""
        self.world.claims -= set(names)

    @contextlib.contextmanager
    def lock(self, action: str) -> Iterator[None]:
        """Be the holder meanwhile."""
        if self.world.holder:
            raise locked(self.world.holder)
        self.world.holder = self._held = this_process(action)
        try:
            yield
        finally:
            if self.world.holder is self._held:
                self.world.holder = None
            self._held = None

    def check_lock(self) -> None:
        """Raise `EngineError` if another one is the holder."""
        if self._held and self.world.holder is not self._held:
            raise EngineError("the lock of the stack was lost")

    def holder(self) -> Holder | None:
        """Return the holder."""
        return self.world.holder

    def unlock(self) -> None:
        """Forget the holder."""
        self.world.holder = None


class KilledProcessError(BaseException):
    """Stands for kill -9: no further change is possible, however the exception is handled."""


class Memory(ReplicaEngine):
    """The stack in a separate world."""

    name = "memory"

    def __init__(self, stack: Stack, world: World) -> None:
        """Take the stack, and the world that it is in."""
        super().__init__(stack)
        self.world = world

    def with_stack(self, stack: Stack) -> Self:
        """Return an engine of the same world."""
        return type(self)(stack, self.world)

    def why_unavailable(self) -> str:
        """Return an empty string: it needs nothing."""
        return ""

    def observe(self) -> Snapshot:
        """Return what the world has."""
        return Snapshot(
            replicas=tuple(self.world.replicas.values()),
            networks=tuple(each for each in self.world.resources if isinstance(each, Network)),
            volumes=tuple(each for each in self.world.resources if isinstance(each, Volume)),
            images=self.stack.image_names.intersection(self.world.images),
            attachments=(*self._attachments(), *self.world.others),
            tries_replicas=True,
        )

    def _attachments(self) -> list[Attachment]:
        """Return the replicas that run, on the networks that their recipes name."""
        return [
            Attachment(name.removeprefix("network."), each.name, each.service)
            for each in self.world.replicas.values()
            for name in each.recipe
            if name.startswith("network.") and each.is_running
        ]

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the replicas of one service, of all services for ""."""
        observed = self.observe()
        return observed.replicas_of(service) if service else observed.replicas

    def recipe(self, service: Service) -> Recipe:
        """Return what is said of the service, and its image's name for its content."""
        is_here = service.image in self.world.images
        return {
            "image": service.image if is_here else f"{service.image}, missing",
            "command": json.dumps(service.command or ()),
            "stop_grace_period": f"{service.stop_grace:g}s",
            "restart": service.restart,
            **{f"post_start.{number}": str(hook) for number, hook in enumerate(service.post_start)},
            **{f"environment.{name}": value for name, value in service.environment},
            **{f"network.{self.stack.known_as('network', name)}": "joined" for name in service.networks},
            **{
                f"volume.{mount.target}": self.stack.known_as("volume", mount.source)
                for mount in service.mounts
                if mount.kind == "volume"
            },
            **{f"port.{port.published}": port.host for port in service.ports},
            **{
                f"config.{mount.target}": mount.content or Path(mount.source).read_text("utf-8")
                for mount in service.mounts
                if mount.kind == "config"
            },
        }

    def ensure_image(self, service: Service, say: Say) -> None:
        """Have the image from now on."""
        self.pull_image(service, say)

    def pull_image(self, service: Service, say: Say) -> None:
        """Add the image, also the one that its tag names in the registry."""
        self.world.begin(f"image {service.image}")
        say(f"{service.image} was built")
        names = [service.image]
        if digest := self.world.digests.get(service.image):
            self.world.local[service.image] = digest
            names.append(f"{image_name(service.image).repository}@sha256:{digest}")
        self.world.images += [name for name in names if name not in self.world.images]

    def resolve(self, reference: str) -> Pin | None:
        """Return the image that a tag names on this engine."""
        digest, repository = self.world.local.get(reference), image_name(reference).repository
        return Pin(reference, f"sha256:id{digest}", f"{repository}@sha256:{digest}") if digest else None

    def keep_pulled(self, release: str, image: str) -> None:
        """Record the release."""
        self.world.kept_releases[release] = image

    def remove_pulled(self, release: str, names: Collection[str]) -> bool:  # noqa: ARG002 - other names do not matter
        """Have the image no more."""
        self.world.begin(f"remove release {release}")
        self.world.kept_releases.pop(release, None)
        self.world.images = [image for image in self.world.images if f"@sha256:{release}" not in image]
        return True

    def image_id(self, name: str) -> str:
        """Return the id of an image, if it exists."""
        return self.world.image_id(name)

    def keep_job_images(self, images: Mapping[str, str]) -> None:
        """Note them."""
        self.world.kept = dict(images)

    def create_resource(self, resource: Network | Volume) -> None:
        """Have the resource from now on."""
        self.world.begin(f"create {resource.name}")
        self.world.resources.append(resource)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Have it no more."""
        self.world.begin(f"remove {resource.name}")
        if users := [each for each in self.observe().attachments if each.network == self.stack.engine_name(resource)]:
            raise EngineError(f"{resource.name} has active endpoints: {users[0].container}")
        self.world.resources = [each for each in self.world.resources if each != resource]

    def removal(self, resource: Network | Volume) -> str:
        """Return a command that does not exist."""
        return f"forget {resource.kind} {self.stack.engine_name(resource)}"

    def create_replica(self, service: Service, number: int) -> Replica:
        """Have a replica that runs, or one that ended at once; its log is what its command `echo`ed."""
        return self._create(service, number, Replica("", 0, "", "running", {}))

    def create_candidate(self, service: Service, number: int) -> Replica:
        """Add a replica without ports that is never admitted."""
        self._create(service.candidate, number, Replica("", 0, "", "running", {}, is_candidate=True))
        return self.world.replicas[f"{service.name}-{number}"]

    def prepare_replica(self, service: Service, number: int, old: Replica) -> Replica:
        """Create a replica without starting it."""
        return self._create(service, number, Replica("", 0, "", "created", {}, replaces=old.id))

    def _create(self, service: Service, number: int, like: Replica) -> Replica:
        name = f"{service.name}-{number}"
        name = f"new {name}" if name in self.world.replicas else name
        self._refuse_missing(service)
        self.world.begin(f"create {name}")
        self.world.logs[name] = _echoed(service.command or ())
        self.world.replicas[name] = Replica(
            service=service.name,
            number=number,
            id=f"{name}-{next(self.world.ids)}",
            state=like.state,
            replaces=like.replaces,
            recipe=self.recipe(service),
            release=service.release,
            image=service.image,
            address=f"{service.ports[0].host}:{service.ports[0].published}" if service.ports else "",
            is_reloadable=any(mount.kind == "config" for mount in service.mounts),
            is_candidate=like.is_candidate,
            is_admitted=not like.is_candidate
            and (bool(service.why_single) or not self.stack.networks_to_dependants(service)),
        )
        self.world.restarts[self.world.replicas[name].id] = service.restart
        if like.is_running:
            self._die(name)
        return self.world.replicas[name]

    def _die(self, name: str) -> None:
        if words := self.world.dying.get(self.world.replicas[name].service):
            self.world.end_replica(name, words)

    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Have another replica like that."""
        name = f"{replica.service}-{number}"
        self.world.begin(f"clone {replica.name} as {name}")
        changes = {"number": number, "id": f"{name}-{next(self.world.ids)}", "is_admitted": False, "replaces": ""}
        self.world.replicas[name] = replace(replica, **changes)  # type: ignore[arg-type]
        self.world.restarts[self.world.replicas[name].id] = replica.recipe["restart"]
        self.world.logs[name] = b""
        return self.world.replicas[name]

    def admit_replica(self, replica: Replica) -> None:
        """Admit it to the service."""
        name = self.world.name(replica)
        if not self.world.replicas[name].is_admitted:
            self.world.change(f"admit {name}", name, is_admitted=True)

    def check_reload(self, service: Service, replica: Replica) -> None:
        """Raise what the world says of the service's configuration."""
        if words := self.world.refusals.get(service.name):
            raise EngineError(
                f"{replica.name} rejects its configuration ({words}); it still runs with the previous one"
            )

    def reload_replica(self, service: Service, replica: Replica) -> None:
        """Have it loaded what the files hold now."""
        self.check_reload(service, replica)
        recipe, before = self.recipe(service), self.world.replicas[replica.name].recipe
        self.world.change(f"reload {replica.name}", replica.name, recipe=recipe)
        self.world.previous[replica.name] = before
        self.world.logs[replica.name] += "".join(
            content for name, content in recipe.items() if name.startswith("config.")
        ).encode()

    def restore_configuration(self, service: Service, replica: Replica) -> bool:  # noqa: ARG002 - there is one
        """Restore its recipe from before the reload."""
        self.world.change(f"restore {replica.name}", replica.name, recipe=self.world.previous.pop(replica.name))
        return True

    def execute_hook(self, replica: Replica, hook: Hook) -> tuple[int, str]:
        """Interpret the command with the replica's environment and the hook's."""
        self.world.begin(f"execute {shlex.join(hook.command)} in {self.world.name(replica)}")
        request = RunRequest("", hook.command, replica, interactive=False)
        process = Process(self.world, request, _environment(replica.recipe) | dict(hook.environment), 0)
        process.begin()
        return process.wait(), b"".join(data for _, data in process.output()).decode()

    def execute(self, replica: Replica, hook: Hook, *, tty: bool, interactive: bool) -> Session:
        """Interpret the command with the replica's environment and the hook's."""
        request = RunRequest("", hook.command, replica, interactive=interactive, tty=tty)
        process = Process(self.world, request, _environment(replica.recipe) | dict(hook.environment), 0)
        process.begin()
        return process

    def stop_replica(self, replica: Replica) -> None:
        """Stop it."""
        name = self.world.name(replica)
        if self.world.replicas[name].is_running:
            self.world.change(f"stop {name}", name, state="stopped")

    def retire_replica(self, replica: Replica) -> None:
        """Stop it, and keep the engine from starting it again."""
        self.stop_replica(replica)
        self._let_restart(replica.id, "no")

    def _let_restart(self, identity: str, policy: str) -> None:
        if self.world.restarts.get(identity, policy) != policy:
            self.world.begin(f"let restart {policy} {identity}")
            self.world.restarts[identity] = policy

    def start_replica(self, replica: Replica) -> None:
        """Start it, unless it was removed."""
        if not (name := self.world.name(replica)):
            raise EngineError(f"{replica.name} was removed")
        now = self.world.replicas[name]
        if not now.is_running:
            self.world.change(f"start {name}", name, state="running")
            if now.state == "created":
                self._die(name)

    def _refuse_missing(self, service: Service) -> None:
        """Raise `EngineError` if the image or a network is missing, as any engine would."""
        networks = {self.stack.engine_name(network) for network in self.world.resources}
        wanted = {self.stack.known_as("network", name) for name in service.networks}
        external = {self.stack.engine_name(network) for network in self.stack.networks if network.external}
        if service.image not in self.world.images or not wanted <= networks | external:
            raise EngineError(f"the image or a network of {service.name} is missing. Try: invoke up")

    def remove_replica(self, replica: Replica) -> None:
        """Remove it; the engine may start the one that it replaced again."""
        by_id = {each.id: each for each in tuple(self.world.replicas.values())}
        if replica.id in by_id and (old := by_id.get(replica.replaces)):
            self.stop_replica(replica)
            self._let_restart(replica.id, "no")
            self._let_restart(old.id, old.recipe["restart"])
        name = self.world.name(replica)
        self.world.begin(f"remove {name or replica.name}")
        with self.world.changed:
            self.world.replicas.pop(name, None)
            if new := self.world.replicas.pop(f"new {name}", None):
                self.world.replicas[name] = new
                self.world.logs[name] = self.world.logs.pop(f"new {name}")
            self.world.changed.notify_all()

    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the images of what the stack builds, the newest first."""
        names = [image_name(service.image).repository for service in self.stack.services if service.build]
        found = map(image_name, self.world.images)
        return tuple(
            BuiltRelease(image.tag, f"2026-11-25T00:00:{order:02}+00:00", "me", 1)
            for order, image in reversed([*enumerate(found)])
            if image.repository in names
        )

    def remove_release(self, release: str) -> bool:
        """Have the image no more."""
        self.world.begin(f"remove release {release}")
        self.world.images = [image for image in self.world.images if not image.endswith(f":{release}")]
        return True

    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield the replica's log, as often as there is more of it; nothing of before `since`, if all is older."""
        if since and since > datetime.now(UTC):
            return
        lines = self.world.logs.get(self.world.name(replica), b"").splitlines(keepends=True)
        yielded = b"".join(lines)
        yield b"".join(lines if last is None else lines[len(lines) - last :])
        while follow and self.world.name(replica):
            with self.world.changed:
                self.world.changed.wait(0.01)
                printed = self.world.logs.get(self.world.name(replica), yielded)
            yield printed[len(yielded) :]
            yielded = printed

    def check_health(self, replica: Replica, within: float | None = None) -> Health:  # noqa: ARG002 - no time passes
        """Return what the world says of the replica, by default that it has run for long; raises for one gone."""
        name = self.world.name(replica)
        if not name:
            raise EngineError(f"{replica.name} is gone")
        now = self.world.replicas[name]
        if said := self.world.healths.get(name):
            return said
        ran = self.world.running_seconds.get(name, math.inf)
        return healthcheck.of_process(now, lambda: ran, self.monitor(replica.service))

    @functools.cached_property
    def state(self) -> MemoryState:
        """Return the state of this world."""
        return MemoryState(self.world)

    @functools.cached_property
    def runs(self) -> MemoryRuns:
        """Return the runs of this world."""
        return MemoryRuns(self.stack, self.world)


def _echoed(command: Sequence[str]) -> bytes:
    """Return what a service's shell script echoes before it continues."""
    scripts = [shlex.split(each) for each in command[-1].split(";")] if command else []
    return b"".join(f"{' '.join(words[1:])}\n".encode() for words in scripts if words[:1] == ["echo"])


class KilledError(Exception):
    """A signal, or its time, ended a process; the argument is the exit code."""


class Process(Session):
    """A run: a thread that interprets the command; the world keeps it as its own record."""

    def __init__(self, world: World, request: RunRequest, environment: dict[str, str], grace: float) -> None:
        """Take what the run is; it is created, and not started."""
        self.changed, self.request, self.environment, self.grace = world.changed, request, environment, grace
        self.started, self.began = datetime.now(UTC).isoformat(), time.monotonic()
        self.pieces: list[tuple[int, bytes]] = []
        self.printed_at: list[datetime] = []
        self.stdin, self.is_closed, self.killed_by = b"", not request.interactive, 0
        self.code: int | None = None
        self.finished, self.seconds, self.is_stopped, self.is_over_time = "", 0.0, False, False
        self.is_started = False

    def begin(self) -> None:
        """Start it."""
        self.is_started, self.began = True, time.monotonic()
        threading.Thread(target=self._interpret, daemon=True).start()

    def _interpret(self) -> None:
        try:
            code = interpret(self, self.request.command)
        except KilledError as error:
            (code,) = error.args
        with self.changed:
            self.code, self.finished = code, datetime.now(UTC).isoformat()
            self.seconds = time.monotonic() - self.began
            self.changed.notify_all()

    def print(self, stream: int, data: bytes) -> None:
        """Write to one of the process's outputs; a terminal has only one."""
        with self.changed:
            self.pieces.append((STDOUT if self.request.tty else stream, data))
            self.printed_at.append(datetime.now(UTC))
            self.changed.notify_all()

    def pause(self, until: Callable[[], bool], seconds: float | None = None) -> None:
        """Let the process wait; raises `KilledError` where a signal comes or its time is over meanwhile."""
        limit, own = self.request.timeout, self.began
        ends = [time.monotonic() + seconds] if seconds is not None else []
        with self.changed:
            while not until() and not any(time.monotonic() >= end for end in ends):
                if self.killed_by:
                    raise KilledError(128 + self.killed_by)
                if limit is not None and time.monotonic() >= own + limit:
                    self.is_over_time = True
                    raise KilledError(TIMED_OUT)
                self.changed.wait(0.01)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what is printed until the process has ended."""
        return self.printed(follow=True)

    def printed(
        self, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield what was printed so far, and with `follow` what still is; each piece is a line."""
        old = sum(since is not None and moment < since for moment in self.printed_at)
        for number in itertools.count(max(old, 0 if last is None else len(self.pieces) - last)):
            with self.changed:
                self.changed.wait_for(lambda: len(self.pieces) > number or self.code is not None or not follow)  # noqa: B023 - asked at once
                if len(self.pieces) <= number:
                    return
                piece = self.pieces[number]
            yield piece

    def write_stdin(self, data: bytes) -> None:
        """Give the process input."""
        with self.changed:
            if self.is_closed or self.code is not None:
                raise BrokenPipeError
            self.stdin += data
            self.changed.notify_all()

    def close_stdin(self) -> None:
        """Close its input."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    def resize(self, rows: int, columns: int) -> None:
        """Do nothing: no program here asks for the size."""

    def signal(self, number: int) -> None:
        """Kill the process, unless it has ended: no program here has an answer to a signal."""
        with self.changed:
            self.killed_by = number
            self.changed.notify_all()

    def wait(self) -> int:
        """Return the exit code when it has ended."""
        with self.changed:
            self.changed.wait_for(lambda: self.code is not None)
        self.exit_code = self.code
        return self.code or 0

    @property
    def state(self) -> str:
        """Return the record's state."""
        if self.code is None:
            return "running" if self.is_started else "created"
        if self.is_stopped or self.is_over_time:
            return "stopped" if self.is_stopped else "timeout"
        return "failed" if self.code else "done"


class MemoryRuns(Runs):
    """The runs of one world."""

    def __init__(self, stack: Stack, world: World) -> None:
        """Take the stack and the world."""
        self.stack, self.world = stack, world
        self.pinned: dict[str, Recipe] = {}

    def pin(self, replica: Replica) -> None:
        """Keep the recipe."""
        self.pinned[replica.identity] = self._recipe(replica)

    def start(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> Session:
        """Start a process with the replica's environment."""
        recipe = self._recipe(request.replica)
        environment = _environment(recipe) | _changed(request) | dict(request.identifying_environment)
        process = Process(self.world, request, environment, float(recipe["stop_grace_period"].rstrip("s")))
        self.world.runs[request.id] = process
        try:
            ready()
            self.world.begin(f"run {shlex.join(request.command)}")
        except BaseException:
            del self.world.runs[request.id]
            raise
        process.begin()
        return process

    def detach(self, request: RunRequest, ready: Callable[[], None] = lambda: None) -> None:
        """Start a process, and close its input."""
        self.start(request, ready).close_stdin()

    def differences(self, request: RunRequest) -> tuple[str, ...]:
        """Compare the environment with the replica's."""
        found = _environment(self._recipe(request.replica))
        names = differences(found | _changed(request), found)
        others = request.changes.keys - {"command", "environment"} if request.changes else ()
        return (*(f"environment.{name}" for name in names), *sorted(others))

    def prune(self, keep: int, removing: Callable[[Sequence[Run]], None] = lambda _: None) -> None:
        """Delete the oldest."""
        ended = [run for run in self.records() if not run.is_running]
        failed = [run for run in ended if run.exit_code]
        kept = ended[max(0, len(ended) - keep) :] + failed[max(0, len(failed) - keep) :]
        removed = [run for run in ended if run not in kept]
        removing(removed)
        for run in removed:
            self.delete(run.id)

    def ids(self) -> frozenset[str]:
        """Return the ids of all processes."""
        return frozenset(self.world.runs)

    def records(self, ids: Collection[str] | None = None) -> tuple[Run, ...]:
        """Return a record of each process."""
        return tuple(_record(run) for name, run in [*self.world.runs.items()] if ids is None or name in ids)

    def output(
        self, identity: str, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield what the process printed, where that is kept."""
        process = self.world.runs[identity]
        return process.printed(follow=follow, last=last, since=since) if process.request.kept else iter(())

    def stop(self, identity: str, say: Say) -> None:
        """Send TERM to a process that has not ended."""
        process = self.world.runs[identity]
        if process.code is None:
            say(waiting(identity, process.grace))
            process.is_stopped = True
            process.signal(signal.SIGTERM)
            process.wait()

    def delete(self, identity: str) -> None:
        """Forget a process."""
        self.world.runs.pop(identity, None)

    def _recipe(self, replica: Replica) -> Recipe:
        """Return what a replica was made from, or one of a built release would be; raises `NotUpError` without it."""
        if pinned := self.pinned.get(replica.identity):
            return pinned
        if replica.id:
            if replica.id in {each.id for each in self.world.replicas.values()}:
                return replica.recipe
            raise NotUpError(f"{replica.name} is gone; repeat the command, or: invoke up")
        job = self.stack.job(replica.service)
        service = self.stack.service(replica.service) or (job.changes.container if job else None)
        if service is None or not self.world.image_id(replica.image):
            raise NoReleaseError(f"release {replica.release} does not exist; see: invoke releases")
        return Memory(self.stack, self.world).recipe(replace(service, image=replica.image))


def _changed(request: RunRequest) -> dict[str, str]:
    """Return the variables of a job and of the request."""
    declared = request.changes.container.environment if request.changes else ()
    return dict(declared + request.environment)


def _environment(recipe: Recipe) -> dict[str, str]:
    mark = "environment."
    return {name.removeprefix(mark): value for name, value in recipe.items() if name.startswith(mark)}


def _record(process: Process) -> Run:
    request = process.request
    return Run(
        id=request.id,
        command=request.command,
        engine=Memory.name,
        release=request.replica.release,
        image=request.replica.image,
        operator=request.operator,
        reason=request.reason,
        overrides=request.overrides,
        started=process.started,
        finished=process.finished,
        seconds=None if process.code is None else process.seconds,
        state=process.state,
        exit_code=process.code,
        purpose=request.purpose,
        host=request.host,
        kind=request.kind,
        what=request.what,
        job=request.job,
        trigger=request.trigger,
        notify=request.notify,
        discards_output=not request.kept,
    )


def interpret(process: Process, words: Sequence[str]) -> int:
    """Return the exit code of a command, done as its program would."""
    program, *arguments = words
    if program not in PROGRAMS:
        process.print(STDERR, f"{program}: not found\n".encode())
        return NO_SUCH_PROGRAM
    return PROGRAMS[program](process, arguments)


def _echo(process: Process, words: Sequence[str]) -> int:
    to_stderr = words[-1:] == [">&2"]
    process.print(STDERR if to_stderr else STDOUT, f"{' '.join(words[: len(words) - to_stderr])}\n".encode())
    return 0


def _cat(process: Process, _: Sequence[str]) -> int:
    while True:
        process.pause(lambda: bool(process.stdin) or process.is_closed)
        with process.changed:
            data, process.stdin = process.stdin, b""
        if not data:
            return 0
        process.print(STDOUT, data)


def _sleep(process: Process, words: Sequence[str]) -> int:
    process.pause(lambda: False, float(words[0]))
    return 0


def _printenv(process: Process, words: Sequence[str]) -> int:
    (name,) = words
    if name not in process.environment:
        return 1
    return _echo(process, [process.environment[name]])


def _pwd(process: Process, _: Sequence[str]) -> int:
    changes = process.request.changes
    return _echo(process, [container_keys.values(changes.container.options)["working_dir"] if changes else "/"])


def _sh(process: Process, words: Sequence[str]) -> int:
    """Do the commands of `-c SCRIPT` one after the other; its `echo` goes to standard error with `>&2`."""
    code = 0
    for each in words[1].split(";"):
        program, *arguments = shlex.split(each)
        if program == "exit":
            return int(arguments[0])
        code = interpret(process, (program, *arguments))
    return code


PROGRAMS: dict[str, Callable[[Process, Sequence[str]], int]] = {
    "true": lambda *_: 0,
    "false": lambda *_: 1,
    "echo": _echo,
    "cat": _cat,
    "sh": _sh,
    "sleep": _sleep,
    "printenv": _printenv,
    "pwd": _pwd,
}
"""What a run can do, by its first word; any other is a program that is missing."""
