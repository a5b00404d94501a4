"""What every engine must keep of a run's promises: identity, streams, ends, the record."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stack import oneoff, smoke
from stack.errors import IdentityError, MisuseError
from tests.conftest import eventually

if TYPE_CHECKING:
    from tests.conftest import Project


def run(project: Project, *words: str, stdin: bytes | None = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `invoke run` with these words, byte by byte."""
    client = project.start("run", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = client.communicate(stdin, timeout=120)
    return subprocess.CompletedProcess(words, client.returncode, out, err)


def record(project: Project, identity: str = "") -> dict[str, Any]:
    """Return the record of one run, the last where none is named."""
    records: list[dict[str, Any]] = json.loads(project.invoke("history", "--json").stdout)
    return next((each for each in records if each["id"] == identity), records[-1] if records else {})


def detached(project: Project, *words: str) -> str:
    """Start a detached run and return its id, which is all that is printed."""
    done = project.invoke("run", "--detach", *words)
    assert "" == done.stderr
    return done.stdout.strip()


def test_run_has_the_release_and_configuration_of_the_worker(serving: Project) -> None:
    """Factor XII: same image, same environment, same place, another process."""
    worker = oneoff.source(serving.engine())
    environment = {
        name.removeprefix("environment."): value
        for name, value in worker.recipe.items()
        if name.startswith("environment.")
    }
    done = run(serving, "--", "python", "-c", "import json, os; print(json.dumps(dict(os.environ)))")

    seen = json.loads(done.stdout)
    assert environment == {name: seen.get(name) for name in environment}
    assert (worker.release, worker.image) == (record(serving)["release"], record(serving)["image"])


def test_reset_resets_what_the_worker_counts(serving: Project) -> None:
    """The chapter's own story."""
    url = lifecycle_url(serving)
    smoke.sentence(url)

    assert serving.invoke("reset").stdout.endswith("is 0 now\n")
    assert "Hello World! 1 times." == smoke.sentence(url)


def lifecycle_url(project: Project) -> str:
    """Return the address of a stack that is up."""
    return f"http://127.0.0.1:{project.environment['PORT']}"


def test_chapters_own_script_on_standard_input_works(serving: Project) -> None:
    """Its lines with HOST_REDIS and PORT_REDIS, fed to a run."""
    url = lifecycle_url(serving)
    smoke.sentence(url)
    script = b"import os, redis\nr = redis.Redis(host=os.environ['HOST_REDIS'], port=int(os.environ['PORT_REDIS']))\n"

    assert 0 == run(serving, "--", "python", stdin=script + b"r.set('hits', 0)\n").returncode
    assert "Hello World! 1 times." == smoke.sentence(url)


def test_streams_are_exact_and_apart(serving: Project) -> None:
    """Any bytes go in and come out; what is said on standard error stays there."""
    data = random.Random(12).randbytes(3_000_000)  # noqa: S311 - data for a test
    done = run(serving, "--", "sh", "-c", "echo aside >&2; cat", stdin=data)

    assert data == done.stdout
    assert b"aside\n" == done.stderr


def test_arguments_arrive_as_they_were_typed(serving: Project) -> None:
    """Spaces, quotes, newlines, an empty one, a dash, two dashes, other scripts."""
    words = ["a  b", "'\"", "x\ny", "", "-", "--", "$HOME", "é☃", "--flag=1"]
    done = run(serving, "--", "python", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *words)

    assert words == json.loads(done.stdout)


def test_closed_input_reaches_the_process_and_open_input_holds_nothing_up(serving: Project) -> None:
    """`wc` ends when its input does; a process that reads nothing ends by itself."""
    assert b"3" == run(serving, "--", "wc", "-c", stdin=b"abc").stdout.strip()
    reader, writer = os.pipe()
    client = serving.start("run", "--", "true", stdin=reader)
    assert 0 == client.wait(60)
    os.close(reader)
    os.close(writer)


def test_output_of_a_process_that_ends_at_once_is_complete(serving: Project) -> None:
    """The client is attached before the process starts."""
    outputs = {run(serving, "--", "sh", "-c", "echo out; echo err >&2").stdout for _ in range(10)}

    assert {b"out\n"} == outputs


def test_reader_that_goes_away_ends_the_run(serving: Project) -> None:
    """As in `| head -1`: the run gets TERM, and the client ends as any writer to a closed pipe."""
    client = serving.start("run", "--", "yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert client.stdout
    client.stdout.read(10)
    client.stdout.close()

    assert 141 == client.wait(60)
    assert eventually(lambda: record(serving)["exit_code"] is not None)


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [
        (("sh", "-c", "exit 7"), 7, "failed"),
        (("true",), 0, "done"),
        (("no-such-program",), 127, "failed"),
        (("sh", "-c", "kill -9 $$"), 137, "failed"),
        (("sh", "-c", "exit 124"), 124, "failed"),
    ],
)
def test_run_ends_with_its_own_exit_code_and_so_does_its_record(
    serving: Project, words: tuple[str, ...], code: int, state: str
) -> None:
    """The process's own, 127 for none, 128+n for a signal; attached and detached alike."""
    assert code == run(serving, "--", *words).returncode
    identity = detached(serving, "--", *words)

    assert eventually(lambda: record(serving, identity)["exit_code"] is not None)
    assert (code, state) == (record(serving, identity)["exit_code"], record(serving, identity)["state"])


def test_program_that_is_not_executable_is_126(serving: Project) -> None:
    """As the shell has it."""
    assert 126 == run(serving, "--", "/etc/hostname").returncode


def test_time_limit_ends_the_run_with_124(serving: Project) -> None:
    """TERM when the time is over, and the record says why."""
    assert 124 == run(serving, "--timeout", "0.5", "--", "sleep", "60").returncode
    assert ("timeout", 124) == (record(serving)["state"], record(serving)["exit_code"])


def test_time_limit_holds_when_the_client_is_gone(serving: Project) -> None:
    """Nobody needs to watch."""
    client = serving.start("run", "--timeout", "2", "--", "sleep", "61", stdin=subprocess.DEVNULL)
    assert eventually(lambda: "sleep" in record(serving)["command"] and "61" in record(serving)["command"])
    client.kill()
    client.wait()

    assert eventually(lambda: record(serving)["state"] == "timeout")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 3), (signal.SIGTERM, 4)])
