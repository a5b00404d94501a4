"""The name of a release covers paths, bytes, the executable bit and targets of links, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from twelfth import build_context
from twelfth.build_context import release
from twelfth.errors import MisuseError
from twelfth.model.service import Build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a context of two files and a link."""
    (tmp_path / "d").mkdir()
    for name in ("Dockerfile", "a", "d/b"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o644)
    (tmp_path / "link").symlink_to("a")
    return tmp_path


def name(context: Path) -> str:
    """Return the release's name."""
    build = Build(context)
    return release.digest(build_context.read(build), build)


def _replace_link(context: Path, target: str) -> None:
    (context / "link").unlink()
    (context / "link").symlink_to(target)


def _swap(context: Path) -> None:
    (context / "a").write_text("d/b")
    (context / "d" / "b").write_text("a")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte": lambda context: (context / "a").write_text("A"),
    "a name": lambda context: (context / "a").rename(context / "A"),
    "a directory's name": lambda context: (context / "d").rename(context / "e"),
    "one more file": lambda context: (context / "c").touch(),
    "one file less": lambda context: (context / "d" / "b").unlink(),
    "two files swapped": _swap,
    "the executable bit": lambda context: (context / "a").chmod(0o744),
    "where a link leads": lambda context: _replace_link(context, "d/b"),
    "a link that leads nowhere": lambda context: _replace_link(context, "nowhere"),
    "a byte of the Dockerfile": lambda context: (context / "Dockerfile").write_text("D"),
    "a fifo": lambda context: os.mkfifo(context / "fifo"),
    "a name that is not UTF-8": lambda context: (context / os.fsdecode(b"\xff")).touch(),
    "a byte of an ignored Dockerfile": lambda context: (
        (context / "Dockerfile").write_text("D"),
        (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n"),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_release(context: Path, change: Callable[[Path], object]) -> None:
    """After a change that a process could see."""
    before = name(context)
    change(context)

    assert before != name(context)


def _copy_link(context: Path) -> None:
    """Replace a second name of a file by a copy, as in a clone."""
    text = (context / "hard").read_text()
    (context / "hard").unlink()
    (context / "hard").write_text(text)


SAME: dict[str, Callable[[Path], object]] = {
    "a time": lambda context: os.utime(context / "a", (1, 1)),
    "a directory's time": lambda context: os.utime(context / "d", (1, 1)),
    "a mode": lambda context: (context / "a").chmod(0o660),
    "programs of others": lambda context: (context / "a").chmod(0o655),
    "a directory's mode": lambda context: (context / "d").chmod(0o700),
    "an empty directory": lambda context: (context / "empty").mkdir(),
    "a copy of a hard link": _copy_link,
    "what is ignored": lambda context: (context / "ignored").write_text("changed"),
    "a comment of an ignore file that is ignored": lambda context: (context / ".dockerignore").write_text(
        "# why\nignored\n.dockerignore\n"
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_same_release(context: Path, change: Callable[[Path], object]) -> None:
    """After a change that git or an image does not keep: every clone gets the same release."""
    os.link(context / "a", context / "hard")
    (context / "ignored").touch()
    (context / ".dockerignore").write_text("ignored\n.dockerignore\n")
    before = name(context)
    change(context)

    assert before == name(context)


@pytest.mark.parametrize(
    "changes",
    [{"args": (("A", "1"),)}, {"target": "t"}, {"options": (("labels", '{"a": "b"}'),)}, {"inline": "FROM a"}],
)
def test_another_way_to_build_is_another_release(context: Path, changes: dict[str, object]) -> None:
    """The same files may make another image."""
    build = Build(context)
    other = replace(build, **changes)  # type: ignore[arg-type]
    first, second = (release.digest(build_context.read(each), each) for each in (build, other))

    assert first != second


def test_files_of_an_additional_context_are_part_of_a_release(tmp_path: Path) -> None:
    """Where they are is not, and what its `.dockerignore` excludes is not; others are known by their text."""

    def name(directory: str, **contexts: str) -> str:
        pairs = tuple((name, path.replace("DIR", f"{tmp_path}/{directory}")) for name, path in contexts.items())
        build = Build(tmp_path / "app", additional_contexts=pairs)
        return release.digest(build_context.read(build), build)

    for directory, content in (("app", ""), ("one", "a"), ("two", "a"), ("other", "b")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "Dockerfile").touch()
        (tmp_path / directory / "a").write_text(content)
        (tmp_path / directory / ".dockerignore").write_text("hidden")
    (tmp_path / "two" / "hidden").write_text("b")

    assert name("one", x="DIR") == name("two", x="DIR")
    different = [name("one", x="DIR"), name("other", x="DIR"), name("one", y="DIR"), name("one")]
    different += [name("one", x=f"docker-image://{tag}") for tag in ("a", "b")]
    assert len(different) == len({*different})


def test_additional_context_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """Before anything is built."""
    (tmp_path / "Dockerfile").touch()
    build = Build(tmp_path, additional_contexts=(("x", "/nowhere"),))
    with pytest.raises(MisuseError, match=r"additional_contexts\.x is /nowhere, which is no directory\. Try: "):
        build_context.read(build)
