"""A project whose stack is in memory, in which commands are typed."""

from __future__ import annotations

import copy
import functools
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.memory_engine import Memory, World
from twelfth.__main__ import main
from twelfth.compose import cli
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.runs.history import Query, history
from twelfth.stack.load import load_names
from twelfth.stack.stack_file import remember

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from twelfth.model.record import Record

COMPOSE = """
name: shop
x-twelfth: {runs-from: app}
services: {app: {image: "app:one"}, db: {image: "db:one"}}
x-jobs:
  first: {command: [echo, first]}
  fails: {command: [sh, -c, "exit 3"]}
  nightly_report:
    command: [echo, report]
    environment: {LEVEL: debug}
    depends_on: [first]
    x-twelfth: {help: Write the report, timeout: 5m}
  stuck: {command: [echo, stuck], depends_on: [first, fails]}
  fill_queue: {x-twelfth: {reason: required, confirm: Sure?}}
  scheduled: {command: ["true"], triggers: {manual: false, schedule: ["5 3 * * *"]}}
  after_it: {command: ["true"], depends_on: [scheduled]}
  screen: {command: ["true"], x-twelfth: {tty: true}}
  silent: {command: ["true"], x-twelfth: {tty: false}}
  needs_db: {command: ["true"], depends_on: [db]}
  empty: {}
  wrong: {command: ["true"], x-twelfth: {keep: 0}}
  batch: {command: ["true"], profiles: [large]}
"""
PROGRAM = '"""Fill the queue.\n\nSlowly.\n"""\n\nif __name__ == "__main__":\n    pass\n'


READ = cli.read


@functools.cache
def model(text: str, profiles: str) -> dict[str, Any]:
    """Return what Compose makes of a text; it takes a while, and most tests have the same."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "compose.yaml").write_text(text, "utf-8")
        return READ(Path(directory), {**os.environ, "COMPOSE_PROFILES": profiles}).model


def read_once(directory: Path, environment: Mapping[str, str], *_: object) -> cli.Config:
    """Stand for `compose.cli.read`."""
    path = directory / "compose.yaml"
    read = model(path.read_text("utf-8"), environment.get("COMPOSE_PROFILES", ""))
    return cli.Config(copy.deepcopy(read), (path,))


class Project:
    """A project whose stack is in memory."""

    def __init__(self, directory: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Deploy the services of `COMPOSE`, except for `db`."""
        self.directory, self.capfd, self.monkeypatch = directory, capfd, monkeypatch
        (directory / "compose.yaml").write_text(COMPOSE, "utf-8")
        (directory / "admin").mkdir()
        (directory / "admin" / "fill_queue.py").write_text(PROGRAM, "utf-8")
        self.app = Service("app", "app:one")
        self.engine = Memory(Stack("shop", directory, (self.app,)), World(images=["app:one"]))
        self.engine.create_replica(self.app, 1)

    def typed(self, *words: str) -> tuple[int, str, str]:
        """Execute a command line, and return its exit code, output and errors."""
        self.monkeypatch.setattr(sys, "argv", ["twelfth", *words])
        try:
            main()
        except SystemExit as done:
            code = int(str(done.code))
        else:
            code = 0
        return (code, *self.capfd.readouterr())

    def records(self) -> list[Record]:
        """Return the records of runs, without those that were not started."""
        return [record for record in history(self.engine, Query()) if record.state != "not started"]


def deployed(project: Project) -> None:
    """Remember the stack, as `up` does."""
    (project.directory / ".twelfth").mkdir()
    remember(Memory(load_names(project.directory, os.environ), project.engine.world))
