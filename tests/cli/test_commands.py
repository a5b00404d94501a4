"""The command surface: what is listed, documented, refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).parent / "invoke"


def invoke(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run invoke as an operator would."""
    return subprocess.run([INVOKE, *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def listed() -> list[str]:
    """Return the names of the commands."""
    return re.findall(r"^  (\S+) ", invoke("--list").stdout, re.MULTILINE)


def test_every_command_is_in_the_readme() -> None:
    """A command that nobody can find is not there."""
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [] == [name for name in listed() if not re.search(rf"\b{name}\b", readme)]


def test_every_option_is_explained() -> None:
    """`--help NAME` says what each option is for."""
    bare = {
        (name, line)
        for name in listed()
        for line in re.findall(r"^  -.*$", invoke("--help", name).stdout.partition("Options:")[2], re.MULTILINE)
        if not re.search(r"\S {2,}\S", line.strip())
    }

    assert set() == {(name, line) for name, line in bare if not _continued(name, line)}


def _continued(name: str, line: str) -> bool:
    """Return whether an option's explanation stands on the line below it."""
    text = invoke("--help", name).stdout
    below = text[text.index(line) + len(line) :].lstrip("\n").partition("\n")[0]
    return below.startswith("      ") and not below.strip().startswith("-")


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("backup", "[FILE] [OPTIONS]"),
        ("stop", "RUN"),
        ("up", "[OPTIONS]"),
        ("run", "[OPTIONS] [-- ARG…]"),
        ("check", ""),
    ],
)
def test_help_begins_with_how_a_command_is_typed(name: str, usage: str) -> None:
    """What is positional, what may be left out, and nothing that is not there."""
    assert f"Usage: invoke {name} {usage}".strip() == invoke("--help", name).stdout.partition("\n")[0]


def test_help_shows_arguments_apart_from_options() -> None:
    """Each once, with its default; an option that takes a value says so, and one of a list that it can be repeated."""
    text = invoke("--help", "backup").stdout
    arguments, _, options = text.partition("Options:")

    assert re.search(r"Arguments:\n  FILE +where to; backups/TIME\.resp\.gz when left out\n", arguments)
    assert "--file" not in text
    assert re.search(r"--wait=STRING .*; 0 when\s+left out", options)
    assert re.search(r"--scale=STRING .*; may be\s+given again", invoke("--help", "up").stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "no command"),
        (("run", "--env", "NOVALUE", "--", "true"), "--env number 1 is not NAME=VALUE"),
        (("run", "--timeout", "0", "--", "true"), "--timeout 0"),
        (("run", "--timeout", "soon", "--", "true"), "--timeout soon"),
        (("up", "--scale", "worker"), "say SERVICE=N"),
        (("up", "--scale", "redis=2"), "redis keeps its data in the volume"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(words: tuple[str, ...], message: str) -> None:
    """What happened and the next command to type; never a traceback."""
    done = invoke(*words)

    assert 2 == done.returncode
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")
