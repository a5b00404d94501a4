"""`twelfth init` adds lines and changes no other; the second time it proposes nothing."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import ROOT, require
from tests.other_project import OtherProject
from twelfth import hints
from twelfth.init.compose_text import UnchangeableError, insert, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    Init = Callable[..., str]

FIXTURES = Path(__file__).parents[1] / "projects" / "init"
COMPOSE_FILES = {path.parent.name: path for path in FIXTURES.glob("*/*compose.y*ml")}


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """Return the command, in a directory of the test."""
    from twelfth.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    monkeypatch.setattr(hints, "program", lambda: "twelfth")  # not what the tests were started with

    def run(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["twelfth", *words])
        exited = 0
        try:
            main()
        except SystemExit as end:
            exited = end.code or 0  # type: ignore[assignment]  # Invoke exits with numbers
        output = capsys.readouterr()
        assert code == exited, output
        return output.out + output.err

    return run


def copied(name: str, directory: Path) -> Path:
    """Copy a project, and return its Compose file."""
    shutil.copytree(FIXTURES / name, directory, dirs_exist_ok=True)
    (directory / "mysql.txt").write_text("x")
    return directory / COMPOSE_FILES[name].name


@pytest.mark.parametrize("name", sorted(COMPOSE_FILES))
def test_project_gets_keys_and_keeps_its_lines_and_the_second_time_nothing(
    init: Init, tmp_path: Path, name: str
) -> None:
    """Only `depends_on` is rewritten; its comments stay. Compose and twelfth accept the result."""
    file = copied(name, tmp_path)
    before = file.read_bytes()

    assert "nothing was written. Try: twelfth init --yes" in init("init")
    assert "nothing was written" not in init("--dry", "init")
    assert before == file.read_bytes()

    init("init", "--yes")
    after = file.read_text()
    removed = [line[2:] for line in difflib.ndiff(before.decode().splitlines(), after.splitlines()) if line[0] == "-"]
    assert all("depends_on: [" in line or line.lstrip().startswith(("- ", "cache: {")) for line in removed)
    comments = [line.partition("#")[2] for line in before.decode().splitlines() if "#" in line]
    assert [] == [comment for comment in comments if comment not in after]

    init("config")
    second = init("init", "--yes")
    assert after == file.read_text()
    assert second.startswith("nothing to propose\n")  # then warnings, such as of `version`


def test_compose_file_with_crlf_keeps_it(init: Init, tmp_path: Path) -> None:
    """Inserted lines have the line breaks of the file."""
    file = copied("django", tmp_path)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    init("init", "--yes")

    assert b"pre_start:\r\n" in file.read_bytes()
    assert b"\n" not in file.read_bytes().replace(b"\r\n", b"")


def test_compose_file_with_byte_order_mark_keeps_it(init: Init, tmp_path: Path) -> None:
    """Also in front of a service in brackets."""
    file = copied("registry", tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    init("init", "--yes")

    assert file.read_bytes().startswith(b"\xef\xbb\xbfservices:")
    assert b"restart: always, healthcheck: {" in file.read_bytes()
    assert init("init", "--yes").startswith("nothing to propose\n")


def test_override_file_stays_and_counts(init: Init, tmp_path: Path) -> None:
    """What it declares is not proposed for the first file."""
    file = copied("flask", tmp_path)
    override = tmp_path / "compose.override.yaml"
    override.write_text("services:\n  redis:\n    healthcheck: {test: [CMD, 'true']}\n")

    init("init", "--yes")

    assert "redis-cli ping" not in file.read_text()
    assert "condition: service_healthy" in file.read_text()
    assert "services:\n  redis:\n    healthcheck: {test: [CMD, 'true']}\n" == override.read_text()


@pytest.mark.parametrize("name", ["tasks.py", "tasks/__init__.py"])
def test_tasks_of_a_project_stay(init: Init, tmp_path: Path, name: str) -> None:
    """A project that uses Invoke gets a `tasks.py` only if it has none."""
    copied("flask", tmp_path)
    (tmp_path / "requirements.txt").write_text("flask\ninvoke\n")
    assert "+++ b/tasks.py" in init("init")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("# mine\n")

    init("init", "--yes")

    assert "# mine\n" == (tmp_path / name).read_text()
    assert (name == "tasks.py") == (tmp_path / "tasks.py").exists()


def test_directory_that_cannot_be_written_is_one_line(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, also not in other directories."""
    before = copied("flask", tmp_path).read_bytes()
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)  # root can write

    message = init("init", "--yes", code=2).splitlines()[-1]

    assert message.startswith("twelfth: cannot write compose.yaml: ")
    assert message.endswith(f"you may not write to {tmp_path}. Try: ls -ld {tmp_path}")
    assert (before, False) == ((tmp_path / "compose.yaml").read_bytes(), (tmp_path / ".dockerignore").exists())


