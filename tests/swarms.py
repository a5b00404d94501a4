"""Swarms of a test's own: one machine or several, and a registry beside them that all of them pull from.

`with swarm(nodes=2) as made:` and then `made.environment`, with which the docker command and `invoke` talk to the first
manager. What a task publishes in host mode answers at the address of its machine (`made.nodes[0].address`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import docker

from tests import machines
from tests.machines import DYING, UP_WITHIN, Machine, Network
from tests.real_redis import eventually
from twelfth.engines import tcp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMAGES = ("PYTHON_IMAGE", "REDIS_IMAGE", "WEB_IMAGE")
"""The variables that name the base images."""
PORT = 5000
"""The registry's."""
JOINED_WITHIN = 60.0
"""Seconds until all nodes are ready, and until there is a leader after one was lost: Swarm takes 3 to 15."""


def why_unavailable() -> str:
    """Return why there can be no swarm here, or an empty string."""
    if why := machines.why_unavailable():
        return why
    return why_without_images() if shutil.which("docker-registry") else "docker-registry not installed; run: .ci/swarm"


def why_without_images() -> str:
    """Return which base images are not named, or an empty string."""
    missing = [name for name in IMAGES if name not in os.environ]
    return f"{', '.join(missing)} not set; run: export $(.ci/base-images)" if missing else ""


@dataclass
class Swarm:
    """Nodes that have joined; the first ones are managers."""

    network: Network
    nodes: list[Machine]
    managers: int

    @property
    def registry(self) -> str:
        """Return the registry's host and port; every daemon in the swarm takes it without TLS."""
        return f"{self.network.address()}:{PORT}"

    @property
    def environment(self) -> dict[str, str]:
        """Return what the docker command and `invoke` need to work with the first manager."""
        return {"DOCKER_HOST": self.nodes[0].url}

    def join(self) -> None:
        """Make the swarm of the first machine, and have the others join; the first is labelled to hold the data."""
        first = self.nodes[0]
        with contextlib.closing(first.api()) as api:
            api.init_swarm(advertise_addr=first.address, listen_addr=f"{first.address}:2377")
            tokens = api.inspect_swarm()["JoinTokens"]
        for number, node in enumerate(self.nodes[1:], 1):
            token = tokens["Manager" if number < self.managers else "Worker"]
            with contextlib.closing(node.api()) as api:
                api.join_swarm([f"{first.address}:2377"], token, f"{node.address}:2377", node.address)
        eventually(lambda: self.ready() == {node.name for node in self.nodes}, JOINED_WITHIN)
        self.label(first, {"twelfth.data": "true"})

    def listed(self) -> dict[str, Any]:
        """Return the nodes as a manager lists them, by name; raises `AssertionError` where none does in time."""
        told: dict[str, Any] = {}

        def look() -> bool:
            told.update(next(filter(None, map(_listed, self.nodes)), {}))
            return bool(told)

        eventually(look, JOINED_WITHIN)
        return told

    def ready(self) -> set[str]:
        """Return the names of the nodes that are ready to take tasks."""
        return {name for name, node in self.listed().items() if node["Status"]["State"] == "ready"}

    def leader(self) -> Machine | None:
        """Return the machine whose manager leads, None while they elect one."""
        leading = {name for name, node in self.listed().items() if node.get("ManagerStatus", {}).get("Leader")}
        return next((node for node in self.nodes if node.name in leading), None)

    def label(self, node: Machine, labels: dict[str, str]) -> None:
        """Set the labels of a node."""
        self._change(node, Labels=labels)

    def promote(self, node: Machine) -> None:
        """Make a manager of a worker, and wait until it answers as one."""
        self._change(node, Role="manager")
        eventually(lambda: _listed(node), JOINED_WITHIN)

    def demote(self, node: Machine) -> None:
        """Make a worker of a manager, and wait until it answers as none; a leader hands over first."""
        self._change(node, Role="worker")
        eventually(lambda: not _listed(node), JOINED_WITHIN)

    def change_leader(self) -> None:
        """Kill the daemon of the manager that leads, and start it again when another one does."""
        if old := self.leader():
            old.kill_daemon()
            eventually(lambda: self.leader() not in (None, old), JOINED_WITHIN)
            old.start_daemon()

    def _change(self, node: Machine, **changes: object) -> None:
        found = self.listed()[node.name]
        with contextlib.closing(next(filter(_listed, self.nodes)).api()) as api:
            api.update_node(found["ID"], found["Version"]["Index"], cast("Any", {**found["Spec"], **changes}))


def _listed(node: Machine) -> dict[str, Any]:
    """Return the nodes as this one lists them, by name: none where it is no manager, or one without a majority."""
    if not node.answers():
        return {}
    with contextlib.suppress(docker.errors.DockerException, OSError), contextlib.closing(node.api(5)) as api:
        return {each["Description"]["Hostname"]: each for each in api.nodes()}
    return {}


@contextlib.contextmanager
def swarm(nodes: int = 1, managers: int = 1, root: Path | None = None) -> Iterator[Swarm]:
    """Yield a swarm; every machine has the base images, and its first ones are managers.

    `root` is the root file system of another Docker version (`tests/modern.py`).
    """
    with contextlib.ExitStack() as held:
        network = held.enter_context(machines.network())
        held.enter_context(_registry(network))
        images = disk([os.environ[name] for name in IMAGES])
        made = [held.enter_context(machines.machine(network, number + 2, images, root)) for number in range(nodes)]
        joined = Swarm(network, made, managers)
        joined.join()
        yield joined


@contextlib.contextmanager
def _registry(network: Network) -> Iterator[None]:
    """Have a registry at this machine's address in the network."""
    place, at = network.home / "registry", network.address()
    settings = network.home / "registry.yml"
    settings.write_text(
        f"{{version: 0.1, http: {{addr: '{at}:{PORT}'}}, log: {{level: warn}}, "
        f"storage: {{filesystem: {{rootdirectory: {place}}}, delete: {{enabled: true}}}}}}",
        "utf-8",
    )
    with (network.home / "registry.log").open("wb") as log:
        process = subprocess.Popen([*DYING, "docker-registry", "serve", settings], stdout=log, stderr=log)
    try:
        eventually(lambda: tcp.answers(at, PORT), UP_WITHIN)
        yield
    finally:
        process.kill()
        process.wait(UP_WITHIN)


def disk(names: Sequence[str]) -> Path:
    """Return a directory of a daemon that has these images, of this machine's daemon: made once, and kept."""
    with contextlib.closing(docker.from_env().api) as source:
        ids = [source.inspect_image(name)["Id"] for name in names]
        digest = hashlib.sha256(repr((names, ids)).encode()).hexdigest()[:12]
        kept = Path(tempfile.gettempdir()) / f"twelfth-images-{digest}"
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                _write_disk(source, names, kept)
    return kept


def _write_disk(source: docker.APIClient, names: Sequence[str], kept: Path) -> None:
    with machines.network() as network:
        with machines.machine(network, 2) as made, contextlib.closing(made.api()) as target:
            for name in names:
                [*target.load_image(source.get_image(name))]
        (made.home / "data").rename(kept)
