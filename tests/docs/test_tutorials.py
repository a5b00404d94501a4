"""The commands of docs/from-compose.md and of the tutorials, typed in the project that each page contains."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser

from tests.conftest import ROOT, require
from tests.other_project import OtherProject
from twelfth.cli.compose_commands import answer
from twelfth.cli.program import Twelfth, collection
from twelfth.engines import tcp
from twelfth.operator_name import operator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECTS = {"from-compose": "shop", "tutorial-flask": "hits", "tutorial-django": "club", "tutorial-fastapi": "sums"}
"""The name of the project of each page."""

POSTGRES = "twelfth-base/postgres:17-debian"
TABLE = re.findall(
    r"^\| `docker compose (.+?)` \| `(.+?)` \|", (ROOT / "docs" / "from-compose.md").read_text("utf-8"), re.MULTILINE
)
FILES = re.compile(r"^`([\w./-]+)`:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
        for path, text in FILES.findall(self.text):
            (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / path).write_text(text, "utf-8")
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


def _without_numbers(text: str) -> list[str]:
    """Return the lines with one mark for each id, number and unit of time; without empty ones and `…`."""
    lines = (re.sub(r"\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b", "ID", line) for line in text.splitlines())
    lines = (" ".join(re.sub(r"\d+(\.\d+)?( (s|min)\b)?", "N", line).split()) for line in lines)
    return [line for line in lines if line not in {"", "…"}]


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """Return the project of a page."""
    require("docker")
    made = Page(request.param, tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize(("compose", "typed"), TABLE)
def test_each_command_of_the_table_exists(compose: str, typed: str, tmp_path: Path) -> None:
    """In the parser of twelfth; or the command to type is the answer to that of Compose."""
    words = shlex.split(typed)
    if words[0] == "docker":
        command = shlex.split(compose)[0]
        assert f"Try: docker compose {compose}" in answer(command, shlex.split(compose))
        return
    program, commands = Twelfth(), collection(tmp_path)
    for place, task in [(place, commands[word]) for place, word in enumerate(words) if word in commands.task_names]:
        task.takes_rest = bool(task.rest)
        if task.has_bare_words:  # the program inserts `--` before them
            words = words[: place + task.place_of_words(words[place:])]
    parser = Parser(initial=ParserContext(args=program.core_args()), contexts=commands.to_contexts())
    parsed = parser.parse_argv(words[1:])
    assert [] == parsed.unparsed
    assert len(parsed) == 2 or "--version" in words


@pytest.mark.thorough
@pytest.mark.parametrize("page", PROJECTS, indirect=True)
def test_page_can_be_typed(page: Page) -> None:
    """Each command does what the page shows."""
    page.prepare_images()
    page.type_all()
