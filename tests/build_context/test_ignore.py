"""The files of a context that are sent, compared with the docker command line for many `.dockerignore` files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_program
from tests.docker_client import listed, sent
from tests.sample import FULL
from twelfth import build_context
from twelfth.build_context.ignore import Ignore, read_patterns
from twelfth.errors import MisuseError
from twelfth.model.service import Build

if TYPE_CHECKING:
    from pathlib import Path

TREE = (
    "Dockerfile",
    ".env",
    ".git/config",
    "README.md",
    "a",
    "a.pyc",
    "a#b",
    "#a",
    " a",
    "a b",
    "x/a",
    "x/b",
    "x/y/a",
    "x/y/b.pyc",
    "x/y/z/a",
    "x/.hidden/a",
    "docs/a.md",
    "docs/b/a.md",
    "docs/b/c/README.md",
    "src/app.py",
    "src/app.pyc",
    "src/__pycache__/app.pyc",
    "src/[a]/f",
    "src/b-c",
    "node_modules/m/index.js",
    "m/node_modules/n/index.js",
    "a\\b",
    "ä/ö.txt",
    "*star",
    "q?",
    "!bang",
    "logs/1.log",
    "logs/12.log",
    "logs/a.log",
    "..dots/f",
    "build/out/keep",
    "build/out/drop",
    "build/x",
    "tést",
    "a^b",
    "(p)",
    "a.b/c",
    "aXb/c",
    "a+b",
    "a$",
    "{x}",
    "dir.d/f",
    "A",
    "x1",
    "-",
    "v|w",
)
PATTERNS = (
    b"",
    b"\xef\xbb\xbfa\nx\n",
    b"a\r\nx/b\r\n",
    b"x/\n",
    b" a \n",
    b"# a\na\n",
    b" #a\n",
    b"\\#a\n",
    b".\n",
    b"./x\n",
    b"/x\n",
    b"a/../x\n",
    b"../x\n",
    b"*\n!src\n",
    b"*\n!src/*.py\n",
    b"*\n!**/*.py\n",
    b"**/*.pyc\n",
    b"x/**\n!x/y/a\n",
    b"x\n!x/y\nx/y/z\n",
    b"**/y/**\n",
    b"x**\n",
    b"**a\n",
    b"[a-z]\n",
    b"[^a]\n",
    b"src/\\[a\\]\n",
    b"logs/[0-9]*.log\n",
    b"a\\b\n",
    b"a b\n",
    b"q\\?\n",
    b"a\n!a\n",
    b"! a\n",
    b"[\n",
    b"[b-a]\n",
    b"a\\\n",
    b"\\d\n",
    b"\xc3\xa4/*.txt\n",
    b"t\xe9st\n",
    b"\xc2\xa0a\xe2\x80\x83\n",
    b"a\rx\n",
    b"a\x0bx\n",
    b"\x1ca\n",
    b"Dockerfile\n.dockerignore\n",
    b"a^*\n",
    b"*|w\n",
    b"docs/**/*.md\n!docs/**/README.md\n",
    b"docs\n!docs/**/README.md\n",
    b"x\n!x/b\n*\n",
    b"src\n!src/app*\ns*\n",
    b"[a*]\n",
    b"a\n\xef\xbb\xbfx\n",
    b"**/b/**/README.md\n",
    b"[[:alpha:]]\n",
)
"""One of each kind."""

MORE = (
    b"a/\n",
    b"\ta\t\n",
    b"#a",
    b"//x\n",
    b"x/..\n",
    b"/\n",
    b"*\n",
    b"**\n",
    b"*\n!src/app.py\n",
    b"*.pyc\n",
    b"**/a\n",
    b"**/node_modules\n",
    b"node_modules/**\n",
    b"x\n!x/y\n",
    b"x/**/a\n",
    b"***\n",
    b"x/*\n!x/b\n",
    b"[a]\n",
    b"[!a]\n",
    b"src/[[]a]\n",
    b"logs/[0-9].log\n",
    b"logs/?.log\n",
    b"a\\\\b\n",
    b"a\\ b\n",
    b"\\ a\n",
    b"\\*star\n",
    b"!a\n",
    b"\\!bang\n",
    b"!\n",
    b"a\n! a\n",
    b"[a\n",
    b"[]a]\n",
    b"[a-]\n",
    b"[-a]\n",
    b"x\\d\n",
    b"\\x41\n",
    b"\\q\n",
    b"\xc3\xa4\n",
    b"t?st\n",
    b"t[\xc3\xa9]st\n",
    b"\xa0a\n",
    b"\x0ba\n",
    b"a\x85\n",
    b"a\xe2\x80\xa8x\n",
    b"..dots\n",
    b".*\n",
    b"**/.*\n",
    b"Dockerfile\n",
    b".dockerignore\n",
    b"*\n!Dockerfile\n",
    b"**/*\n",
    b"*/*\n",
    b"*/a\n!x/a\n",
    b"a.b\n",
    b"a.b/*\n",
    b"a^b\n",
    b"(p)\n",
    b"(*)\n",
    b"a+*\n",
    b"*$\n",
    b"{*}\n",
    b"[[:alpha:]0-9]*\n",
    b"x1\\\n",
    b"build\n!build/out/keep\n",
    b"build/*\n!build/out\nbuild/out/drop\n",
    b"docs/*\n!docs/b/*/README.md\n",
    b"x\n!x/y/\n",
    b"!x/b\nx\n",
    b"x/./y\n",
    b"x//y\n",
    b"x/y/\n",
    b"**/\n",
    b"**/.\n",
    b"**/**\n",
    b"**/**/a\n",
    b"/**/a\n",
    b"/**\n",
    b"!/x/b\n",
    b"x\n!/x/b\n",
    b"x\n!./x/b\n",
    b"x\n!x/../x/b\n",
    b"a*\n!a*c\n",
    b"[a?]\n",
    b"[a]*]\n",
    b"~\n",
    b"[&&a]\n",
    b"[a~~]\n",
    b"[a||v]\n",
    b"**********\n",
    b"x" * 70_000 + b"\n",
    b"a\x00b\n",
    b"\xef\xbb\xbf# a\nx\n",
    b"a\na\na\n",
    b"x/y/../b\n",
    b"x/**/**/a\n",
    b"?\n",
    b"??\n",
    b"*/*/a\n",
    b"!**/b\nx\n",
    b"**\n!x\n",
    b"**\n!x/\n!docs/b\n",
    b"x\n!x\nx/y\n",
    b"\\x\n",
    b"\\a\n",
    b"src/b\\-c\n",
    b"src/b[-]c\n",
    b"src/b[\\-]c\n",
    b"[\\]a]\n",
    b"A\n",
    b"[a-zA-Z]\n",
)
"""Variants of those patterns, compared with `TWELFTH_SCENARIOS=full`."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree in which each file contains its own name."""
    context = tmp_path_factory.mktemp("context")
    for name in TREE:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(name)
    return context


