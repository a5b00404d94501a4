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
