"""The processes of fires: they outlive their scheduler, and other schedulers of the machine see them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, eventually
from twelfth.cli.compose_options import ComposeOptions
from twelfth.runs.fire import VARIABLE, Fire
from twelfth.schedule.child import Processes
from twelfth.schedule.scheduler import Exit

if TYPE_CHECKING:
    from pathlib import Path as Directory

pytestmark = pytest.mark.usefixtures("state_of_test")

PROGRAM = """#!/bin/sh
echo "$@ $TWELFTH_FIRE" >>started
echo 'twelfth: waiting for a deploy' >&2
while [ ! -e done ]; do sleep 0.02; done
echo 'twelfth: cannot start the run: no worker runs' >&2
exit 125
"""

FIRE = Fire("my_job", "0123abcd")


@pytest.fixture
def directory(tmp_path: Directory, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """Return a project whose commands are a shell script."""
    program = tmp_path / "python"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path


def test_process_is_the_command_of_the_job(directory: Directory) -> None:
    """Its last line is why it has started nothing."""
    exited = threading.Event()
    processes = Processes(directory, exited.set)
    processes.reserve(FIRE.run_id)
    processes.start(FIRE)
    assert eventually((directory / "started").exists)
    assert processes.is_alive(FIRE.run_id)
    assert {} == processes.ended()
    (directory / "done").touch()

    assert exited.wait(20)
    assert {FIRE.run_id: Exit(125, "cannot start the run: no worker runs")} == processes.ended()
    assert f"-P -m twelfth my-job {FIRE.to_environment()[VARIABLE]}\n" == (directory / "started").read_text()
    processes.release(FIRE.run_id)
    assert ({}, False) == (processes.ended(), processes.is_alive(FIRE.run_id))


def test_process_inherits_the_options_of_the_scheduler(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the command of the job reads the same files, with the same name and profiles."""
    Path(sys.executable).write_text("#!/bin/sh\nenv | grep ^COMPOSE_ | sort >variables; mv variables started\n")
    for name in ("app.yml", "app.env"):
        (directory / name).touch()
    for name in [name for name in os.environ if name.startswith("COMPOSE_")]:
        monkeypatch.delenv(name)
    options = ComposeOptions(files=("app.yml",), project="stage", env_files=("app.env",), profiles=("extra",))
    variables = options.variables(directory)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    processes = Processes(directory)
    processes.reserve(FIRE.run_id)
    processes.start(FIRE)
    assert eventually((directory / "started").exists)

    assert {"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "COMPOSE_PROFILES"} < variables.keys()
    lines = (directory / "started").read_text().splitlines()
    assert variables == dict(line.split("=", 1) for line in lines)
    processes.release(FIRE.run_id)


SCHEDULER = """
import sys, time
from pathlib import Path
from twelfth.runs.fire import Fire
from twelfth.schedule.child import Processes
processes = Processes(Path(sys.argv[1]))
sys.executable = sys.argv[1] + "/python"
processes.reserve("1111")
processes.reserve("0123abcd")
processes.start(Fire("my_job", "0123abcd"))
print("started", flush=True)
time.sleep(60)
"""


def test_process_outlives_a_killed_scheduler(directory: Directory) -> None:
    """What that had only reserved is free again, and a later scheduler removes its file."""
    python = Path(sys.prefix) / "bin" / "python"
    with subprocess.Popen([python, "-c", SCHEDULER, directory], stdout=subprocess.PIPE, cwd=ROOT) as scheduler:
        assert scheduler.stdout
        assert b"started\n" == scheduler.stdout.readline()
        other = Processes(directory)
        assert (True, True) == (other.is_alive("1111"), other.is_alive("0123abcd"))
        scheduler.send_signal(signal.SIGKILL)
    assert eventually(lambda: not other.is_alive("1111"))
    assert other.is_alive("0123abcd")
    locks = Path(os.environ["XDG_STATE_HOME"]) / "twelfth" / ".fires"
    Processes(directory)
    assert ["0123abcd"] == [path.name for path in locks.iterdir()]
    (directory / "done").touch()
    assert eventually(lambda: not other.is_alive("0123abcd"))


def test_unreadable_file_is_the_reason(directory: Directory) -> None:
    """And not that the command of the job is unknown."""
    (directory / "compose.yaml").write_text("services: [\nx-jobs: {my_job: {}}")
    exited = threading.Event()
    processes = Processes(directory, exited.set)
    processes.reserve(FIRE.run_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(Path(sys.prefix) / "bin" / "python"))
        processes.start(FIRE)
    assert exited.wait(20)
    [end] = processes.ended().values()
    processes.release(FIRE.run_id)
    assert (2, "the commands of jobs are missing: cannot read compose.yaml") == (end.code, end.error[:58])
