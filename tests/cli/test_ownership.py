"""Only the caller's own files are executed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from twelfth.cli.ownership import refuse_foreign, trusted_users
from twelfth.errors import MisuseError
from twelfth.operator_name import user_name

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = 'services:\n  app: {image: "app:1", x-local: {command: [sleep, "60"]}}\n'
FILES = {
    "compose.yaml": COMPOSE,
    "tasks.py": "from twelfth import project\nopen('PLACE/executed', 'a').write('tasks')\nns = project(__file__)\n",
    "invoke.py": "open('PLACE/executed', 'a').write('configuration')\n",
    "invoke.yaml": "engine: local\n",
}
STRANGER = 45678
"""A user without a name."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a project that records in `executed` which of its files are executed, with a subdirectory."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("PLACE", str(tmp_path)))
    (tmp_path / "below" / "here").mkdir(parents=True)
    return tmp_path


def executed(place: Path) -> str:
    """Return which files were executed."""
    return (place / "executed").read_text() if (place / "executed").exists() else ""


def run(directory: Path, *words: str, **variables: str) -> tuple[int, str]:
    """Run twelfth in a directory; return its exit code and what it printed on standard error."""
    return run_by((), directory, *words, **variables)


def run_by(before: tuple[str, ...], directory: Path, *words: str, **variables: str) -> tuple[int, str]:
    """Run it by another program."""
    kept = {name: value for name, value in os.environ.items() if name not in {"SUDO_UID", "PWD", "INVOKE_ENGINE"}}
    done = subprocess.run(
        [*before, sys.executable, "-P", "-m", "twelfth", *words],
        cwd=directory,
        env=kept | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def give(directory: Path, owner: int = STRANGER, *names: str) -> None:
    """Give a directory's files, or all of it, to another user."""
    for path in [directory / name for name in names] or [directory, *directory.iterdir()]:
        os.chown(path, owner, owner)


@as_root
@pytest.mark.parametrize("below", [".", "below", "below/here"])
@pytest.mark.parametrize("words", [("--list",), ("status",), ("--help",), ("--complete", "--", "twelfth", "u")])
def test_nothing_of_another_users_directory_is_executed(place: Path, below: str, words: tuple[str, ...]) -> None:
    """From any subdirectory; the error is one line with the owner and how to trust them."""
    give(place)
    code, error = run(place / below, *words)

    why = f"it belongs to uid {STRANGER}, and you are root"
    hint = f"if you trust its files: TWELFTH_SAFE_DIRECTORY={place} twelfth status"
    assert (2, f"twelfth: cannot use {place}: {why}; {hint}\n") == (code, error)
    assert "" == executed(place)


@as_root
@pytest.mark.parametrize("name", ["compose.yaml", "tasks.py", "invoke.yaml"])
def test_no_file_of_another_user_is_used(place: Path, name: str) -> None:
    """Even if the caller owns the directory, which others may write to; the target of a symlink counts."""
    give(place, STRANGER, name)
    code, error = run(place, "--list")
    assert (2, True, "") == (code, f"cannot use {place / name}: it belongs to uid" in error, executed(place))

    (place / name).rename(place / "other")
    (place / name).symlink_to("other")
    assert (2, "") == (run(place, "--list")[0], executed(place))


@as_root
@pytest.mark.parametrize("name", ["admin", "admin/verify.py"])
@pytest.mark.parametrize("has_compose_file", [True, False])
def test_no_program_of_another_user_is_run_here(place: Path, name: str, has_compose_file: bool) -> None:  # noqa: FBT001
    """`verify` runs on this machine, and needs neither a stack nor a Compose file."""
    (place / "admin").mkdir()
    text = FILES["tasks.py"].replace("PLACE", str(place))
    (place / "admin" / "verify.py").write_text(f"{text}\nif __name__ == '__main__': pass\n")
    (place / "backup").touch()
    for each in FILES if not has_compose_file else ():
        (place / each).unlink()
    give(place, STRANGER, name)
    code, error = run(place, "verify", "backup")

    assert (2, True, "") == (code, f"it belongs to uid {STRANGER}" in error, executed(place))


@as_root
@pytest.mark.parametrize(
    "trust",
    [
        {"TWELFTH_SAFE_DIRECTORY": "{}"},
        {"TWELFTH_SAFE_DIRECTORY": "/nowhere:{}/below/.."},
        {"TWELFTH_SAFE_DIRECTORY": "*"},
        {"SUDO_UID": f"{STRANGER}"},
    ],
)
def test_trusted_directory_is_used(place: Path, trust: dict[str, str]) -> None:
    """By name, or because its owner called sudo; the suggested command works as printed."""
    give(place)
    variables = {name: text.format(place) for name, text in trust.items()}

    assert 0 == run(place / "below", "--list", **variables)[0]
    assert "tasks" == executed(place)


@as_root
@pytest.mark.parametrize("sudo", ["1", "x", "-1", ""])
def test_only_the_user_who_called_sudo_is_trusted(place: Path, sudo: str) -> None:
    """By root only."""
    give(place)

    assert (2, "") == (run(place, "--list", SUDO_UID=sudo)[0], executed(place))


@as_root
def test_other_users_do_not_execute_files_of_root(place: Path) -> None:
    """Even if SUDO_UID names root."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    before = ("setpriv", f"--reuid={STRANGER}", "--clear-groups")
    readable = subprocess.run([*before, sys.executable, "-c", f"open({str(ROOT / 'inv')!r})"], check=False, cwd="/")
    if readable.returncode:
        pytest.skip("another user cannot read this checkout")
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        shutil.copytree(place, directory, dirs_exist_ok=True)
        directory.chmod(0o755)
        code, error = run_by(before, directory, "--list", SUDO_UID="0")

    assert (2, True, "") == (code, f"it belongs to root, and you are uid {STRANGER}" in error, executed(place))


@as_root
def test_owner_of_a_directory_without_a_project_does_not_matter(tmp_path: Path) -> None:
    """None of its files is used."""
    give(tmp_path)

    assert 0 == run(tmp_path, "--list")[0]


@as_root
def test_project_of_the_caller_below_another_users_is_used(place: Path) -> None:
    """It is the nearest project."""
    give(place)
    os.chown(place / "below", os.geteuid(), -1)
    (place / "below" / "compose.yaml").write_text(COMPOSE)

    assert (0, "") == (run(place / "below" / "here", "--list")[0], executed(place))


def test_configuration_in_python_is_never_executed(place: Path) -> None:
    """A warning names it, and the YAML is used."""
    home = place / "home"
    home.mkdir()
    (home / ".invoke.py").write_text((place / "invoke.py").read_text())
    (place / "invoke.yaml").unlink()
    code, error = run(place, "--list", HOME=str(home))

    assert (0, "tasks") == (code, executed(place))
    for path in (home / ".invoke.py", place / "invoke.py"):
        line = f"twelfth: {path} is ignored: configuration in Python is unsupported; write it as YAML"
        assert line in error.splitlines()


def test_named_configuration_in_python_is_refused(place: Path) -> None:
    """Else it would seem to be used."""
    code, error = run(place, "status", INVOKE_RUNTIME_CONFIG=str(place / "invoke.py"))

    assert (2, "tasks") == (code, executed(place))
    assert (
        f"twelfth: cannot load {place / 'invoke.py'}: configuration in Python is unsupported; write it as YAML\n"
        == error
    )


@as_root
def test_configuration_of_another_users_home_is_refused(place: Path) -> None:
    """As after `su`, which keeps HOME; YAML can name a class that is imported."""
    home = place / "home"
    home.mkdir()
    (home / ".invoke.yaml").write_text("tasks: {executor_class: evil.Executor}\n")
    give(home)
    code, error = run(place, "--list", HOME=str(home))

    assert (2, "") == (code, executed(place))
    assert f"cannot use {home}/.invoke.yaml: it belongs to uid {STRANGER}; remove it, or set HOME" in error


def test_tasks_of_a_subdirectory_are_not_executed(place: Path) -> None:
    """Only those next to the Compose file."""
    (place / "below" / "tasks.py").write_text(
        f"from twelfth import project\nopen('{place}/executed', 'w').write('bad')\n"
    )

    assert (0, "tasks") == (run(place / "below", "--list")[0], executed(place))


def test_users_are_named(tmp_path: Path) -> None:
    """By number if they have no name; files of the caller are used."""
    assert ("root", "uid 45678") == (user_name(0), user_name(45678))
    assert os.geteuid() in trusted_users({"SUDO_UID": "0"})
    refuse_foreign(tmp_path, [tmp_path], {})


def test_owner_is_checked_regardless_of_sudo_uid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root, no one called sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)

    assert {1234} == trusted_users({"SUDO_UID": "0"})
    with pytest.raises(MisuseError, match="and you are uid 1234"):
        refuse_foreign(tmp_path, [tmp_path], {})
