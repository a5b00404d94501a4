"""`up` ended by TERM or KILL during its release command, on each engine of this machine."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.scenarios.load import change

if TYPE_CHECKING:
    from tests.conftest import Project
    from twelfth.model.run import Run

SCRIPT = "python -m admin.migrate; echo started; sleep 4; echo finished"


def with_slow_release_command(project: Project, number: int) -> None:
    """Declare another release, whose release command takes a while."""
    file = project.directory / "docker-compose.yml"
    lines = file.read_text("utf-8").splitlines()
    slow = [f'    x-release: [sh, -c, "{SCRIPT}"]' if "x-release" in line else line for line in lines]
    file.write_text("\n".join(slow), "utf-8")
    change(project, f"\n# release {number}")


def cut(project: Project, number: signal.Signals) -> tuple[int, Run]:
    """End an `up` during its release command; return its exit code and the run's record as it is then."""
    before = {run.id for run in project.runs.records()}
    client = project.start("up", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def began() -> list[Run]:
        return [run for run in project.runs.records() if run.is_running and run.id not in before]

    assert eventually(lambda: bool(began()), 60)
    (run,) = began()
    assert eventually(lambda: b"started" in b"".join(data for _, data in project.runs.output(run.id, follow=False)))
    client.send_signal(number)
    client.communicate(timeout=60)
    return client.returncode, next(each for each in project.runs.records() if each.id == run.id)


@pytest.mark.thorough
def test_terminated_up_stops_its_release_command(serving: Project) -> None:
    """The next `up` runs it, once."""
    with_slow_release_command(serving, 1)
    code, run = cut(serving, signal.SIGTERM)

    assert (143, "stopped") == (code, run.state)
    serving.up()
    assert ["stopped", "done"] == [each.state for each in serving.runs.records()[-2:]]


@pytest.mark.thorough
def test_up_waits_for_the_release_command_of_one_that_was_killed(serving: Project) -> None:
    """One run, which ends by itself; its lines are shown by the second `up`, and the release is deployed."""
    with_slow_release_command(serving, 2)
    code, run = cut(serving, signal.SIGKILL)
    assert (-signal.SIGKILL, "running") == (code, run.state)

    serving.up()
    last = serving.runs.records()[-1]
    assert (run.id, "done", 0) == (last.id, last.state, last.exit_code)
    assert f"Wait for run {run.id} (started by an earlier up)" in serving.report.details
    assert ["started", "finished"] == serving.report.details[-2:]
    assert [] == serving.plan()
