"""The supervisord of one stack: its configuration, start and stop, and its programs.

The API is supervisor's XML-RPC (http://supervisord.org/api.html) over a socket that only this user can open.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from twelfth.engines.local.replica_spec import KEPT_LOG
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

START_WITHIN = 10.0
"""Seconds within which supervisord must answer after its start, and exit after its shutdown."""

ANSWER_WITHIN = 5.0
"""Seconds within which it must answer a call; a stopped one (SIGSTOP) accepts connections and never answers."""

POLL = 0.02
"""Seconds between two checks while it or a program starts or stops."""

CONFIGURATION = """\
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
logfile=supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile=supervisord.pid
identifier=twelfth
umask=077

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files=services/*.conf
"""

PROGRAM = """\
[program:{name}]
command={command}
autorestart={autorestart}
startsecs=1
startretries=20
stopsignal=TERM
stopwaitsecs={grace}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes={bytes}
stdout_logfile_backups={backups}
"""

STATES = {
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "restarting",
    "STOPPING": "stopping",
    "STOPPED": "stopped",
    "FATAL": "failed",
}
ALIVE = {"starting", "running", "stopping"}
RESTART = {"no": "false", "on-failure": "unexpected"}


class GoneError(EngineError):
    """No supervisord answers: it is not running, or has just died."""


def _program(name: str, spec: Path, restart: str, grace: int, log: tuple[int, int]) -> str:
    launch = Path(__file__).with_name("launch.py")
    command = _escaped(shlex.join([sys.executable, "-P", str(launch), str(spec)]))
    autorestart, (size, files) = RESTART.get(restart, "true"), log
    return PROGRAM.format(
        name=name, command=command, autorestart=autorestart, grace=grace, bytes=size, backups=files - 1
    )


class Supervisor:
    """A client of the supervisord whose files are in one directory, and which may be running or not."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def states(self) -> Mapping[str, str]:
        """Return the state of each program by name; empty if supervisord is not running."""
        try:
            return {process["name"]: _state(process) for process in self._call("getAllProcessInfo")}
        except GoneError:
            return {}

    def is_up(self) -> bool:
        """Return whether supervisord answers."""
        try:
            return bool(self._call("getState"))
        except GoneError:
            return False

    def start(self) -> None:
        """Start supervisord unless it is running, and wait until it answers."""
        if self.is_up():
            return
        for path in self.home.glob("services/*.conf"):  # left by a killed supervisord; the new one would start them all
            path.unlink()
        text = CONFIGURATION.format(socket=_escaped(self._socket("cwd")))
        (self.home / "supervisord.conf").write_text(text, "utf-8")
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
        process = subprocess.run(command, cwd=self.home, capture_output=True, text=True, check=False)  # noqa: S603
        if process.returncode:
            last_line = (process.stderr or process.stdout).strip().rpartition("\n")[2]
            raise EngineError(f"supervisord did not start: {last_line}; see {self.home / 'supervisord.log'}")
        self._wait(up=True)

    def stop(self) -> None:
        """Stop supervisord and all its programs, and wait until it has exited."""
        with contextlib.suppress(GoneError):
            self._call("shutdown")
            self._wait(up=False)

    def add(self, name: str, spec: Path, *, restart: str, grace: int, log: tuple[int, int] = KEPT_LOG) -> None:
        """Start a program that launches `spec`; `grace` is in seconds, `log` bytes and files. Raises `OSError`."""
        self._configuration(name).write_text(_program(name, spec, restart, grace, log), "utf-8")
        self._call("reloadConfig")
        self._call("addProcessGroup", name)

    def stop_program(self, name: str) -> None:
        """Stop a program with its grace period, if it is known."""
        if name in self.states():
            self._call("stopProcessGroup", name, False)  # noqa: FBT003 - do not wait: supervisord checks only once a second
            while self.states().get(name) in ALIVE:
                time.sleep(POLL)

    def start_program(self, name: str) -> None:
        """Start a stopped program again."""
        self._call("startProcessGroup", name, False)  # noqa: FBT003 - do not wait

    def remove(self, name: str) -> None:
        """Stop a program with its grace period, and remove it, if it is known."""
        self.stop_program(name)
        if name in self.states():
            self._call("removeProcessGroup", name)
        self._configuration(name).unlink(missing_ok=True)

    def _configuration(self, name: str) -> Path:
        return self.home / "services" / f"{name}.conf"

    def _wait(self, *, up: bool) -> None:
        deadline = time.monotonic() + START_WITHIN
        while self.is_up() != up or (not up and (self.home / "supervisord.pid").exists()):
            if time.monotonic() > deadline:
                verb = "start" if up else "stop"
                raise EngineError(f"supervisord did not {verb} in {START_WITHIN:g} s; see {self.home}/supervisord.log")
            time.sleep(POLL)

    def _call(self, method: str, *arguments: object) -> Any:
        with contextlib.ExitStack() as stack:
            directory = os.open(self.home, os.O_RDONLY)
            stack.callback(os.close, directory)
            transport = _Transport(self._socket(f"fd/{directory}"))
            proxy = stack.enter_context(xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport))
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                raise EngineError(f"supervisord: {method}: {fault.faultString}; try: invoke down") from fault
            except TimeoutError as error:
                raise EngineError(self._why_silent()) from error
            except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError, ExpatError) as error:
                why = getattr(error, "strerror", None) or type(error).__name__
                log = self.home / "supervisord.log"
                raise GoneError(f"supervisord does not answer ({why}; see {log}); try: invoke up") from error

    def _why_silent(self) -> str:
        process = (self.home / "supervisord.pid").read_text("utf-8").strip()
        what = f"supervisord (process {process}) does not answer in {ANSWER_WITHIN:g} s"
        return f"{what}; if it is stopped: kill -CONT {process}, else: kill -9 {process}; invoke up"

    def _socket(self, home: str) -> str:
        # A socket's address has at most about a hundred characters, fewer than some checkouts' paths. So on Linux it
        # starts at a directory that this process is in or has open: `home` is `cwd` or `fd/N` (man 5 proc).
        link = Path("/proc/self") / home
        return str((link if link.exists() else self.home) / "supervisor.sock")


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket with a time limit; supervisor's own transport has none."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        self._connection = host, connection  # the attribute that Transport closes
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(ANSWER_WITHIN)
        connection.sock.connect(self.path)
        return connection


def _escaped(value: str) -> str:
    return value.replace("%", "%%")


def _state(process: Mapping[str, Any]) -> str:
    name = process["statename"]
    return f"exited ({process['exitstatus']})" if name == "EXITED" else STATES.get(name, name.lower())
