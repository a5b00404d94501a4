"""What `./inv` installs, and when; a hand-made `uv` notes what it is asked for and installs nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UV = """#!/bin/sh
for last; do :; done
echo "$1 ${last##"$PWD"/}" >>asked
case $1 in
    venv) ! [ -e slow ] || sleep 0.5; mkdir -p "$last/bin" && cp invoke "$last/bin/invoke" ;;
    pip) ! [ -e broken ] ;;
esac
"""


@dataclass
class Clone:
    """A directory with `inv`, lock files and the hand-made programs."""

    directory: Path

    def start(self, *words: str, program: str = "./inv", **environment: str) -> subprocess.Popen[str]:
        """Start `./inv` and return its process."""
        path = f"{self.directory / 'path'}:{os.environ['PATH']}"
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [program, *words], cwd=self.directory, env={"PATH": path} | environment, stdout=pipe, stderr=pipe, text=True
        )

    def inv(self, *words: str, program: str = "./inv") -> tuple[int, str, list[str]]:
        """Run `./inv`; return its exit code, its output, and the calls of `uv`."""
        (self.directory / "asked").write_text("")
        with self.start(*words, program=program) as process:
            output, _ = process.communicate(timeout=20)
        return process.returncode, output, self.asked()

    def asked(self) -> list[str]:
        """Return what `uv` was asked for."""
        return (self.directory / "asked").read_text().splitlines()


CALLED = "invoke --write-pyc"
"""How Invoke is called: without, it would have each command compile twelfth again."""
ENVIRONMENT = ["venv .venv", "pip requirements.txt"]
FOR_TESTS = ["pip tests/requirements.txt"]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Return a clone that has no .venv yet."""
    shutil.copy(ROOT / "inv", tmp_path)
    for name in ("service", "tests", "path"):
        (tmp_path / name).mkdir()
    for name in (".", "service", "tests"):
        (tmp_path / name / "requirements.txt").write_text("# none\n")
    (tmp_path / "invoke").write_text('#!/bin/sh\necho "invoke $*"\n')
    (tmp_path / "path" / "uv").write_text(UV)
    for program in (tmp_path / "invoke", tmp_path / "path" / "uv"):
        program.chmod(0o755)
    return Clone(tmp_path)


@pytest.mark.parametrize("words", [("up",), ("run", "--", "test"), ("--help", "up")])
def test_a_stack_needs_nothing_of_the_tests(clone: Clone, words: tuple[str, ...]) -> None:
    """The words after `--` are a program's, and no command of ours."""

    assert (0, f"{CALLED} {' '.join(words)}\n", ENVIRONMENT) == clone.inv(*words)


@pytest.mark.parametrize("words", [("test", "--", "-q"), ("check",), ("--echo", "build", "bench")])
def test_what_tests_need_is_installed_with_the_first_that_needs_it(clone: Clone, words: tuple[str, ...]) -> None:
    """Once: the second time nothing is asked for."""

    assert (0, f"{CALLED} {' '.join(words)}\n", ENVIRONMENT + FOR_TESTS) == clone.inv(*words)
    assert [] == clone.inv(*words)[2]


def test_without_a_word_the_commands_are_listed(clone: Clone) -> None:
    """And not Invoke's own options."""
    assert f"{CALLED} --list\n" == clone.inv()[1]


def test_what_tests_need_is_added_to_what_is_there(clone: Clone) -> None:
    """It is the same environment, which may be running a stack."""
    clone.inv("up")

    assert FOR_TESTS == clone.inv("test")[2]
    assert [] == clone.inv("up")[2]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("tests", FOR_TESTS),
        (".", ENVIRONMENT + FOR_TESTS),
        ("service", ENVIRONMENT + FOR_TESTS),
    ],
)
def test_a_changed_lock_is_installed(clone: Clone, changed: str, expected: list[str]) -> None:
    """Of the tests, without a new environment; of the stack, with one, which holds nothing of the tests yet."""
    clone.inv("test")
    (clone.directory / changed / "requirements.txt").write_text("# other\n")

    assert expected == clone.inv("test")[2]


def test_a_failed_installation_is_told_and_repeated(clone: Clone) -> None:
    """Nothing is run before it went well."""
    clone.inv("up")
    (clone.directory / "broken").touch()

    assert (125, "", FOR_TESTS) == clone.inv("test")
    (clone.directory / "broken").unlink()
    assert (0, f"{CALLED} test\n", FOR_TESTS) == clone.inv("test")


def test_two_at_once_install_once(clone: Clone) -> None:
    """The second waits, and finds what it needs."""
    (clone.directory / "slow").touch()
    clients = [clone.start("test"), clone.start("check")]

    assert [f"{CALLED} test\n", f"{CALLED} check\n"] == [client.communicate(timeout=20)[0] for client in clients]
    assert ENVIRONMENT + FOR_TESTS == clone.asked()


@pytest.mark.parametrize("program", ["./inv", "./link"])
def test_hints_are_to_name_what_was_typed(clone: Clone, program: str) -> None:
    """Invoke gets the name under which it was called."""
    (clone.directory / "invoke").write_text("#!/bin/sh\necho $TWELFTH_PROGRAM\n")
    (clone.directory / "link").symlink_to("inv")

    assert (0, f"{program}\n") == clone.inv("up", program=program)[:2]


def test_python_that_is_to_write_no_bytecode_writes_none(clone: Clone) -> None:
    """The operator's word goes."""
    with clone.start("up", PYTHONDONTWRITEBYTECODE="1") as process:
        assert "invoke up\n" == process.communicate(timeout=20)[0]


def test_version_is_that_of_invoke_and_ours(clone: Clone) -> None:
    """Both are asked, by the environment's own Python."""
    clone.inv("up")
    python = clone.directory / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$*"\n')
    python.chmod(0o755)
    (clone.directory / ".venv" / "made-from").write_text(f"{clone.directory}\n{python}\n# none\n# none\n")

    assert (0, "invoke --version\n-m twelfth --version\n", []) == clone.inv("--version")


def test_completion_goes_by_way_of_the_same_program(clone: Clone) -> None:
    """The script calls it by its place, wherever the shell is, and Invoke gets the line by the name that it knows."""
    called = "invoke --complete -- ${WORDS}; complete --command invoke"
    (clone.directory / "invoke").write_text(f"#!/bin/sh\n[ $2 = --complete ] && echo \"$*\" || echo '{called}'\n")

    expected = f"'{clone.directory}/inv' --complete -- ${{WORDS}}; complete --command inv\n"

    assert expected == clone.inv("--print-completion-script", "fish")[1]
    assert "--write-pyc --complete -- invoke up --sc\n" == clone.inv("--complete", "--", "./inv", "up", "--sc")[1]
