"""Time limits in an image whose only program is BusyBox, whose `timeout` has other exit codes and options."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require, require_program
from tests.other_project import OtherProject

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLETS = ("sh", "sleep", "timeout")
COMPOSE = """
services:
  app:
    build: .
    command: ["/bin/sh", "-c", "exec sleep 600"]
    init: true
    deploy: {update_config: {monitor: 200ms}}
"""


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherProject]:
    """Return a project that is up, made of Debian's busybox-static."""
    require("docker")
    require_program("busybox")
    directory = tmp_path_factory.mktemp("busybox")
    shutil.copy(shutil.which("busybox") or "", directory / "busybox")
    copies = "\n".join(f"COPY busybox /bin/{applet}" for applet in APPLETS)
    (directory / "Dockerfile").write_text(f"FROM scratch\n{copies}\nENV PATH=/bin\n", "utf-8")
    (directory / "compose.yaml").write_text(COMPOSE, "utf-8")
    made = OtherProject(directory)
    made.printed("up")
    yield made
    made.twelfth("down", "--volumes", "--history", "--yes")


def last(project: OtherProject) -> tuple[str, int]:
    """Return how the last run ended, as it is recorded."""
    found = json.loads(project.printed("history", "--json"))[-1]
    return found["state"], found["exit_code"]


@pytest.mark.thorough
@pytest.mark.parametrize("code", [0, 5])
def test_process_that_answers_term_was_cut_off_all_the_same(busybox: OtherProject, code: int) -> None:
    """BusyBox's `timeout` exits with the code of the process, which may be 0."""
    answering = f"trap 'exit {code}' TERM; sleep 60 & wait"
    done = busybox.twelfth("run", "--timeout", "1", "--", "sh", "-c", answering)

    assert 124 == done.returncode
    assert "timed out after 1 s" in done.stderr
    assert ("timeout", 124) == last(busybox)


@pytest.mark.thorough
def test_process_that_ends_in_time_has_its_own_exit_code(busybox: OtherProject) -> None:
    """Also with a limit that a float would write with an exponent, which BusyBox refuses."""
    assert 0 == busybox.twelfth("run", "--timeout", "1000000", "--", "sh", "-c", "exit 0").returncode
    assert ("done", 0) == last(busybox)
    assert 3 == busybox.twelfth("run", "--timeout", "1h", "--", "sh", "-c", "exit 3").returncode
    assert ("failed", 3) == last(busybox)
