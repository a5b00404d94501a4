"""No command prints control characters from outside to the terminal."""

from __future__ import annotations

import fcntl
import io
import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.text import Text

from tests import forked_invoke
from tests.conftest import make_project
from twelfth.cli import outputs, views
from twelfth.cli.program import collection
from twelfth.cli.spinner import Spinner
from twelfth.engines.json_file import write_json
from twelfth.model.record import Record, of_run
from twelfth.model.run import Run
from twelfth.stack import logs
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

ACTING = "\x1b]0;x\a\x1b[31m\r\b\x7f\x85\x9b31m\x9d\u200e\u202e\u2066\u2028\ufeff\U000e0041"
"""Titles and colours, a bell, returns, C1 controls, bidi controls, separators, tags."""

PLAIN = "naïve € 日本\u3000語 \U0001f468\u200d\U0001f469\u200d\U0001f466 \u0646\u0645\u06cc\u200c\u062e"
"""Words of several scripts, with the joiners that they need."""


def acting(text: str) -> set[str]:
    """Return the characters of a text that control a terminal, except for layout."""
    return {each for each in text if each in ACTING and not " " <= each <= "~"}


def test_only_control_characters_are_escaped() -> None:
    """Also bytes that are no text, which Python decodes to surrogates."""

    assert not acting(printable(ACTING))
    assert PLAIN == printable(PLAIN)
    assert r"a\x1b[31m\n\udcff" == printable("a\x1b[31m\n\udcff")
    assert "a\n\\x1b" == printable("a\n\x1b", "\n")


@contextmanager
def output() -> Iterator[io.BytesIO]:
    """Replace standard output by a buffer, prepared as for a command."""
    before, buffer = sys.stdout, io.BytesIO()
    sys.stdout = outputs.PrintableOutput(buffer, encoding="utf-8", line_buffering=True)
    try:
        yield buffer
    finally:
        sys.stdout.flush()
        sys.stdout.detach()
        sys.stdout = before


def test_commands_print_text_and_pass_bytes_on() -> None:
    """A log belongs to its program; tasks of a project may print colours."""
    with output() as buffer:
        with outputs.escaped_outputs():
            print(ACTING)  # noqa: T201 - as a command does
            sys.stdout.buffer.write(b"\x1b[31m")
        print("\x1b[32m")  # noqa: T201 - as a task of a project does
        sys.stdout.flush()

        assert f"{printable(ACTING)}\n\x1b[31m\x1b[32m\n" == buffer.getvalue().decode()


def test_spinner_draws_and_its_texts_do_not() -> None:
    """Its own colours reach the terminal; control characters of a build or a release command do not."""
    with output() as buffer:
        with outputs.escaped_outputs(), Spinner(sys.stdout) as spinner:
            spinner.console = Console(file=outputs.drawing(sys.stdout), force_terminal=True, width=200)
            spinner.step(f"build {ACTING}")
            spinner.detail(ACTING)
            spinner.step("next")
            spinner.console.print(Text("drawn", "red"))
        printed = buffer.getvalue().decode()

    assert "\x1b[31mdrawn" in printed
    assert printable("\x1b]0;x\a") in printed
    assert "\x1b]0;" not in printed
    assert not acting(printed.replace("\x1b", "").replace("\r", ""))


def run_with(text: str) -> Record:
    """Return a record in which every field is this text."""
    return of_run(Run(text, (text,), text, text, text, text, text, (text,), "2026-01-01T00:00:00Z", "", 0.1, text, 0))


def test_tables_and_documents_have_one_line_for_each_record() -> None:
    """A newline in a reason would forge a record; JSON has each text unchanged."""
    shown = views.history([run_with(f"{ACTING}\nfake  2026-01-01")], datetime.now(UTC))
    document = views.json_array([run_with(ACTING)])

    assert 2 == len(shown.splitlines())
    assert not acting(shown)
    assert not acting(document)
    assert [ACTING] == json.loads(document)[0]["command"]


def test_names_before_the_lines_of_a_log_are_printable() -> None:
    """The lines themselves are the program's."""
    (line,) = logs.lines([(ACTING, iter([b"\x1b[31mred\n"]))], lambda _: None)

    assert f"{printable(ACTING)} | \x1b[31mred\n" == line.decode()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with control characters in its files, records and lock."""
    made = make_project("local", tmp_path_factory.mktemp("hostile"))
    text = f'"""Does {ACTING!r}."""\nif __name__ == "__main__":\n    pass\n'
    (made.directory / "admin" / "harmful.py").write_text(text.replace("\\x1b", "\x1b"), "utf-8")
    return made


def typed(project: Project) -> list[tuple[str, ...]]:
    """Return command lines with control characters in each argument and option of each command."""
    lines: list[tuple[str, ...]] = [("--list",), (ACTING,), ("--help", ACTING), ("--help", "harmful")]
    for task in collection(project.directory).to_contexts():
        required = [ACTING for each in task.positional_args]
        options = [option for option in task.args.values() if option.kind in {str, list} and not option.positional]
        lines += [(str(task.name), *required, f"--{option.name}={ACTING}") for option in options]
        lines += [(str(task.name), *required), (str(task.name), *required, f"--{ACTING}")]
    lines.remove(("schedule",))  # it does not exit
    return lines


@pytest.mark.thorough
def test_no_command_prints_control_characters(hostile: Project) -> None:
    """With a generated list of commands, arguments and options."""
    lines = typed(hostile)
    assert 60 < len(lines)
    wrong = {}
    for words in lines:
        done = forked_invoke.invoke(words, hostile.directory, hostile.own_environment)
        if found := acting((done.stdout + done.stderr).decode()):
            wrong[words] = found

    assert {} == wrong


@pytest.mark.parametrize(
    "variable",
    ["COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "DOCKER_HOST", "INVOKE_ENGINE", "PORT", "LOGNAME"],
)
def test_no_variable_controls_the_terminal(hostile: Project, variable: str) -> None:
    """Errors of Compose and the daemon's client repeat invalid values."""
    environment = hostile.own_environment | {variable: ACTING.replace("\0", "")}
    if variable == "DOCKER_HOST":
        environment["INVOKE_ENGINE"] = "docker"
    for words in (("status",), ("config",), ("--dry", "up")):
        done = forked_invoke.invoke(words, hostile.directory, environment)

        assert not acting((done.stdout + done.stderr).decode())


@pytest.mark.thorough
def test_records_and_the_lock_do_not_control_the_terminal(hostile: Project) -> None:
    """The operator's name, a reason, a command, a release, and the holder of the lock."""
    engine = hostile.engine()
    directory = engine.home / "runs" / "abcd"  # type: ignore[attr-defined]
    directory.mkdir(parents=True)
    record = {"release": ACTING, "operator": ACTING, "reason": ACTING, "overrides": [ACTING]}
    write_json(directory / "spec.json", record | {"command": [ACTING], "started": "2026-01-01T00:00:00Z"})
    lock = hostile.directory / ".twelfth" / f"{hostile.name}.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(f"{ACTING}\nsecond line", "utf-8")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        lines = [("history",), ("history", "--json"), ("stop", "abcd"), ("status",), ("up",), ("down",), ("prune",)]
        for words in lines:
            done = forked_invoke.invoke(words, hostile.directory, hostile.own_environment)
            printed = (done.stdout + done.stderr).decode()

            assert not acting(printed), words
            assert "second line" not in printed.splitlines()