def test_signals_are_forwarded_to_the_run(serving: Project, number: signal.Signals, code: int) -> None:
    """Ctrl-C and TERM are the run's to answer, and its answer is the exit code."""
    program = (
        "import signal, sys, time\n"
        "for number, code in ((signal.SIGINT, 3), (signal.SIGTERM, 4)):\n"
        "    signal.signal(number, lambda got, _, code=code: sys.exit(code))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    client = serving.start("run", "--", "python", "-c", program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert client.stdout
    assert b"ready\n" == client.stdout.readline()
    client.send_signal(number)

    assert code == client.wait(60)


def test_interrupt_ends_a_program_that_has_no_answer_of_its_own(serving: Project) -> None:
    """Plain `sleep`: the run inherits no ignored signal, and input that nobody reads holds up none."""
    with Path("/dev/zero").open("rb") as zeros:
        client = serving.start("run", "--", "sleep", "62", stdin=zeros)
    assert eventually(lambda: "62" in record(serving).get("command", []) and record(serving)["state"] == "running")
    time.sleep(0.5)
    client.send_signal(signal.SIGINT)

    assert 130 == client.wait(30)


def test_what_a_run_leaves_behind_ends_with_it(serving: Project) -> None:
    """As a container's processes end with its first; the output is complete all the same, however slow the reader."""
    client = serving.start(
        "run", "--", "sh", "-c", "sleep 63 & head -c 450000 /dev/zero", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    time.sleep(4)

    assert 450_000 == len(client.communicate(timeout=60)[0])
    assert 0 == client.returncode


def test_lost_terminal_leaves_the_run_going(serving: Project) -> None:
    """SIGHUP ends the client only; the run is found, followed and ended by its id."""
    client = serving.start(
        "run", "--", "sh", "-c", "echo begun; sleep 60", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert client.stdout
    assert b"begun\n" == client.stdout.readline()
    client.send_signal(signal.SIGHUP)
    client.wait(10)

    identity = record(serving)["id"]
    assert "running" == record(serving)["state"]
    assert "begun\n" == serving.invoke("logs", "--run", identity).stdout
    assert f"{identity} stopped" in serving.invoke("stop", identity[:6]).stdout
    assert "stopped" == record(serving, identity)["state"]


def test_killed_client_leaves_a_run_that_ends_and_is_recorded(serving: Project) -> None:
    """kill -9 of the client at random moments: never started, or ends by itself with its true exit code."""  # noqa: D403
    chance = random.Random(7)  # noqa: S311 - moments for a test
    for _ in range(5):
        client = serving.start("run", "--", "sh", "-c", "sleep 1; exit 5", stdin=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.1, 1.5))
        client.kill()
        client.wait()

    runs = serving.engine().runs
    assert eventually(lambda: not [each for each in runs.records() if each.is_running])
    ended = [each for each in runs.records() if each.command[-1] == "sleep 1; exit 5" and each.state != "created"]
    assert {5} == {each.exit_code for each in ended}


def test_followed_log_of_a_detached_run_has_all_of_both_streams(serving: Project) -> None:
    """`logs --run ID --follow` ends with the run, and keeps the two apart."""
    identity = detached(serving, "--", "sh", "-c", "echo one; sleep 1; echo two >&2; echo three")
    done = serving.invoke("logs", "--run", identity, "--follow")

    assert ("one\nthree\n", "two\n") == (done.stdout, done.stderr)


def test_record_has_names_but_never_values_of_overrides(serving: Project) -> None:
    """Who, what, why, and which variables; the reason is kept, the secret is not."""
    done = run(serving, "--env", "TOKEN=hush", "--reason", "a drill", "--", "printenv", "TOKEN")

    kept = record(serving)
    assert b"hush\n" == done.stdout
    assert (["TOKEN"], "a drill") == (kept["overrides"], kept["reason"])
    assert "hush" not in json.dumps(kept)
    assert "hush" not in serving.invoke("history").stdout


def test_unknown_ended_and_ambiguous_runs_are_refused(serving: Project) -> None:
    """One line and exit code 2."""
    run(serving, "--", "true")
    identity = record(serving)["id"]

    assert 2 == serving.invoke("stop", "zzzz").returncode
    assert "has ended" in serving.invoke("stop", identity).stderr
    with pytest.raises(MisuseError):
        oneoff.chosen(serving.engine().runs, "")


def test_dry_run_prints_what_would_differ_and_does_nothing(serving: Project) -> None:
    """The command and the names of overrides."""
    before = record(serving)["id"] if json.loads(serving.invoke("history", "--json").stdout) else ""
    done = serving.invoke("--dry", "run", "--env", "A=secret", "--", "echo", "x y")

    assert "+ echo 'x y'" in done.stdout
    assert "secret" not in done.stdout
    assert before == (record(serving)["id"] if before else "")


def test_console_works_without_a_terminal(serving: Project) -> None:
    """A program on standard input has the counter at hand."""
    serving.invoke("reset", "--to", "41")

    assert "41\n" == serving.invoke("console", stdin="print(counter.value())").stdout


def test_console_is_a_prompt_on_a_terminal(serving: Project) -> None:
    """Echo, the answer, Ctrl-D: through a real pseudo-terminal."""
    ours, theirs = pty.openpty()
    client = serving.start("console", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = read_until(ours, b">>> ")
    os.write(ours, b"6 * 7\r")
    seen += read_until(ours, b"42")
    os.write(ours, b"\x04")

    assert 0 == client.wait(30)
    assert b"counter, redis" in seen
    os.close(ours)


def test_terminal_of_a_run_has_the_size_of_ours(serving: Project) -> None:
    """And the exit code is the shell's."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    client = serving.start("run", "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, b"stty size; exit 9\r")

    assert b"33 77" in read_until(ours, b"33 77")
    assert 9 == client.wait(30)
    os.close(ours)


def read_until(terminal: int, mark: bytes, within: float = 30.0) -> bytes:
    """Return what a terminal printed, up to the mark."""
    seen = b""
    deadline = time.monotonic() + within
    with contextlib.suppress(OSError):
        while mark not in seen and select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            seen += os.read(terminal, 4096)
    return seen


def test_program_is_a_command_by_being_there(project: Project) -> None:
    """A new admin/NAME.py is listed with its docstring and runs from the next release on."""
    program = '"""Say what it was given."""\nimport sys\nprint(sys.argv[1:])\nsys.exit(6)\n'
    (project.directory / "admin" / "say_it.py").write_text(program, "utf-8")
    project.up()

    assert "Say what it was given." in project.invoke("--list").stdout
    done = project.invoke("say-it", "--", "a b", "--c")
    assert (6, "['a b', '--c']\n") == (done.returncode, done.stdout)


def test_up_does_not_replace_a_worker_under_a_run_unless_forced(project: Project) -> None:
    """The run is named; `down` ends it first."""
    project.up()
    identity = detached(project, "--", "sleep", "60")
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")

    assert identity in project.invoke("up").stderr
    assert 0 == project.invoke("up", "--force").returncode
    assert f"end run {identity}: down" in project.invoke("down").stdout
    assert "stopped" == record(project, identity)["state"]


def test_replicas_of_two_releases_are_named_until_one_is_chosen(project: Project) -> None:
    """A deploy under way: the run refuses to guess."""
    project.up("worker=2")
    first = oneoff.source(project.engine()).release
    engine = project.engine()
    engine.remove(next(one for one in engine.replicas("worker") if one.number == 2))
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")
    newer = project.engine()
    worker = newer.stack.service("worker")
    assert worker
    newer.prepare(worker, lambda _: None)
    newer.create(worker, 2)

    with pytest.raises(IdentityError, match=first):
        oneoff.source(project.engine())
    assert first == oneoff.source(project.engine(), first).release


def test_run_of_a_built_release_needs_no_worker(project: Project) -> None:
    """A restore or a migration before the first `up`."""
    name = project.invoke("build").stdout.split()[-1]
    if project.engine_name == "docker":
        for network in project.engine().stack.networks:
            project.engine().provide(network)

    assert 125 == project.invoke("run", "--", "true").returncode
    done = project.invoke("run", "--release", name, "--", "python", "-c", "import service; print('here')")
    assert "here\n" == done.stdout
