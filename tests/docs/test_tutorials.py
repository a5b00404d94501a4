"""The commands of docs/from-compose.md and of the tutorials, typed in the project that each page contains."""

from __future__ import annotations

import io
import itertools
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from tests.cli.typed import deployed
from tests.conftest import ROOT, require
from tests.other_project import OtherProject
from twelfth.cli.compose_commands import answer
from twelfth.cli.program import Twelfth
from twelfth.engines import tcp
from twelfth.model.service import Service
from twelfth.operator_name import operator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.typed import Project

PROJECTS = {"from-compose": "shop", "tutorial-flask": "hits", "tutorial-django": "club", "tutorial-fastapi": "sums"}
"""The name of the project of each page."""

COMPOSE = f"""
name: shop
services:
  app:
    build: {ROOT}/tests/projects/flask
    deploy: {{update_config: {{monitor: 200ms}}}}
  db: {{image: "app:one"}}
"""
"""A project for the table of commands."""

POSTGRES = "twelfth-base/postgres:17-debian"
TABLE = re.findall(
    r"^\| `docker compose (.+?)` \| `(.+?)` \|", (ROOT / "docs" / "from-compose.md").read_text("utf-8"), re.MULTILINE
)
FILES = re.compile(r"^`([\w./-]+)`:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^\$ (.*)|^ *- run: (.*)|`([^`\n]+)`", re.MULTILINE)
SESSIONS = re.compile(r"^```\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)


class Page(OtherProject):
    """The project of a page, with unique names and free ports; base images are those of the tests."""

    def __init__(self, name: str, directory: Path) -> None:
        """Write the files of the page; nothing runs yet."""
        super().__init__(directory)
        self.project = PROJECTS[name]
        self.second_port = tcp.free("127.0.0.1")
        self.text = self.replaced((ROOT / "docs" / f"{name}.md").read_text("utf-8"))
        self.directory = directory / self.name
        write_files(self.text, self.directory)
        program = directory / "bin" / "twelfth"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m twelfth "$@"\n', "utf-8")
        program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        self.environment |= {"PATH": path}
        for variable in ("PORT", "COMPOSE_PROJECT_NAME"):
            del self.environment[variable]

    def replaced(self, text: str) -> str:
        """Return the page with the names of this project, and with images that are available."""
        pairs = {
            rf"\b{self.project}\b": self.name,
            r"python:3\.13-slim": os.environ.get("PYTHON_IMAGE", "python:3.13-slim"),
            r"redis:8\b": os.environ.get("REDIS_IMAGE", "redis:8"),
            r"redis-server": "redis-server --protected-mode no",  # as in the official image
            r"postgres:17": POSTGRES,
            r"RUN pip install": "RUN pip install --ignore-installed",  # pip cannot replace packages of Debian
            r"(127\.0\.0\.1:|:-)8000(:8000|\}:8000)": rf"\g<1>{self.port}\2",
            r"port: 8000\}": f"port: 8000, image: {os.environ.get('WEB_IMAGE', 'haproxy:3.0-alpine')}}}",
            r"localhost:8000": f"localhost:{self.port}",
            r"PORT=8001": f"PORT={self.second_port}",
        }
        for pattern, value in pairs.items():
            text = re.sub(pattern, value, text)
        return text

    def prepare_images(self) -> None:
        """Make the images that the page pulls."""
        python = os.environ.get("PYTHON_IMAGE", "python:3.13-slim")
        if POSTGRES in self.text:
            self.build_image(POSTGRES, path=str(ROOT / "tests" / "projects" / "postgres"), DEBIAN_IMAGE=python)
        for tag in ("v1", "v2") if "registry.example.com" in self.text else ():
            dockerfile = f"FROM {python}\nLABEL version={tag}\n".encode()
            self.build_image(f"registry.example.com/{self.name}:{tag}", fileobj=io.BytesIO(dockerfile))

    def build_image(self, tag: str, *, path: str | None = None, fileobj: io.BytesIO | None = None, **args: str) -> None:
        """Build an image."""
        events = self.api.build(path=path, fileobj=fileobj, tag=tag, buildargs=args, decode=True)
        assert [] == [event["error"] for event in events if "error" in event]

    def type_all(self) -> None:
        """Type the commands of the page, and compare what they print."""
        for session in SESSIONS.findall(self.text):
            for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
                self.type_one(command, expected)

    def type_one(self, command: str, expected: str) -> None:
        """Type a command, and fail unless it prints the expected lines in their order, with other numbers and ids."""
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        fails = any(line.startswith("twelfth: ") for line in expected.splitlines())
        assert fails == (done.returncode != 0), f"{command}\n{done.stdout}"
        printed = iter(_without_numbers(self.as_on_the_page(done.stdout)))
        for line in _without_numbers(self.as_on_the_page(expected)):
            pattern = re.escape(line).replace("…", ".*")
            assert any(re.fullmatch(pattern, other) for other in printed), f"{command}\n{line}\n{done.stdout}"

    def as_on_the_page(self, output: str) -> str:
        """Return output with the names of the page."""
        return output.replace(self.name, self.project).replace(operator(), "ann")

    def end(self) -> None:
        """Remove the stacks of the page."""
        for name in (self.name, f"{self.name}-staging"):
            self.printed("-p", name, "down", "--volumes", "--history", "--yes")
        for image in self.api.images():
            for tag in image["RepoTags"] or ():
                if self.name in tag:
                    self.api.remove_image(tag)


def write_files(page: str, directory: Path) -> None:
    """Write the files that a page contains."""
    for path, text in FILES.findall(page):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, "utf-8")


