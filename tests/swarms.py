"""Create Swarms for tests: one machine or several, and a registry from which all of them pull.

After `with swarm(nodes=2) as created:`, the docker command and `invoke` use the first manager with the variables
`created.environment`. A port that a task publishes in host mode is on its machine (`created.nodes[0].address`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import docker

from tests import machines
from tests.machines import DYING, UP_WITHIN, Machine, Network
from tests.real_redis import eventually
from twelfth.engines import tcp
from twelfth.engines.docker_api import images
from twelfth.stack import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMAGES = ("PYTHON_IMAGE", "REDIS_IMAGE", "WEB_IMAGE")
"""The variables that name the base images."""
ROOT = Path(__file__).resolve().parents[1]
CACHED = "cached:1"
"""The name that an image has while the build cache is filled."""
PORT = 5000
"""The port of the registry."""
JOINED_WITHIN = 60.0
"""Seconds until all nodes are ready, and until there is a new leader: Swarm takes 3 to 15."""


def why_unavailable() -> str:
    """Return why Swarms cannot be created, or an empty string."""
    if why := machines.why_unavailable():
        return why
    return why_without_images() if shutil.which("docker-registry") else "docker-registry not installed; run: .ci/swarm"


def why_without_images() -> str:
    """Return which base images are not set, or an empty string."""
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
        """The registry's host and port; every daemon of the swarm uses it without TLS."""
        return f"{self.network.address()}:{PORT}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the docker command and `invoke` use the first manager."""
        return {"DOCKER_HOST": self.nodes[0].url}

    def join(self) -> None:
        """Initialise the swarm on the first machine, and join the others; the first has the label of the data."""
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
        """Return the nodes that a manager lists, by name; raises `AssertionError` if no manager answers in time."""
        nodes: dict[str, Any] = {}

        def list_nodes() -> bool:
            nodes.update(next(filter(None, map(_listed, self.nodes)), {}))
            return bool(nodes)

        eventually(list_nodes, JOINED_WITHIN)
        return nodes

    def ready(self) -> set[str]:
        """Return the names of the nodes that are ready to take tasks."""
        return {name for name, node in self.listed().items() if node["Status"]["State"] == "ready"}

    def leader(self) -> Machine | None:
        """Return the machine of the leader, None during an election."""
        leading = {name for name, node in self.listed().items() if node.get("ManagerStatus", {}).get("Leader")}
        return next((node for node in self.nodes if node.name in leading), None)

    def label(self, node: Machine, labels: dict[str, str]) -> None:
        """Set the labels of a node."""
        self._change(node, Labels=labels)

    def promote(self, node: Machine) -> None:
        """Make a worker a manager, and wait until it answers as one."""
        self._change(node, Role="manager")
        eventually(lambda: _listed(node), JOINED_WITHIN)

    def demote(self, node: Machine) -> None:
        """Make a manager a worker, and wait until it no longer answers as a manager."""
        self._change(node, Role="worker")
        eventually(lambda: not _listed(node), JOINED_WITHIN)

    def change_leader(self) -> None:
        """Kill the leader's daemon, and start it again when there is another leader."""
        if old := self.leader():
            old.kill_daemon()
            eventually(lambda: self.leader() not in (None, old), JOINED_WITHIN)
            old.start_daemon()

    def _change(self, node: Machine, **changes: object) -> None:
        listed = self.listed()[node.name]
        with contextlib.closing(next(filter(_listed, self.nodes)).api()) as api:
            api.update_node(listed["ID"], listed["Version"]["Index"], cast("Any", {**listed["Spec"], **changes}))


def _listed(node: Machine) -> dict[str, Any]:
    """Return the nodes that this one lists, by name: none if it is no manager, or one without a majority."""
    if not node.answers():
        return {}
    with contextlib.suppress(docker.errors.DockerException, OSError), contextlib.closing(node.api(5)) as api:
        return {listed["Description"]["Hostname"]: listed for listed in api.nodes()}
    return {}


@contextlib.contextmanager
def swarm(nodes: int = 1, managers: int = 1, root: Path | None = None) -> Iterator[Swarm]:
    """Yield a swarm; every machine has the base images, and the first ones are managers.

    `root` is the root file system of another Docker version (`tests/modern.py`).
    """
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(machines.network())
        stack.enter_context(_registry(network))
        disk_ = disk([os.environ[name] for name in IMAGES])
        machines_ = [stack.enter_context(machines.machine(network, number + 2, disk_, root)) for number in range(nodes)]
        created = Swarm(network, machines_, managers)
        created.join()
        yield created


@contextlib.contextmanager
def _registry(network: Network) -> Iterator[None]:
    """Run a registry at this machine's address in the network."""
    directory, address = network.home / "registry", network.address()
    settings = network.home / "registry.yml"
    settings.write_text(
        f"{{version: 0.1, http: {{addr: '{address}:{PORT}'}}, log: {{level: warn}}, "
        f"storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}}}",
        "utf-8",
    )
    with (network.home / "registry.log").open("wb") as log:
        process = subprocess.Popen([*DYING, "docker-registry", "serve", settings], stdout=log, stderr=log)
    try:
        eventually(lambda: tcp.answers(address, PORT), UP_WITHIN)
        yield
    finally:
        process.kill()
        process.wait(UP_WITHIN)


def disk(names: Sequence[str]) -> Path:
    """Return a daemon's data directory with these images of this machine's daemon; it is created once, and kept.

    It has the build cache of the project's image, too: installing the packages takes longer than the rest of a build.
    """
    with contextlib.closing(docker.from_env().api) as source:
        ids = [source.inspect_image(name)["Id"] for name in names]
        built = [(ROOT / name).read_text("utf-8") for name in ("Dockerfile", "service/requirements.txt")]
        digest = hashlib.sha256(repr((names, ids, built)).encode()).hexdigest()[:12]
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
            _build(target)
        (made.home / "data").rename(kept)


def _build(api: docker.APIClient) -> None:
    worker = load.of_current_release(load.load_stack(ROOT, os.environ)).service("worker")
    assert worker
    assert worker.build
    [*images.build(api, CACHED, replace(worker.build, tag=""))]
    api.remove_image(CACHED, noprune=True)  # what it was built from stays
