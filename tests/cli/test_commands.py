"""The command surface: what is listed, documented, refused."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from twelfth.cli.command import number
from twelfth.errors import MisuseError

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).parent / "invoke"


HELP_OF_EACH = """
import sys
from invoke.main import program

names, sys.argv = sys.argv[1:], ["invoke"]
for name in names:
    program.run(["invoke", "--help", name], exit=False)
    print(end="\\f")
"""
"""A program that prints what `invoke --help NAME` does, of each name; starting Invoke for each would take long."""


def invoke(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run invoke as an operator would."""
    return subprocess.run(
        [INVOKE, *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@functools.cache
def listed() -> list[str]:
    """Return the names of the commands."""
    return re.findall(r"^  (\S+) ", invoke("--list").stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Return the help of each command, by name."""
    command = [sys.executable, "-c", HELP_OF_EACH, *listed()]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    return dict(zip(listed(), printed.split("\f"), strict=False))


def test_every_command_is_in_the_readme() -> None:
    """Else users do not find it."""
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [] == [name for name in listed() if not re.search(rf"\b{name}\b", readme)]


def test_every_option_is_explained(helps: dict[str, str]) -> None:
    """`--help NAME` explains each option."""
    assert helps["up"] == invoke("--help", "up").stdout
    bare = {
        (name, line)
        for name, text in helps.items()
        for line in re.findall(r"^ +-.*$", text.partition("Options:")[2], re.MULTILINE)
        if not re.search(r"\S {2,}\S", line.strip())
    }

    assert set() == {(name, line) for name, line in bare if not is_continued(helps[name], line)}


def is_continued(text: str, line: str) -> bool:
    """Return whether an option is explained on the next line."""
    below = text[text.index(line) + len(line) :].lstrip("\n").partition("\n")[0]
    return below.startswith("      ") and not below.strip().startswith("-")


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("backup", "[FILE] [OPTIONS]"),
        ("stop", "RUN|SERVICE…"),
        ("logs", "[OPTIONS] [SERVICE…]"),
        ("up", "[OPTIONS] [SERVICE…]"),
        ("exec", "SERVICE [OPTIONS] COMMAND [ARG…]"),
        ("run", "[OPTIONS] -- COMMAND [ARG…]"),
        ("console", "[OPTIONS] [-- ARG…]"),
        ("check", ""),
    ],
)
def test_help_begins_with_how_a_command_is_typed(helps: dict[str, str], name: str, usage: str) -> None:
    """Arguments that may be omitted are in brackets."""
    assert f"Usage: invoke {name} {usage}".strip() == helps[name].partition("\n")[0]


def test_help_shows_arguments_apart_from_options(helps: dict[str, str]) -> None:
    """Each once, with its default and the kind of its value; some are repeatable."""
    text = helps["backup"]
    arguments, _, options = text.partition("Options:")

    assert re.search(r"Arguments:\n  FILE +The file to write; if omitted, one in the state directory\n", arguments)
    assert "--file" not in text
    assert re.search(r"--wait SECONDS .*\(default:\s+0\)", options)
    assert re.search(r"--scale SERVICE=N .*\(repeatable\)", helps["up"], re.DOTALL)
    assert re.search(r"--ready-within SECONDS .*\(default:\s+60\s+plus", helps["up"], re.DOTALL)


YES = "      --yes                   Do not ask the job's question\n"


def test_programs_have_the_options_of_run(helps: dict[str, str]) -> None:
    """Every program of `admin/` is a run."""
    options = [text.partition("Options:")[2] for text in (helps["run"], helps["console"])]

    assert options[0] == options[1].replace(YES, "")
    assert all(f"--{name}" in options[1] for name in ("detach", "timeout SECONDS", "env NAME=VALUE", "no-tty"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "no command was given"),
        (("run", "--"), "no command was given"),
        (("run", "--env", "NOVALUE", "--", "true"), "--env number 1 is not NAME=VALUE"),
        (("run", "--env", "=hush", "--", "true"), "--env number 1 is not NAME=VALUE"),
        (("run", "--timeout", "0", "--", "true"), "invalid --timeout 0: "),
        (("run", "--timeout", "soon", "--", "true"), "invalid --timeout soon: "),
        (("run", "--timeout", "nan", "--", "true"), "--timeout nan"),
        (("run", "--timeout", "-1", "--", "true"), "--timeout -1"),
        (("run", "--tty", "--detach", "--", "true"), "--tty and --detach exclude each other"),
        (("stop",), "stop needs a run or services. Try: invoke stop SERVICE…, or to stop and remove all: invoke down"),
        (("console", "--timeout", "soon"), "invalid --timeout soon: "),
        (("reset", "--timeout", "0"), "invalid --timeout 0: "),
        (("up", "--scale", "worker"), "write SERVICE=N"),
        (("up", "--scal", "worker=2"), "unknown option --scal. Did you mean --scale? Try: invoke --help up"),
        (("scal", "worker=2"), "unknown command scal. Try: invoke scale"),
        (("up", "--scale", "redis=2"), "redis keeps its data in the volume"),
    ],
)
def test_invalid_argument_is_one_line_and_exit_code_2(words: tuple[str, ...], message: str) -> None:
    """Without a traceback or a value of the environment, and before an engine is chosen."""
    done = invoke(*words, INVOKE_ENGINE="none-such")

    assert (2, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("text", "least", "expected"), [("0", 0, 0), ("12", 0, 12), ("1", 1, 1), ("9" * 12, 0, 10**12 - 1)]
)
def test_number_is_at_least_what_an_option_takes(text: str, least: int, expected: int) -> None:
    """Only ASCII digits are accepted."""
    assert expected == number(text, "--tail", least)


@pytest.mark.parametrize(("text", "least"), [("", 0), ("-1", 0), ("1.5", 0), ("\u0661", 0), ("0", 1), ("9" * 5000, 0)])
def test_anything_else_is_refused(text: str, least: int) -> None:
    """The line stays short."""
    with pytest.raises(MisuseError, match=rf"^--tail .*: must be a number, {least} or more$") as refused:
        number(text, "--tail", least)

    assert len(str(refused.value)) < 80