@pytest.mark.parametrize("patterns", [*PATTERNS, *(MORE if FULL else ())], ids=lambda each: repr(each[:30]))
def test_same_files_are_sent_as_by_docker(context: Path, patterns: bytes) -> None:
    """Or both refuse the patterns."""
    require_program("docker")
    (context / ".dockerignore").write_bytes(patterns)
    expected = sent(context)
    build = Build(context)

    if isinstance(expected, str):
        with pytest.raises(MisuseError, match=r"^cannot read \.dockerignore: "):
            build_context.read(build)
        return
    reader, dockerfile = build_context.for_daemon(build_context.read(build), build)
    assert "Dockerfile" == dockerfile
    assert _contents(expected) == _contents(io.BufferedReader(reader))


def _contents(archive: bytes | io.BufferedReader) -> dict[str, object]:
    """Return the bytes of each file."""
    return {path: values[-1] for path, values in listed(archive).items()}


@pytest.mark.parametrize(
    ("patterns", "ignored"),
    [
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"a\r\n", ["a"]),
        (b"*\n!x/b\n", ["a", "x", "x/a"]),
        (b"*\n!**/b\n", ["a", "x", "x/a"]),
        (b"x/*\n", ["x/a", "x/b"]),
        (b"[!-z]\n", ["a", "x", "x/a", "x/b"]),
    ],
)
def test_patterns_ignore(patterns: bytes, ignored: list[str]) -> None:
    """An exception in an excluded directory is admitted if the directory is read."""
    ignore = Ignore(read_patterns(patterns, ".dockerignore"), ".dockerignore")
    (_, above) = ignore.match("x", ())
    found = {path: ignore.match(path, above if "/" in path else ())[0] for path in ("a", "x", "x/a", "x/b")}

    assert ignored == [path for path, is_ignored in found.items() if is_ignored]


@pytest.mark.parametrize(
    ("patterns", "reads", "buildkit_reads"),
    [
        (b"*\n!x/b\n", True, True),
        (b"*\n!y/b\n", False, False),
        (b"*\n!x/b/**\n", True, True),
        (b"*\n!x*\n", False, True),
        (b"*\n!**/b\n", False, True),
        (b"*\n", False, False),
    ],
)
def test_directory_that_is_left_out_is_read_for_an_exception(
    patterns: bytes, *, reads: bool, buildkit_reads: bool
) -> None:
    """Docker's client compares the texts of patterns."""
    ignore = Ignore(read_patterns(patterns, ".dockerignore"), ".dockerignore")

    assert (reads, buildkit_reads) == (
        ignore.may_hold_exceptions("x"),
        ignore.may_hold_exceptions("x", as_buildkit=True),
    )
