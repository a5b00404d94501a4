"""Create machines for tests: namespaces of this kernel with a dockerd each, on a network that this machine shares.

All processes of a machine are below its process 1, which dies with the test, even if that is killed. Then the kernel
kills the rest, and removes mounts and links. What remains (a bridge, rules, control groups, a directory) has the number
of a slot in its name, and is removed when the slot is released or used the next time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import docker

from tests.real_redis import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS = 250
"""The number of networks that can exist at the same time."""
NEEDED = ("dockerd", "ip", "iptables", "nsenter", "setpriv", "unshare")
DYING = ("setpriv", "--pdeathsig", "KILL")
"""Starts a program that is killed when the test ends."""
MACHINE = ("unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
BOOT = """
hostname "$0"
for place in /run/docker /run/containerd /etc/docker; do mkdir -p $place && mount -t tmpfs tmpfs $place; done
exec env --ignore-signal=CHLD sleep infinity # orphans leave no zombies
"""
"""Process 1; the directories of other daemons are hidden."""
BOOT_ROOT = """
mount --rbind "$1" "$1" && mount -o remount,bind,ro "$1"
for place in /dev /sys /tmp; do mount --rbind $place "$1$place"; done
for place in /run /var/lib/docker; do mount -t tmpfs tmpfs "$1$place"; done
mount -t proc proc "$1/proc"
cd "$1" && pivot_root . old-root && umount -l /old-root
"""
"""Before that, it changes the root file system. With `chroot`, commands in containers would fail.

/tmp is shared, so that the daemon finds the directories of tests that their containers mount. `HIDDEN` is not.
"""
HIDDEN = Path("/var/tmp")
"""A directory of this machine that such a machine cannot see."""
CONTAINERD = "exec/containerd/containerd.pid"
UP_WITHIN = 30.0
"""Seconds within which a daemon must answer, or exit."""


def why_unavailable() -> str:
    """Return why machines cannot be created, or an empty string."""
    if os.geteuid():
        return "machines for tests need root"
    missing = [program for program in NEEDED if not shutil.which(program)]
    return f"{', '.join(missing)} not installed; run: .ci/swarm" if missing else ""


def run(*words: str | Path) -> str:
    """Run a program and return its output; raises `RuntimeError` with its error if it fails."""
    process = subprocess.run(words, capture_output=True, text=True, check=False, timeout=UP_WITHIN)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {(process.stderr or process.stdout).strip()}")
    return process.stdout


@dataclass(frozen=True)
class Network:
    """A bridge with an address of this machine; over it machines reach one another, this machine and its networks."""

    slot: int
    home: Path

    @property
    def name(self) -> str:
        """The name of the link, and of everything outside of the directory."""
        return f"twelfth-{self.slot}"

    @property
    def subnet(self) -> str:
        """The addresses of the network, from a range that is reserved for tests (RFC 2544)."""
        return f"198.18.{self.slot}.0/24"

    def address(self, number: int = 1) -> str:
        """Return one of its addresses; number 1 is this machine's."""
        return f"198.18.{self.slot}.{number}"

    def set_up(self) -> None:
        """Create the bridge, and accept its traffic, which the rules of this machine's daemon would drop."""
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "addr", "add", f"{self.address()}/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        for table, chain, *rule in self._rules():
            run("iptables", "--wait", "--table", table, "--insert", chain, *rule)

    def tear_down(self) -> None:
        """Remove everything of it that exists, also after a killed test."""
        for table, chain, *rule in self._rules():
            _every("iptables", "--wait", "--table", table, "--delete", chain, *rule)
        _every("ip", "link", "del", self.name)
        for group in Path("/sys/fs/cgroup").glob(f"**/{self.name}"):
            eventually(lambda group=group: _is_removed(group), UP_WITHIN)  # type: ignore[misc]

    def _rules(self) -> tuple[tuple[str, ...], ...]:
        return (
            ("nat", "POSTROUTING", "--source", self.subnet, "!", "--out-interface", self.name, "--jump", "MASQUERADE"),
            ("filter", "FORWARD", "--in-interface", self.name, "--jump", "ACCEPT"),
            ("filter", "FORWARD", "--out-interface", self.name, "--jump", "ACCEPT"),
        )


def _every(*words: str) -> None:
    """Repeat a command that removes something until it fails."""
    with contextlib.suppress(RuntimeError):
        while True:
            run(*words)


def _is_removed(group: Path) -> bool:
    """Remove a control group with those below it; return whether it is gone, which its processes delay."""
    for path, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(path).rmdir()
    return not group.exists()