@pytest.mark.parametrize(
    ("replies", "written", "code"),
    [
        (b"y\nn\n", {"docker-compose.yml"}, 0),
        pytest.param(b"n\nY\n", {".dockerignore"}, 0, marks=pytest.mark.thorough),
        (b"all\n", {"docker-compose.yml", ".dockerignore"}, 0),
        pytest.param(b"\n\n", set(), 0, marks=pytest.mark.thorough),
        (b"y\n\x03", set(), 130),
    ],
)
def test_only_confirmed_files_are_written(tmp_path: Path, replies: bytes, written: set[str], code: int) -> None:
    """On a terminal each file is a question; nothing is written before the last answer, and nothing after Ctrl-C."""
    copied("django", tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in ("docker-compose.yml", ".dockerignore")}
    main, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "twelfth", "init"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - no threads run here
        start_new_session=True,
    ) as process:
        os.close(terminal)
        for reply in re.findall(rb"[^\n\x03]*[\n\x03]", replies):
            _read_until(main, b"[y/n/all] ")
            os.write(main, reply)
        _read_until(main, b"")
        exited = process.wait(60)
    os.close(main)

    assert code == exited
    assert written == {name for name, content in before.items() if content != (tmp_path / name).read_bytes()}


def _take_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background processes ignore it
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_until(terminal: int, end: bytes) -> None:
    """Read to a text, or to the end of the output."""
    output = b""
    with contextlib.suppress(OSError):  # how a terminal reports that its last process has exited
        while not (end and output.endswith(end)):
            assert select.select([terminal], [], [], 60)[0], output
            if not (piece := os.read(terminal, 1024)):
                return
            output += piece


@pytest.mark.parametrize("text", ["services: [", "services: {app: {image: x, unknown_key: 1}}\n"])
def test_invalid_compose_file_is_one_line_and_nothing_is_written(init: Init, tmp_path: Path, text: str) -> None:
    """Compose's error is shown."""
    (tmp_path / "compose.yaml").write_text(text)

    lines = init("init", "--yes", code=2).splitlines()

    assert (1, ["compose.yaml"]) == (len(lines), [path.name for path in tmp_path.iterdir()])
    assert lines[0].startswith("twelfth: cannot read compose.yaml")


def test_application_without_compose_file_gets_one(init: Init, tmp_path: Path) -> None:
    """And a Dockerfile, with the database whose client it has."""
    (tmp_path / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")
    (tmp_path / "requirements.txt").write_text("fastapi\nuvicorn\nasyncpg\n")

    init("init", "--yes")

    assert 'CMD ["uvicorn", "--host", "0.0.0.0", "--port", "8000", "main:app"]' in (tmp_path / "Dockerfile").read_text()
    assert "condition: service_healthy" in (tmp_path / "compose.yaml").read_text()
    assert "nothing to propose\n" == init("init", "--yes")


def test_directory_without_application_is_refused(init: Init, tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "notes.txt").write_text("x")

    assert "found no Compose file and no Python application" in init("init", "--yes", code=2)


KEY = st.from_regex(r"[a-z]{1,5}", fullmatch=True)
VALUE = st.recursive(
    st.sampled_from(["a", '"b: c"', "'#'", "|\n{}  # text\n\n{}  x", "[a, {b: c}]", "", ">-\n{}  folded"]),
    lambda below: st.dictionaries(KEY, below, min_size=1, max_size=3),
    max_leaves=5,
)
COMMENT = st.sampled_from(["", "  # a comment"])


def written(value: object, column: int, comment: str) -> str:
    """Return a value as YAML, with a comment below each mapping."""
    if isinstance(value, str):
        return " " + value.replace("{}", " " * column) + ("" if "\n" in value else comment) + "\n"
    assert isinstance(value, dict)
    lines = (f"{' ' * column}{key}:{written(below, column + 2, comment)}" for key, below in value.items())
    return f"\n{''.join(lines)}\n{' ' * column}# below\n"


@given(st.dictionaries(KEY, VALUE, min_size=1, max_size=4), COMMENT)
@example({"a": "|\n{}  # text\n\n{}  x"}, "")
def test_insertion_only_adds_lines(keys: dict[str, object], comment: str) -> None:
    """Whatever the service's keys are; what cannot be inserted is refused."""
    text = f"services:\n  app:{written(keys, 4, comment)}  other: {{}}\n"

    after = insert(text, ("services", "app"), "NEW:\n  below: [1]\n")

    added = [line for line in difflib.ndiff(text.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert ["+     NEW:", "+       below: [1]"] == added


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  app: &app\n    image: x\n  other: *app\n",
        "services:\n  app: &app\n    image: x\n  other:\n    <<: *app\n",
        "services:\n  app: &app {image: x}\n  other:\n    <<: *app\n",
        "services:\n  app: {image: x,}\n",
        "services: {}\n",
        "- a\n",
        "a: [\n",
    ],
)
def test_what_would_change_other_services_is_refused(text: str) -> None:
    """A mapping that is merged into another service, one in brackets, and no mapping."""
    with pytest.raises(UnchangeableError):
        insert(text, ("services", "app"), "init: true\n")


def test_dependencies_of_several_lines_in_brackets_are_refused() -> None:
    """Only one line can be replaced without its layout."""
    with pytest.raises(UnchangeableError):
        wait_for("services:\n  app:\n    depends_on: [\n      db]\n", "app", {"db": "service_healthy"})


@pytest.mark.thorough
def test_new_project_runs(tmp_path: Path) -> None:
    """In an empty directory: up, a request, and an admin process."""
    require("docker")
    project = OtherProject(tmp_path)

    assert "Try: twelfth up" in project.printed("init", "--yes")
    try:
        project.printed("up")
        with urllib.request.urlopen(f"http://127.0.0.1:{project.port}/", timeout=10) as answer:
            assert b"Hello World! 1 times.\n" == answer.read()
        assert "1\n" == project.printed("reset")
        assert "nothing to propose\n" == project.printed("init")
    finally:
        project.printed("down", "--volumes", "--history", "--yes")
