"""Faults between an admin process and Redis, at a chosen command: the connection, either of them, the lock.

A proxy understands enough of https://redis.io/docs/latest/develop/reference/protocol-spec/ to count commands, also
inside pipelines and transactions. The server loses nothing when it is killed. The admin process is a forked one, so
that thousands of them are a matter of minutes.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import socket
import socketserver
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Literal, Self
from unittest import mock

import redis

from tests.forks import FORKS
from tests.real_redis import InThread, RealRedis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    Data = dict[str, dict[bytes, object]]

Command = Literal["migrate", "reset", "restore"]
KINDS = ("cut", "kill process", "kill server", "theft")
MOMENTS = ("before", "after")
LOCK, FENCE, HISTORY, SINCE = b"twelfth:lock", b"twelfth:fence", b"twelfth:migrations", b"hits:since"
THIEF = b"a thief"
SHORT_SECONDS, LONG_SECONDS = 0.5, 60.0
"""The lease of a lock whose holder is disturbed, and of others."""
KEYS_OF_A_BATCH = 40
BYTES_OF_A_BATCH = 4096


class DurableRedis(RealRedis):
    """A server that compares digests of its data."""

    options = ("--enable-debug-command", "yes")


@dataclass(frozen=True)
class Fault:
    """What happens at which command, from 1 on: before it is forwarded, or after its reply came back to the proxy."""

    number: int
    moment: Literal["before", "after"]
    kind: Literal["cut", "kill process", "kill server", "theft"]


NEVER = Fault(0, "before", "cut")


class Proxy(InThread):
    """Forwards commands one by one, counts them, and causes one fault."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 20

    def __init__(self, port: int, happen: Callable[[Fault], None]) -> None:
        """Take the port of the server, and what makes a fault happen that does not only concern a connection."""
        super().__init__(("127.0.0.1", 0), _Passage)
        self.upstream, self._happen = port, happen
        self._counting = threading.Lock()
        self.arm(NEVER)

    def arm(self, fault: Fault) -> None:
        """Count from one, and wait for the fault."""
        self.fault, self.count, self.fired = fault, 0, False

    def next(self) -> int:
        """Return the number of the command that comes now."""
        with self._counting:
            self.count += 1
            return self.count

    def strikes(self, number: int, moment: str) -> bool:
        """Cause the fault if it is its turn, and return whether to cut the connection."""
        if (number, moment) != (self.fault.number, self.fault.moment):
            return False
        self.fired = True
        self._happen(self.fault)
        return self.fault.kind != "theft"

    @property
    def environment(self) -> dict[str, str]:
        """Return what a process needs to find the server through here."""
        return {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(self.server_address[1])}


class _Passage(socketserver.StreamRequestHandler):
    """One connection of a client, and the matching one to the server."""

    server: Proxy
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with upstream.makefile("rb") as answers:
                self._pass(upstream, answers)

    def finish(self) -> None:
        """Close immediately: a cut connection ends with RST, not with FIN."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.close()
        self.rfile.close()
        self.connection.close()

    def _pass(self, upstream: socket.socket, answers: BinaryIO) -> None:
        while command := message(self.rfile):
            number = self.server.next()
            if self.server.strikes(number, "before"):
                return
            upstream.sendall(command)
            answer = message(answers)
            if not answer or self.server.strikes(number, "after"):
                return
            self.wfile.write(answer)


def message(stream: io.BufferedIOBase | BinaryIO) -> bytes:
    """Return the bytes of one command or one reply, nothing at the end."""
    line = stream.readline()
    if line[:1] == b"$" and line[1:2] != b"-":
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join(message(stream) for _ in range(int(line[1:])))
    return line


@dataclass(frozen=True)
class Job:
    """An admin process to be forked: its command line, and the settings that are smaller than in production."""

    command: Command
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    given: Path | None = None
    lease: float = LONG_SECONDS


@dataclass(frozen=True)
class Outcome:
    """How an admin process exited; the code is None if it was killed."""

    code: int | None
    out: str = ""
    err: str = ""


class Started:
    """An admin process that was just forked."""

    def __init__(self, job: Job) -> None:
        self._answer, other_end = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=_administer, args=(job, other_end), daemon=True)
        self._process.start()
        other_end.close()

    def kill(self) -> None:
        """End it without a farewell."""
        self._process.kill()

    def outcome(self) -> Outcome:
        """Return the outcome, when it has exited."""
        with self._answer:
            assert self._answer.poll(30), "an admin process hangs"
            try:
                return Outcome(*self._answer.recv())
            except EOFError:
                return Outcome(None)
            finally:
                self._process.join()


def ran(server: RealRedis, command: Command, *arguments: str, folder: Path | None = None, **run: str) -> Outcome:
    """Return the outcome of an admin process on a server; `run` is the engine's data about a run."""
    environment = server.environment | {f"TWELFTH_{name.upper()}": value for name, value in run.items()}
    return Started(Job(command, arguments, environment, folder)).outcome()