def place(slot: int) -> Path:
    """Return the directory of a slot's machines."""
    return Path(tempfile.gettempdir()) / f"twelfth-machines-{slot}"


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Create the network of a free slot; remove what an earlier test left in it, and all of it in the end."""
    with contextlib.ExitStack() as stack:
        created = next(free for slot in range(SLOTS) if (free := _taken(slot, stack)))
        stack.callback(shutil.rmtree, created.home, ignore_errors=True)
        stack.callback(created.tear_down)
        created.set_up()
        yield created


def _taken(slot: int, stack: contextlib.ExitStack) -> Network | None:
    """Return a slot's empty network, None if another test uses it; the kernel unlocks it when the test exits."""
    home = place(slot)
    lock = stack.enter_context(home.with_suffix(".lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    network_ = Network(slot, home)
    network_.tear_down()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o755)
    return network_


@dataclass
class Machine:
    """A machine with a dockerd: it can be disconnected, lose its power, and boot again with the same disk."""

    network: Network
    name: str
    number: int
    disk: Path | None = None
    root: Path | None = None
    """Its root file system, for a dockerd of another version; None for that of this machine."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Return its directory: the daemon's data, socket and log."""
        return self.network.home / self.name

    @property
    def url(self) -> str:
        """Return where its daemon answers; also where the network does not."""
        return f"unix://{self.home}/socket"

    @property
    def tcp_url(self) -> str:
        """Return where the daemon of a machine with its own root file system also answers, as a remote one would."""
        return f"tcp://{self.address}:2375"

    @property
    def address(self) -> str:
        """Return its address, at which this machine reaches the ports that it publishes."""
        return self.network.address(self.number)

    @property
    def link(self) -> str:
        """Return this machine's end of its cable."""
        return f"{self.network.name}-{self.number}"

    def api(self, seconds: float = 60) -> docker.APIClient:
        """Return a new client of its daemon; raises `OSError` if none listens, as the SDK would leak a socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.home / "socket"))
        return docker.APIClient(self.url, timeout=int(seconds))

    def boot(self) -> None:
        """Boot it, connect it and start its daemon; raises `RuntimeError` with the daemon's last line."""
        if not self.home.exists():
            self._install()
        script, arguments = (BOOT_ROOT + BOOT, [self.root]) if self.root else (BOOT, [])
        self.processes = [subprocess.Popen([*DYING, *MACHINE, "sh", "-c", script, self.name, *arguments])]
        eventually(lambda: self._init and Path(f"/proc/{self._init}/comm").read_text("utf-8") == "sleep\n", UP_WITHIN)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self._init)
        run("ip", "link", "set", self.link, "master", self.network.name, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", self.network.address()),
        ):
            run("nsenter", "--target", self._init, "--net", "ip", *words)
        self.start_daemon()

    def _install(self) -> None:
        """Link the files of `disk`: a daemon replaces files of images, and never writes into them."""
        (self.home / "data").mkdir(parents=True, mode=0o711)
        for part in ("image", "overlay2") if self.disk else ():
            run("cp", "--archive", "--link", f"{self.disk}/{part}", self.home / "data")

    def start_daemon(self) -> None:
        """Start the daemon and wait until it answers; raises `RuntimeError` with its last line if it does not."""
        paths = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
        (self.home / "daemon.json").write_text("{}", "utf-8")
        options = [
            f"--host={self.url}",
            *([f"--host={self.tcp_url}", "--tls=false"] if self.root else []),
            *(f"--{name}={self.home / path}" for name, path in paths.items()),
            f"--insecure-registry={self.network.subnet}",
            f"--cgroup-parent=/{self.network.name}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
        ]
        for stale in ("pid", CONTAINERD):  # other processes may have these ids by now
            (self.home / stale).unlink(missing_ok=True)
        with (self.home / "log").open("ab") as log:
            daemon = subprocess.Popen([*self._inside, "dockerd", *options], stdout=log, stderr=log)
        self.processes[1:] = [daemon]
        try:
            eventually(lambda: daemon.poll() is not None or self.answers(), UP_WITHIN)
        except AssertionError:
            self.kill_daemon()
        if daemon.poll() is not None:
            raise RuntimeError((self.home / "log").read_text("utf-8", "replace").strip().rpartition("\n")[2])

    def answers(self) -> bool:
        """Return whether its daemon answers; the SDK would leak a socket if no process listens."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.url.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        return False

    def restart_daemon(self) -> None:
        """Make the daemon stop its containers and exit, and start it again."""
        self._end_daemon(signal.SIGTERM)
        self.start_daemon()

    def kill_daemon(self) -> None:
        """Kill the daemon; its containers keep running."""
        self._end_daemon(signal.SIGKILL)

    def _end_daemon(self, number: signal.Signals) -> None:
        run(*self._inside, "sh", "-c", f'kill -{number.name[3:]} "$(cat "$0/pid")"', self.home)
        self.processes.pop().wait(UP_WITHIN)
        wait = 'while kill -0 "$(cat "$0")"; do sleep 0.05; done'
        run(*self._inside, "sh", "-c", wait, self.home / CONTAINERD)  # which dies with it

    def kill(self) -> None:
        """Power it off: all of its processes are killed at once, and the link disappears."""
        while self.processes:
            process = self.processes.pop(0)
            process.kill()  # first the one whose child is process 1
            process.wait(UP_WITHIN)
        eventually(lambda: not Path(f"/sys/class/net/{self.link}").exists(), UP_WITHIN)

    def unplug(self) -> None:
        """Disconnect it from the network; its containers and its daemon's socket stay."""
        run("ip", "link", "set", self.link, "down")

    def plug(self) -> None:
        """Connect it again."""
        run("ip", "link", "set", self.link, "up")

    @property
    def _init(self) -> str:
        """The id of its process 1 on this machine."""
        parent = self.processes[0].pid
        return Path(f"/proc/{parent}/task/{parent}/children").read_text("utf-8").strip()

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", "--target", self._init, "--net", "--mount", "--pid", "--uts"]


@contextlib.contextmanager
def machine(network: Network, number: int, disk: Path | None = None, root: Path | None = None) -> Iterator[Machine]:
    """Yield a machine with the address of this number, whose daemon has the images of `disk`."""
    created = Machine(network, f"node-{number - 1}", number, disk, root)
    try:
        created.boot()
        yield created
    finally:
        created.kill()
