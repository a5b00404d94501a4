"""A migration that Redis refuses halfway: the way out, typed as the messages say, on every engine."""

from __future__ import annotations

import json
import os
import pty
import re
from typing import TYPE_CHECKING, Any

import pytest

from bench import hits
from tests.conftest import make_project
from tests.runs.client import read_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project

FAILING = '''"""Fill the queue."""


def up(read, write):
    write.set("filled", 1)
    write.sadd("filled:by", "ann")
    write.lpush("hits", 1)
'''
CORRECTED = FAILING.replace('"hits"', '"queue"')
FACTS = "2 commands were applied and stay: SET filled, SADD filled:by"


@pytest.fixture(scope="module")
def failed(engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Give a stack whose second release failed to migrate the data; the tests follow its operator, in order."""
    project = make_project(engine_name, tmp_path_factory.mktemp("failed"))
    project.up()
    yield project
    project.end()


def file_of(project: Project) -> Path:
    """Return where the failing migration is."""
    return project.directory / "admin" / "migrations" / "0003_fill.py"


def edit(project: Project, text: str) -> None:
    """Change the application, and so the release."""
    (project.directory / "service" / "hotfix.py").write_text(f'"""{text}."""\n', "utf-8")


def status(project: Project) -> dict[str, Any]:
    """Return what `status --json` prints."""
    found: dict[str, Any] = json.loads(project.invoke("status", "--json").stdout)
    return found


def hint(text: str) -> list[str]:
    """Return the words after `invoke` of the first command that a message suggests."""
    found = re.search(r"Try: invoke ([^,;(]+?)(?= \(|[,;\n]|$)", text)
    assert found, text
    return found[1].split()


def test_message_says_what_was_applied_and_the_release_keeps_running(failed: Project) -> None:
    """How many commands, which, and one command to type."""
    file_of(failed).write_text(FAILING, "utf-8")
    done = failed.invoke("up")

    assert 1 == done.returncode
    assert "could not apply 0003: Fill the queue (Redis refused LPUSH hits: WRONGTYPE" in done.stderr
    assert "command 3 of 3); " + FACTS in done.stderr
    assert ["migrate", "--abandon", "0003"] == hint(done.stderr)[:3]
    assert hits.sentence(f"http://127.0.0.1:{failed.environment['PORT']}").startswith("Hello World! ")


@pytest.mark.thorough
def test_status_reports_it(failed: Project) -> None:
    """For people and as JSON, of the data and of the stack, which is ready all the same."""
    stack, migrations = status(failed), json.loads(failed.invoke("migrate", "--status", "--json").stdout)
    for_people = failed.invoke("status"), failed.invoke("migrate", "--status")

    assert (True, "0003") == (stack["ready"], stack["unfinished"])
    assert (2, ["SET filled", "SADD filled:by"]) == tuple(migrations["unfinished"][x] for x in ("done", "commands"))
    assert "unfinished" == migrations["migrations"][-1]["state"]
    assert (0, True) == (for_people[0].returncode, "unfinished 0003" in for_people[0].stdout)
    assert FACTS in for_people[1].stderr


@pytest.mark.thorough
def test_release_without_it_is_deployed(failed: Project) -> None:
    """The hotfix; what is unfinished is reported and blocks nothing."""
    file_of(failed).unlink()
    edit(failed, "First")
    done = failed.invoke("up")

    assert 0 == done.returncode, done.stderr
    assert FACTS in done.stdout + done.stderr
    assert status(failed)["ready"]


@pytest.mark.thorough
def test_rollback_works(failed: Project) -> None:
    """To the release that ran before."""
    done = failed.invoke("rollback")

    assert 0 == done.returncode, done.stderr
    assert status(failed)["ready"]


@pytest.mark.thorough
def test_down_and_up_work(failed: Project) -> None:
    """Of a release without it."""
    assert 0 == failed.invoke("down").returncode
    done = failed.invoke("up")

    assert 0 == done.returncode, done.stderr
    assert (True, "0003") == (status(failed)["ready"], status(failed)["unfinished"])


@pytest.mark.thorough
def test_corrected_file_is_refused_and_its_hint_names_both_ways(failed: Project) -> None:
    """It may not be written to continue from what was applied; nothing is changed."""
    file_of(failed).write_text(CORRECTED, "utf-8")
    done = failed.invoke("up")
    file_of(failed).unlink()

    assert 1 == done.returncode
    assert FACTS in done.stderr
    assert "--take-over" in done.stderr
    assert "invoke migrate --abandon 0003" in done.stderr


@pytest.mark.thorough
def test_abandon_asks_and_takes_no_for_an_answer(failed: Project) -> None:
    """On a terminal; without one it wants --yes. Nothing is changed, and nothing saved."""
    terminal, line = pty.openpty()
    client = failed.start("migrate", "--abandon", "0003", stdin=line, stdout=line, stderr=line)
    os.close(line)
    asked = read_until(terminal, b"[y/N]")
    os.write(terminal, b"n\r")

    assert FACTS.encode() in asked
    assert 1 == client.wait(30)
    os.close(terminal)
    assert (2, True) == ((done := failed.invoke("migrate", "--abandon", "3")).returncode, "--yes" in done.stderr)
    assert "0003" == status(failed)["unfinished"]
    assert [] == [*failed.backups.glob("*-before-abandon*")]


@pytest.mark.thorough
def test_dry_abandon_changes_nothing(failed: Project) -> None:
    """It says what it would clear."""
    done = failed.invoke("--dry", "migrate", "--abandon", "0003")

    assert (0, f"would abandon 0003 (Fill the queue): {FACTS}\n") == (done.returncode, done.stdout)
    assert "0003" == status(failed)["unfinished"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--abandon", "0002"), 1),
        (("--abandon", "0007"), 1),
        (("--abandon", "x"), 2),
        (("--abandon", "0003", "--to", "1"), 2),
        (("--yes",), 2),
    ],
)
def test_what_is_not_unfinished_is_not_abandoned(failed: Project, words: tuple[str, ...], code: int) -> None:
    """One line, before the question, and without a backup."""
    done = failed.invoke("migrate", "--yes", *words) if words != ("--yes",) else failed.invoke("migrate", *words)

    assert (code, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert [] == [*failed.backups.glob("*-before-abandon*")]


@pytest.mark.thorough
def test_abandon_saves_first_and_clears_it(failed: Project) -> None:
    """From a release that has no such file; then a corrected one is applied, and the backup can be restored."""
    done = failed.invoke("migrate", "--abandon", "0003", "--yes")
    (saved,) = failed.backups.glob("*-before-abandon.resp.gz")

    assert 0 == done.returncode, done.stderr
    assert saved.name in done.stdout
    assert done.stdout.endswith(f"abandoned 0003 (Fill the queue): {FACTS}\n")
    assert "unfinished" not in status(failed)

    file_of(failed).write_text(CORRECTED, "utf-8")
    assert 0 == failed.invoke("up").returncode
    assert ("0003", True) == tuple(status(failed)[name] for name in ("revision", "ready"))

    assert 0 == failed.invoke("restore", "--yes", str(saved)).returncode
    assert "0003" == status(failed)["unfinished"]


def test_first_deploy_that_fails_is_abandoned_by_the_command_that_it_prints(engine_name: str, tmp_path: Path) -> None:
    """There is no release yet to make the run from, so the command names one."""
    project = make_project(engine_name, tmp_path)
    try:
        file_of(project).write_text(FAILING, "utf-8")
        failed = project.invoke("up")
        done = project.invoke(*hint(failed.stderr), "--yes")
        file_of(project).write_text(CORRECTED, "utf-8")
        again = project.invoke("up")
    finally:
        project.end()

    assert (1, 0, 0) == (failed.returncode, done.returncode, again.returncode), done.stderr + again.stderr