class Holder:
    """A process that holds the lock, and starts and finishes one transaction on command."""

    def __init__(self, server: RealRedis, lease: float) -> None:
        self._talk, other_end = FORKS.Pipe()
        self._process = FORKS.Process(target=_hold, args=(server.environment, lease, other_end), daemon=True)
        self._process.start()
        other_end.close()
        assert "held" == self.said()

    def said(self) -> str:
        """Return its next message."""
        assert self._talk.poll(30), "the holder hangs"
        return str(self._talk.recv())

    def go_on(self) -> None:
        """Let it continue with the next step."""
        self._talk.send("continue")

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process.pid
        os.kill(self._process.pid, number)

    def __enter__(self) -> Self:
        """Give the process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it without a farewell."""
        self._process.kill()
        self._process.join()
        self._talk.close()


def _hold(environment: dict[str, str], lease: float, talk: Connection) -> None:
    """Be a process that holds the lock."""
    from twelfth_redis.connection import connect
    from twelfth_redis.errors import RefusedError
    from twelfth_redis.lock import Owner, hold_lock

    with hold_lock(connect(environment), Owner("migrate", "a1b2", "r1", "ann"), lease=lease) as lock:
        talk.send("held")
        talk.recv()
        try:
            with lock.transaction() as pipe:
                pipe.multi()
                pipe.set("written", 1)
                talk.send("queued")
                talk.recv()
        except RefusedError as error:
            talk.send(str(error))
        else:
            talk.send("written")


