"""Each command of docs/runbook.md, typed in the situation that its section is about."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import forked_invoke
from tests.conftest import Project, make_project

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ASKING = {"unlock", "restore"}
"""Commands that ask at a terminal; here they are typed with `--yes`."""

BAD_MIGRATION = "raise SystemExit('bad migration')\n"


def commands(section: str) -> list[list[str]]:
    """Return the words of the commands of a section."""
    lines = re.findall(r"^\$ (.*)$", SECTIONS[section], re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def type_all(project: Project, section: str, **names: str) -> dict[str, subprocess.CompletedProcess[str]]:
    """Type the commands of a section, with names in capitals replaced, and return how each ended, by its words."""
    done = {}
    for words in commands(section):
        filled = [names.get(word, word) for word in words]
        done[" ".join(words)] = type_one(project, filled)
    return done


def type_one(project: Project, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Type one command."""
    if words[0] != "./inv":
        return subprocess.run(words, cwd=project.directory, capture_output=True, text=True, check=False)
    if words[-2:-1] == [">"]:
        done = forked_invoke.invoke(words[1:-2], project.directory, project.own_environment)
        Path(words[-1]).write_bytes(done.stdout)
        return subprocess.CompletedProcess(words, done.returncode, "", done.stderr.decode())
    asks = ["--yes"] if ASKING & set(words) else []
    return project.invoke(*words[1:], *asks)


def refuse_failed(done: dict[str, subprocess.CompletedProcess[str]], **codes: int) -> None:
    """Fail unless each command exited with 0, or with the code that is named by its word."""
    for words, process in done.items():
        expected = next((code for word, code in codes.items() if word in words.split()), 0)
        assert (words, expected) == (words, process.returncode), process.stderr


@pytest.fixture(scope="module")
def up(engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project of which two releases were deployed."""
    made = make_project(engine_name, tmp_path_factory.mktemp("runbook"))
    made.up()
    change(made, "second")
    made.up()
    yield made
    made.end()


def change(project: Project, comment: str) -> None:
    """Change the release of the files."""
    path = project.directory / "service" / "app.py"
    path.write_text(f"{path.read_text('utf-8')}\n# {comment}\n", "utf-8")
    vars(project).pop("stack", None)


def test_every_section_is_tested() -> None:
    """A section without a test here would not be noticed otherwise."""
    tested = {
        "Runbook",
        "A bad deploy",
        "A failed migration",
        "The daemon is down, or you may not use it",
        "The disk is full",
        "The checkout is lost",
        "Someone else has the lock",
        "Restore data",
    }
    assert tested == SECTIONS.keys()
    assert all(commands(section) for section in tested)


def test_first_look(up: Project) -> None:
    """Everything is shown."""
    done = type_all(up, "Runbook")
    refuse_failed(done)
    assert "is ready" in done["./inv status"].stdout


def test_bad_deploy(up: Project) -> None:
    """The previous release runs again."""
    previous = next(line.split()[0] for line in up.invoke("releases").stdout.splitlines() if "rollback goes" in line)
    done = type_all(up, "A bad deploy")
    refuse_failed(done)
    assert f"release {previous}" in done["./inv status"].stdout
    up.up()


def test_failed_migration(up: Project) -> None:
    """The run of the migration is found, and its output; the old release serves."""
    bad = up.directory / "admin" / "migrations" / "0003_bad.py"
    bad.write_text(BAD_MIGRATION, "utf-8")
    assert up.invoke("up").returncode == 1
    failed = up.invoke("history", "--failed", "--json").stdout
    run = re.findall(r'"id": "([0-9a-f]{8})"', failed)[-1]
    done = type_all(up, "A failed migration", RUN=run)
    refuse_failed(done)
    assert "bad migration" in done["./inv logs --run RUN"].stdout + done["./inv logs --run RUN"].stderr
    bad.unlink()
    assert up.invoke("up").returncode == 0


def test_daemon_down(up: Project) -> None:
    """Each command fails with 125 and one line; nothing is changed, and no other engine is used."""
    if up.engine_name == "local":
        pytest.skip("it has no daemon")
    for words in commands("The daemon is down, or you may not use it"):
        if words[0] == "./inv":
            gone = up.invoke(*words[1:], DOCKER_HOST="unix:///nowhere/docker.sock", INVOKE_ENGINE="auto")
            assert (125, 1) == (gone.returncode, len(gone.stderr.splitlines())), gone.stderr
            assert "local" not in gone.stderr
    done = type_all(up, "The daemon is down, or you may not use it")
    refuse_failed({words: process for words, process in done.items() if "./inv" in words})


def test_full_disk(up: Project, tmp_path: Path) -> None:
    """What frees space, and a backup to somewhere else."""
    done = type_all(up, "The disk is full", **{"/elsewhere/hits.resp.gz": str(tmp_path / "hits.resp.gz")})
    refuse_failed({words: process for words, process in done.items() if "./inv" in words})


def test_lost_checkout(up: Project, tmp_path: Path) -> None:
    """A clone knows the stack and its history."""
    git = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.org", "-C", str(up.directory)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    clone = tmp_path / "again"
    subprocess.run([*git, "clone", "-q", ".", str(clone)], check=True)
    fresh = Project(clone, up.engine_name, up.environment)
    typed = [words for words in commands("The checkout is lost") if words[0] == "./inv"]
    done = {" ".join(words): type_one(fresh, words) for words in typed}
    refuse_failed(done)
    assert "nothing to do" in done["./inv --dry up"].stdout
    assert "up" in done["./inv history"].stdout


def test_lock_of_someone_else(up: Project) -> None:
    """The holder is shown and loses the lock."""
    lock = up.engine().state.lock("deploying")
    with contextlib.suppress(Exception), lock:
        done = type_all(up, "Someone else has the lock")
    refuse_failed(done)
    assert "deploying since" in done["./inv status"].stdout
    assert "deploying since" in done["./inv unlock"].stdout


def test_restore(up: Project) -> None:
    """The file that `backup` prints is verified and restored."""
    path = up.invoke("backup").stdout.splitlines()[-1]
    assert Path(path).is_absolute()
    refuse_failed(type_all(up, "Restore data", FILE=path))