def lines_of_commands(page: str) -> list[str]:
    """Return the shell lines of a page: of its sessions, its CI job, its text and its tables."""
    table = [typed for _, typed in TABLE]  # tested by itself, with values for its placeholders
    lines = map("".join, COMMANDS.findall(page))
    return [line for line in lines if "twelfth " in line and line not in table]


def commands_of_twelfth(line: str) -> list[list[str]]:
    """Return the words after each `twelfth` that a shell line executes."""
    tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
    tokens.whitespace_split = True
    commands: list[list[str]] = [[]]
    for token in tokens:
        if set(token) <= set("|&;"):
            commands.append([])
        else:
            commands[-1].append(token)
    without_files = [list(itertools.takewhile(lambda word: word not in {"<", ">"}, words)) for words in commands]
    words = [list(itertools.dropwhile(lambda word: "=" in word, words)) for words in without_files]
    return [rest for program, *rest in filter(None, words) if program == "twelfth"]


def _without_numbers(text: str) -> list[str]:
    """Return the lines with one mark for each id, number and unit of time; without empty ones and `…`."""
    lines = (re.sub(r"\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b", "ID", line) for line in text.splitlines())
    lines = (" ".join(re.sub(r"\d+(\.\d+)?( (s|min)\b)?", "N", line).split()) for line in lines)
    return [line for line in lines if line not in {"", "…"}]


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """Return the project of a page."""
    require("docker")
    project = Page(request.param, tmp_path)
    try:
        yield project
    finally:
        project.end()


@pytest.mark.parametrize(("compose", "typed"), TABLE)
def test_command_of_the_table_succeeds(
    compose: str, typed: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the engine in memory; or the command to type is the answer to that of Compose."""
    for name in ("compose.yaml", "prod.yaml"):
        (project.directory / name).write_text(COMPOSE, "utf-8")
    project.engine.create_replica(Service("db", "app:one"), 1)
    deployed(project)
    monkeypatch.setenv("NAME", "value")
    monkeypatch.setattr("twelfth.stack.follow.Follower.lines", lambda *_: ())  # `logs -f` does not end by itself
    _, run, _ = project.typed("run", "-d", "--", "true")
    program, *words = shlex.split(typed.replace("CMD", "true").replace("ID", run.strip()))
    if program == "docker":
        assert f"Try: docker compose {compose}" in answer(words[1], words[1:])
        return
    with mock.patch.dict(os.environ):  # which the options before the command change
        code, _, errors = project.typed(*words)
    assert 0 == code, errors


@pytest.mark.parametrize("name", PROJECTS)
def test_commands_of_a_page_are_valid(name: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself separates their words, and executes nothing."""
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    write_files(text, project.directory)
    monkeypatch.setattr(Twelfth, "execute", lambda _: None)
    commands = [words for line in lines_of_commands(text) for words in commands_of_twelfth(line)]
    assert commands
    for words in commands:
        with mock.patch.dict(os.environ):
            assert (0, "") == project.typed(*words)[::2], words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("TAG=v2 twelfth -p shop up", [["-p", "shop", "up"]]),
        ("cd /srv && twelfth run -- ./report", [["run", "--", "./report"]]),
        (
            "echo 'a b' | twelfth run -- python -c 'print(\"a > b\")' >out.txt",
            [["run", "--", "python", "-c", 'print("a > b")']],
        ),
        ("twelfth status || twelfth up  # comment", [["status"], ["up"]]),
        ("pip install twelfth", []),
    ],
)
def test_commands_of_twelfth_in_a_line(line: str, expected: list[list[str]]) -> None:
    """Without the other programs of the shell line."""
    assert expected == commands_of_twelfth(line)


@pytest.mark.thorough  # each takes minutes; in the sample their commands are only parsed
@pytest.mark.parametrize("page", PROJECTS, indirect=True)
def test_page_can_be_typed(page: Page) -> None:
    """Each command does what the page shows."""
    page.prepare_images()
    page.type_all()