def _administer(job: Job, answer: Connection) -> None:
    """Be the admin process."""
    os.environ.update(job.environment)
    if job.given:
        os.dup2(os.open(job.given, os.O_RDONLY), 0)
    with (
        smaller(job),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = _main(job)(list(job.arguments))
    answer.send((code, out.getvalue(), err.getvalue()))


def _main(job: Job) -> Callable[[list[str]], int]:
    from admin import migrate, reset, restore
    from twelfth_redis import programs

    if job.command == "migrate" and job.folder:
        return functools.partial(programs.migrate, job.folder)
    programs_of_service: dict[str, Callable[[list[str]], int]]
    programs_of_service = {"migrate": migrate.main, "reset": reset.main, "restore": restore.main}
    return programs_of_service[job.command]


@contextlib.contextmanager
def smaller(job: Job) -> Iterator[None]:
    """Make batches and waits as short as a test needs them."""
    from admin import reset
    from twelfth_redis import connection, lock, progress
    from twelfth_redis.backup import gzip_stream, restore
    from twelfth_redis.schema import migrator

    hold_lock = functools.partial(lock.hold_lock, lease=job.lease)
    with contextlib.ExitStack() as patched:
        for module in (migrator, reset, restore):
            patched.enter_context(mock.patch.object(module, "hold_lock", hold_lock))
        patched.enter_context(mock.patch.object(gzip_stream, "BLOCK", BYTES_OF_A_BATCH))
        patched.enter_context(mock.patch.object(progress, "BATCH", KEYS_OF_A_BATCH))
        patched.enter_context(mock.patch.object(connection, "PATIENCE_SECONDS", 0.2))
        yield


def dataset(server: RealRedis) -> Data:
    """Return all there is, by database and key: expiry and what DUMP gives, but no times, no runs, no lock."""
    return {name: _database(server, int(name[2:])) for name in server.client.info("keyspace")}


def _database(server: RealRedis, number: int) -> dict[bytes, object]:
    with redis.Redis(port=server.port, db=number) as client:
        keys = sorted(client.scan_iter(count=1000))
        with client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.execute_command("PEXPIRETIME", key)
                pipe.dump(key)
            answers = pipe.execute()
        held: dict[bytes, object] = dict(zip(keys, zip(answers[::2], answers[1::2], strict=True), strict=True))
        return _masked(client, held)


def _masked(client: redis.Redis, held: dict[bytes, object]) -> dict[bytes, object]:
    held.pop(LOCK, None)
    held.pop(FENCE, None)
    if SINCE in held:
        held[SINCE] = "some time"
    if HISTORY in held:
        records = {revision: json.loads(record) for revision, record in client.hgetall(HISTORY).items()}
        held[HISTORY] = {revision: record | {"applied": "", "run": ""} for revision, record in records.items()}
    return held


@dataclass(frozen=True)
class Scenario:
    """Data, a job that is interrupted, and a condition that the data must meet after any interruption."""

    seed: Callable[[redis.Redis], None]
    job: Job
    whole: Callable[[Data], bool]


class Bench:
    """A server, a proxy before it, and admin processes one after the other, each disturbed at another command."""

    def __init__(self, directory: Path, scenario: Scenario) -> None:
        directory.mkdir()
        self.server = DurableRedis(directory)
        self.proxy = Proxy(self.server.port, self._happen)
        self._scenario = scenario
        self._process: SimpleQueue[Started] = SimpleQueue()
        self._seen: Data = {}

    def undisturbed(self) -> tuple[Data, int]:
        """Return the expected data, and the number of commands."""
        self._begin()
        outcome = self._run(NEVER)
        assert 0 == outcome.code, outcome
        return dataset(self.server), self.proxy.count

    def disturbed(self, fault: Fault, expected: Data) -> tuple[bool, str]:
        """Return whether the fault happened, and what was wrong, "" for nothing."""
        self._begin()
        outcome = self._run(fault)
        if not self.proxy.fired:
            return False, ""
        if fault.kind == "kill server":
            self.server.start()
        wrong = self._between(fault, outcome, expected)
        if self.server.client.get(LOCK) == THIEF:
            self.server.client.delete(LOCK, FENCE)
        again = self._run(NEVER, "--wait", "10")
        if again.code != 0:
            wrong += f"; the next run said {again}"
        if (found := dataset(self.server)) != expected:
            wrong += f"; in the end there is {_difference(found, expected)}"
        return True, wrong and f"{fault}: {outcome}{wrong}"

    def _between(self, fault: Fault, outcome: Outcome, expected: Data) -> str:
        """Return what is wrong before the command is run again."""
        found, wrong = dataset(self.server), ""
        if not self._scenario.whole(found):
            wrong += f"; there is a mix: {_difference(found, expected)}"
        if outcome.code == 0 and found.get("db0") != expected.get("db0"):
            wrong += f"; it claims to be done: {_difference(found, expected)}"
        errors = [line for line in outcome.err.splitlines() if not line.endswith("keys so far")]  # on a busy machine
        if outcome.code == 1 and not (outcome.err.startswith(self._scenario.job.command) and len(errors) == 1):
            wrong += "; it does not say why in one line"
        if outcome.code not in ({None} if fault.kind == "kill process" else {0, 1}):
            wrong += "; that is no way to end"
        if fault.kind == "theft" and found.get("db0") != self._seen.get("db0"):
            wrong += f"; it wrote without the lock: {_difference(found, self._seen)}"
        return wrong

    def _begin(self) -> None:
        self.server.client.flushall()
        self._scenario.seed(self.server.client)

    def _run(self, fault: Fault, *arguments: str) -> Outcome:
        self.proxy.arm(fault)
        lease = LONG_SECONDS if fault == NEVER else SHORT_SECONDS
        job = self._scenario.job
        words, environment = (*job.arguments, *arguments), self.proxy.environment
        started = Started(replace(job, arguments=words, environment=environment, lease=lease))
        self._process.put(started)
        try:
            return started.outcome()
        finally:
            if not self._process.empty():
                self._process.get()

    def _happen(self, fault: Fault) -> None:
        match fault.kind:
            case "kill process":
                self._process.get(timeout=10).kill()
            case "kill server":
                self.server.kill()
            case "theft":
                self.server.client.mset({LOCK: THIEF, FENCE: THIEF})
                self._seen = dataset(self.server)

    def __enter__(self) -> Self:
        """Serve."""
        self.proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        self.proxy.__exit__()
        self.server.client.close()
        self.server.kill()


def _difference(found: Data, expected: Data) -> dict[str, list[tuple[bytes, object, object]]]:
    """Return the keys that are not as expected, with what they are and what they should be; at most five a database."""
    differences = {}
    for name in found.keys() | expected.keys():
        have, want = found.get(name, {}), expected.get(name, {})
        keys = sorted(key for key in have.keys() | want.keys() if have.get(key) != want.get(key))
        if keys:
            differences[name] = [(key, have.get(key), want.get(key)) for key in keys[:5]]
    return differences


@dataclass
class Found:
    """The result of many faults: the number of commands, the number of faults, and the failures."""

    commands: int
    happened: int = 0
    wrong: list[str] = field(default_factory=list)


def inflict(directory: Path, scenario: Scenario, choose: Callable[[int], Sequence[Fault]], benches: int = 6) -> Found:
    """Disturb a scenario by the chosen faults, given the number of its commands."""
    with contextlib.ExitStack() as stack:
        free: SimpleQueue[Bench] = SimpleQueue()
        made = [stack.enter_context(Bench(directory / str(number), scenario)) for number in range(benches)]
        runs = [bench.undisturbed() for bench in made]
        expected, commands = runs[0][0], max(count for _, count in runs)
        found = Found(commands, wrong=[str(_difference(other, expected)) for other, _ in runs if other != expected])
        for bench in made:
            free.put(bench)

        def one(fault: Fault) -> tuple[bool, str]:
            bench = free.get()
            try:
                return bench.disturbed(fault, expected)
            finally:
                free.put(bench)

        with ThreadPoolExecutor(benches) as pool:
            results = list(pool.map(one, choose(commands)))
    found.happened = sum(happened for happened, _ in results)
    found.wrong += [wrong for _, wrong in results if wrong]
    return found
