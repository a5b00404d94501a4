"""Run a stack as processes of this machine: supervisor restarts them, an embedded Valkey stores the data."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import secrets
import shlex
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.build_context.release import is_release
from twelfth.engines import tcp
from twelfth.engines.contract import ReplicaEngine
from twelfth.engines.disk_errors import disk_errors
from twelfth.engines.json_file import has_shape, read_json, write_json
from twelfth.engines.local import hooks, launch, release_copies, replica_spec, scheduler, tail
from twelfth.engines.local.health import check_health
from twelfth.engines.local.inherited_environment import has_interpreter, inherited, search_path
from twelfth.engines.local.old_home import OldHome
from twelfth.engines.local.proxy_control import ServiceProxy
from twelfth.engines.local.replica_spec import LOOPBACK
from twelfth.engines.local.run_record import make_private, records
from twelfth.engines.local.run_spec import WORKER
from twelfth.engines.local.runs import LocalRuns
from twelfth.engines.local.service_ports import ServicePorts
from twelfth.engines.local.state_directory import StateDirectory
from twelfth.engines.local.supervisord import Supervisor
from twelfth.errors import EngineError, MisuseError, NoReleaseError
from twelfth.model.service import Port
from twelfth.model.snapshot import Snapshot
from twelfth.model.stack import Volume
from twelfth.state_home import state_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from twelfth.engines.contract import Runs, Say
    from twelfth.engines.local.replica_spec import Spec
    from twelfth.engines.state import State
    from twelfth.model.hook import Hook
    from twelfth.model.service import Service
    from twelfth.model.snapshot import BuiltRelease, Health, Recipe, Replica
    from twelfth.model.stack import Network, Stack


class Local(ReplicaEngine):
    """A stack under a separate supervisord, with its files in the operator's state directory; it has no networks."""

    name = "local"
    mounts_directories = False
    keeps_scheduler = True
    has_images = False

    def __init__(self, stack: Stack) -> None:
        """Keep the stack without its networks; a volume is a directory named after its key."""
        volumes = tuple(replace(volume, known_as="", options=()) for volume in stack.volumes)
        super().__init__(replace(stack, networks=(), volumes=volumes))
        self.home = state_home(stack.project)
        self.releases_directory = self.home / "releases"
        self.supervisor = Supervisor(self.home)
        self.change_lock = threading.RLock()
        self.ports = ServicePorts(self.stack, self.home / "ports.json", self.supervisor)

    def adopt_old_state(self, *, may_stop: bool) -> str:
        """Move the stack from the checkout, where older versions stored it."""
        old = OldHome(self.stack, self.home, self.state)
        return old.move(may_stop=may_stop) if old.exists() else ""

    def other_directory(self) -> Path | None:
        """Return the directory in the file that was written when a process was created."""
        try:
            directory = Path(self._origin.read_text("utf-8").rstrip("\n"))
        except OSError:
            return None
        return directory if directory.is_dir() and not directory.samefile(self.stack.directory) else None

    @property
    def _origin(self) -> Path:
        return self.home / "directory"

    def host_ports(self, service: Service) -> tuple[Port, ...]:
        """Return the port on which the service listens, unless its load balancer already has it."""
        port = service.local and service.local.port
        return (Port(port, port, LOOPBACK),) if port and not self._proxy(service.name).has(port) else ()

    def runs_here(self, service: Service) -> bool:
        """Return whether the service has an `x-local`."""
        return service.local is not None

    def why_unavailable(self) -> str:
        """Return what to install if supervisor is missing: only `twelfth[local]` requires it."""
        is_installed = importlib.util.find_spec("supervisor")
        return "" if is_installed else "engine local: supervisor is not installed. Try: pip install 'twelfth[local]'"

    def observe(self) -> Snapshot:
        """Return the launched processes, the directories of volumes, and the images of copied releases."""
        volumes = sorted((self.home / "volumes").glob("*/"))
        built = [service for service in self.stack.services if service.build]
        missing = {service.image for service in built if not self._release(service).exists()}
        return Snapshot(
            replicas=self._processes(),
            volumes=tuple(Volume(path.name) for path in volumes),
            images=self.stack.image_names - missing,
        )

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's processes."""
        return tuple(process for process in self._processes() if service in ("", process.service))

    def _processes(self) -> tuple[Replica, ...]:
        states = self.supervisor.states() if self.home.exists() else {}
        specs = sorted((self.home / "services").glob("*.json"))
        return tuple(self._process(path, self._usable_spec(path.stem), states) for path in specs)

    def _process(self, path: Path, spec: Spec, states: Mapping[str, str]) -> Replica:
        is_admitted = not spec.get("port") or self._proxy(spec["service"]).sends_to(path.stem, states)
        return replica_spec.replica(path.stem, spec, states, is_admitted=is_admitted, starts=launch.starts(path))

    def _proxy(self, service: str) -> ServiceProxy:
        return ServiceProxy(self.home, service, self.supervisor)

    def recipe(self, service: Service) -> Recipe | None:
        """Return what a process of the service would be started from, None if the service has no `x-local`."""
        if not self.runs_here(service):
            return None

        def fill(text: str) -> str:
            return replica_spec.filled(text, self.stack, service, self.home / "volumes", self.ports.port)

        return replica_spec.recipe(service, self.home, fill)

    def ensure_image(self, service: Service, say: Say) -> None:
        """Copy the service's release to a read-only directory, from which its processes start."""
        if service.build is None:
            return
        if other_service := next(
            (
                candidate
                for candidate in self.stack.services
                if candidate.build and candidate.build.context != service.build.context
            ),
            None,
        ):
            what = f"{service.name} and {other_service.name} are built from different directories"
            raise EngineError(f"{what}, and this engine has one copy of a release; build both from one")
        target = self._release(service)
        with disk_errors(target):
            make_private(self.home, target.parent.name)
            release_copies.copy(service.build, target)
        say(f"copied to {os.path.relpath(target)}")

    def create_resource(self, resource: Network | Volume) -> None:
        """Create a volume's directory."""
        with disk_errors(self.home):
            make_private(self.home, "volumes", resource.name)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Delete a volume's directory."""
        release_copies.delete(self._directory(resource))

    def removal(self, resource: Network | Volume) -> str:
        """Return the shell command that deletes a volume's directory."""
        return f"rm -r {shlex.quote(str(self._directory(resource)))}"

    def refuse_stack(self) -> None:
        """Raise `MisuseError` if the directory of an external volume does not exist."""
        used = {mount.source for service in self.stack.services if self.runs_here(service) for mount in service.mounts}
        for volume in self.stack.volumes:
            path = self._directory(volume)
            if volume.external and volume.name in used and not path.is_dir():
                command = f"mkdir -p {shlex.quote(str(path))}"
                raise MisuseError(f"the external volume {volume.name} has no directory; try: {command}")

    def _directory(self, volume: Network | Volume) -> Path:
        return self.home / "volumes" / volume.name

    def create_replica(self, service: Service, number: int) -> Replica:
        """Write the process's specification, and make supervisord start it."""
        with self.change_lock:
            return self._launch(self._new_spec(service, number))

    def prepare_replica(self, service: Service, number: int, old: Replica) -> Replica:
        """Write the process's specification without starting it; processes have no anonymous volumes."""
        spec = self._new_spec(service, number) | {"replaces": old.id}
        with disk_errors(self.home):
            program = self._free_program(spec)
            self._write(program, spec)
            return self._of(program)

    def _new_spec(self, service: Service, number: int) -> Spec:
        with disk_errors(self.home):
            make_private(self.home)
            self.ports.remember(service)
        return self._spec(service, number)

    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Write the specification of a copy of a process, and make supervisord start it."""
        with self.change_lock:
            return self._launch(self._with_port(replica_spec.clone(self._worker(replica), number)))

    def _launch(self, spec: Spec) -> Replica:
        program = self._free_program(spec)
        with disk_errors(self.home):
            try:
                self.supervisor.start()
                self._write(program, spec)
                self._add(program, spec)
            except BaseException:
                self._remove(program)
                raise
        return self._of(program)

    def _free_program(self, spec: Spec) -> str:
        """Return the name of a new replica's program, which has a suffix while the replica that it replaces exists."""
        name = f"{spec['service']}-{spec['number']}"
        return f"{name}.{secrets.token_hex(4)}" if self._spec_of(name).exists() else name

    def _write(self, program: str, spec: Spec) -> None:
        """Write a process's specification with a new id, since an earlier program may have had its name."""
        make_private(self.home, "services")
        make_private(self.home, "logs")
        self._origin.write_text(f"{self.stack.directory.resolve()}\n", "utf-8")
        self.supervisor.remove(program)
        launch.counter(self._spec_of(program)).unlink(missing_ok=True)
        for log in (self.home / "logs").glob(f"{spec['service']}-{spec['number']}.*"):
            if not self._spec_of(log.name.partition(".log")[0]).exists():  # of a removed process
                log.unlink(missing_ok=True)
        write_json(self._spec_of(program), spec | {"id": f"{program}-{secrets.token_hex(4)}"})

    def _add(self, program: str, spec: Spec) -> None:
        recipe = spec["recipe"]
        grace, log = int(recipe["stop_grace_period"].rstrip("s")), json.loads(recipe["logging"])
        self.supervisor.add(program, self._spec_of(program), restart=recipe["restart"], grace=grace, log=log)

    def _of(self, program: str) -> Replica:
        return next(process for process in self._processes() if replica_spec.program(process) == program)

    def _spec_of(self, program: str) -> Path:
        return self.home / "services" / f"{program}.json"

    def admit_replica(self, replica: Replica) -> None:
        """Make the service's load balancer send requests to the process."""
        program = replica_spec.program(replica)
        spec = read_json(self._spec_of(program))
        if port := spec.get("port"):
            with disk_errors(self.home), self.change_lock:
                self._proxy(replica.service).admit(program, port, self._service_port(spec))

    def execute_hook(self, replica: Replica, hook: Hook) -> tuple[int, str]:
        """Execute the command next to the process."""
        return hooks.execute(hook, self._usable_spec(replica_spec.program(replica)))

    def stop_replica(self, replica: Replica) -> None:
        """Stop a process and keep its specification."""
        self.supervisor.stop_program(replica_spec.program(replica))

    def retire_replica(self, replica: Replica) -> None:
        """Stop a process; a restarted supervisord starts no process by itself."""
        self.stop_replica(replica)

    def start_replica(self, replica: Replica) -> None:
        """Launch a stopped or prepared process; raises `EngineError` if it was removed."""
        program = replica_spec.program(replica)
        spec = read_json(self._spec_of(program))
        if spec.get("id") != replica.id:
            raise EngineError(f"cannot start {replica.name}: it was removed. Try: invoke up")
        with disk_errors(self.home), self.change_lock:
            self.supervisor.start()
            if self._of(program).is_running:
                return
            launch.counter(self._spec_of(program)).unlink(missing_ok=True)  # this start is no restart
            if not has_interpreter(spec["environment"]):  # supervisord would start it with the removed one
                spec = self._usable_spec(program)
                write_json(self._spec_of(program), spec)
                self.supervisor.remove(program)
            if program in self.supervisor.states():
                self.supervisor.start_program(program)
            else:
                self._add(program, spec)

    def remove_replica(self, replica: Replica) -> None:
        """Stop a process after its load balancer stops sending requests; stop supervisord with the last process."""
        program = replica_spec.program(replica)
        with disk_errors(self.home), self.change_lock:
            self._proxy(replica.service).dismiss(program)
        self.supervisor.stop_program(program)
        with self.change_lock:
            self._remove(program)

    def _remove(self, program: str) -> None:
        self.supervisor.remove(program)
        for suffix in (".json", ".starts"):
            (self.home / "services" / f"{program}{suffix}").unlink(missing_ok=True)
        service, _ = replica_spec.service_and_number(program)
        if not self.replicas(service):
            self._proxy(service).remove()
        if not self.supervisor.states().keys() - {scheduler.PROGRAM}:
            self.supervisor.stop()

    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the copied releases, the newest first."""
        copies = [release_copies.built(path) for path in self.releases_directory.glob("*/") if is_release(path.name)]
        return tuple(sorted(copies, key=lambda copy: copy.built, reverse=True))

    def remove_release(self, release: str) -> bool:
        """Delete a copied release unless a process of the stack, or one of its running runs, uses it."""
        users = [read_json(path).get("release") for path in self.home.glob("services/*.json")]
        users += [run.release for run in records(self.home) if run.is_running]
        if release in users:
            return False
        with disk_errors(self.releases_directory):
            release_copies.remove(self.releases_directory / release)
        return True

    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield the log of a process; `since` compares the times of lines that are JSON objects with a `time`."""
        program = replica_spec.program(replica)
        path = self.home / "logs" / f"{program}.log"
        return tail.log(path, lambda: follow and program in self.supervisor.states(), last=last, since=since)

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the healthcheck that the process was launched with."""
        program = replica_spec.program(replica)
        spec, path = self._usable_spec(program), self._spec_of(program)
        return check_health(replica, spec, path, self.monitor(replica.service), within)

    def start_scheduler(self, environment: Mapping[str, str]) -> None:
        """Make supervisord keep it running."""
        with disk_errors(self.home), self.change_lock:
            scheduler.keep(self.supervisor, self.home, self.stack.directory.resolve(), environment)

    def stop_scheduler(self) -> None:
        """Remove it from supervisord."""
        with self.change_lock:
            scheduler.stop(self.supervisor, self.home)

    def scheduler_state(self) -> str:
        """Return the state of its process."""
        return self.supervisor.states().get(scheduler.PROGRAM, "") if self.home.exists() else ""

    @functools.cached_property
    def state(self) -> State:
        """The state of the stack, in its directory."""
        return StateDirectory(self.home / "state")

    @functools.cached_property
    def runs(self) -> Runs:
        """The stack's runs, each a directory."""
        return LocalRuns(self.home, self._worker)

    def _release(self, service: Service) -> Path:
        return self.releases_directory / service.release

    def _worker(self, replica: Replica) -> Spec:
        """Return the specification of a replica, or of a future replica of a copied release."""
        if replica.id:
            return self._usable_spec(replica_spec.program(replica))
        service = self.stack.service(replica.service)
        if service is None or (service.build and not self._release(service).exists()):
            raise NoReleaseError(f"release {replica.release} does not exist; see: invoke releases")
        return self._spec(service, replica.number)

    def _usable_spec(self, program: str) -> Spec:
        """Return the specification of a process, with this interpreter if its own was removed with a checkout.

        Then the process could not be restarted, so its recipe differs from that of a new one.
        """
        spec = read_json(self._spec_of(program))
        if not has_shape(spec, WORKER) or has_interpreter(spec["environment"]):
            return spec
        return spec | {
            "environment": {**spec["environment"], "PATH": search_path()},
            "recipe": {**spec["recipe"], "interpreter": "removed"},
        }

    def _spec(self, service: Service, number: int) -> Spec:
        home = self._release(service) if service.build else self.home
        return self._with_port(
            replica_spec.replica_spec(service, number, self.recipe(service) or {}, inherited(), home)
        )

    def _with_port(self, spec: Spec) -> Spec:
        """Return a spec with a separate port, if the service's port is its load balancer's."""
        if not self._service_port(spec):
            return spec
        taken = {read_json(path).get("port") for path in (self.home / "services").glob("*.json")}
        return replica_spec.with_port(spec, next(port for port in iter(_free_port, 0) if port not in taken))

    def _service_port(self, spec: Spec) -> int:
        return replica_spec.service_port(spec, self.ports.port)


def _free_port() -> int:
    return tcp.free(LOOPBACK)
