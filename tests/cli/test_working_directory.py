"""A project in a symlinked directory has the same name as in Compose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DOCKER_COMPOSE
from twelfth.cli.working_directory import as_entered, working_directory

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = """
services:
  app: {image: "app:1", x-local: {command: [sleep, "60"]}}
"""
TASKS = "from twelfth import project\nns = project(__file__)\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with `releases/5`, which is a project, and `current`, which leads to it."""
    release = tmp_path / "releases" / "5"
    (release / "below").mkdir(parents=True)
    (release / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "current").symlink_to("releases/5")
    return tmp_path


def environment(pwd: Path | str | None) -> dict[str, str]:
    """Return the environment of a shell whose PWD is this."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PWD", "COMPOSE_PROJECT_NAME"}}
    own = {"PYTHONPATH": str(ROOT), "INVOKE_ENGINE": "local"}
    return kept | own | ({} if pwd is None else {"PWD": str(pwd)})


def printed(directory: Path, variables: dict[str, str], *command: str | Path) -> str:
    """Return what a command prints in a directory."""
    done = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def ours(directory: Path, variables: dict[str, str], *words: str) -> str:
    """Return the name that twelfth gives the project."""
    program = (sys.executable, "-P", "-m", "twelfth", *words, "config", "--json")
    return str(json.loads(printed(directory, variables, *program))["project"])


@pytest.mark.parametrize(
    ("directory", "pwd", "name"),
    [
        ("current", "current", "current"),
        ("current/below", "current/below", "current"),
        ("current", None, "5"),
        ("current", "", "5"),
        ("current", "/", "5"),
        ("current", "no/such/directory", "5"),
        ("current", "releases", "5"),
        ("current", "releases/5", "5"),
        ("releases/5", "current", "current"),
        ("current/below", "releases/5/below", "5"),
    ],
)
def test_name_is_that_of_compose(place: Path, directory: str, pwd: str | None, name: str) -> None:
    """If PWD is right, missing or of another directory."""
    variables = environment(pwd if pwd in {None, "", "/"} else place / str(pwd))
    theirs = json.loads(printed(place / directory, variables, DOCKER_COMPOSE, "config", "--format", "json"))

    assert (name, name) == (theirs["name"], ours(place / directory, variables))


def test_name_is_that_of_compose_with_a_named_file(place: Path) -> None:
    """In a subdirectory, or in another directory."""
    variables = environment(place) | {"COMPOSE_FILE": "current/compose.yaml"}

    assert "current" == ours(place, variables)


@pytest.mark.parametrize(
    ("root", "name"), [("current", "current"), ("releases/5/below", "5"), ("./releases/../current/", "current")]
)
def test_project_is_searched_from_the_search_root(place: Path, root: str, name: str) -> None:
    """By the name that was typed."""
    assert name == ours(place, environment(place), "-r", root)
    assert name == ours(Path("/"), environment("/"), "--search-root", str(place / root))


def test_missing_search_root_is_refused(place: Path) -> None:
    """The working directory is not used instead."""
    words = (sys.executable, "-P", "-m", "twelfth", "-r", "nowhere", "--list")
    done = subprocess.run(words, cwd=place, env=environment(place), capture_output=True, text=True, check=False)

    assert (2, "") == (done.returncode, done.stdout)
    assert "twelfth: --search-root nowhere: no such directory; name one that exists\n" == done.stderr


@pytest.mark.parametrize(("pwd", "name"), [("current", "current"), ("current/below", "current"), (None, "5")])
def test_tasks_of_a_project_have_its_name(place: Path, pwd: str | None, name: str) -> None:
    """Invoke finds them without symlinks."""
    (place / "current" / "tasks.py").write_text(TASKS)
    command = (Path(sys.executable).parent / "invoke", "config", "--json")
    found = printed(place / (pwd or "current"), environment(pwd and place / pwd), *command)

    assert name == json.loads(found)["project"]


def test_inv_uses_the_directory_that_was_typed(place: Path) -> None:
    """From inside, from outside, and through a symlink to it; its environment is that of the real directory."""
    release = place / "releases" / "5"
    (release / "inv").write_bytes((ROOT / "inv").read_bytes())
    (release / "inv").chmod(0o755)
    (release / "tasks.py").write_text(TASKS)
    (release / "service").mkdir()
    for name in ("requirements.txt", "service/requirements.txt"):
        (release / name).write_text("")
    binaries = release / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (binaries / "invoke").symlink_to(Path(sys.executable).parent / "invoke")
    made = f"{release}\n{os.path.realpath(sys.executable)}\n"
    (release / ".venv" / "made-from").write_text(made)
    (place / "link").symlink_to("current/inv")

    calls = {
        ("current", "./inv"): "current",
        ("releases/5", "./inv"): "5",
        (".", "current/inv"): "current",
        (".", "releases/5/inv"): "5",
        (".", "./link"): "current",
        ("current/below", "../inv"): "current",
        ("releases/5", str(place / "current" / "inv")): "current",
    }
    for (directory, program), name in calls.items():
        found = printed(place / directory, environment(place / directory), program, "config", "--json")
        assert (program, name) == (program, json.loads(found)["project"])


def test_working_directory_is_the_one_of_the_shell(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If that is the working directory."""
    monkeypatch.chdir(place / "current")

    assert place / "current" == working_directory({"PWD": str(place / "current")})
    assert place / "releases" / "5" == working_directory({"PWD": "current"})
    assert place / "current" == as_entered(place / "releases" / "5", {"PWD": str(place / "current")})
    assert place / "elsewhere" == as_entered(place / "elsewhere", {"PWD": str(place / "current")})
