"""A context is sent and unpacked as by the docker command line, whatever it contains."""

from __future__ import annotations

import errno
import io
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.conftest import require_program
from tests.docker_client import listed, sent
from twelfth import build_context
from twelfth.build_context.ignore import Ignore, read_patterns
from twelfth.build_context.spool import Reader
from twelfth.build_context.tar import END
from twelfth.build_context.unpack import unpack
from twelfth.errors import MisuseError
from twelfth.model.service import Build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ours(build: Build) -> dict[str, tuple[object, ...]]:
    """Return the files that are sent to the daemon's builder, as `listed` does."""
    reader, _ = build_context.for_daemon(build_context.read(build), build)
    return listed(io.BufferedReader(reader))


def docker(context: Path, *options: str) -> dict[str, tuple[object, ...]]:
    """Return the files that the docker command line sends."""
    require_program("docker")
    archive = sent(context, *options)
    assert isinstance(archive, bytes), archive
    return listed(archive)


def test_same_archive_is_sent_as_by_docker(context: Path) -> None:
    """Types, modes, times, owners, links, capabilities and bytes of everything but the socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(context / "s"))
        expected, found = docker(context), ours(Build(context))

    assert expected.keys() == found.keys()
    assert {} == {path: (expected[path], found[path]) for path in expected if expected[path] != found[path]}


def _nothing(_: Path) -> None:
    """Change nothing."""


def _ignoring(patterns: str) -> Callable[[Path], None]:
    def write(context: Path) -> None:
        (context / ".dockerignore").write_text(patterns)

    return write


def _linked(context: Path) -> None:
    (context / "Dockerfile").rename(context / "d" / "D")
    (context / "Dockerfile").symlink_to("d/D")


@pytest.mark.parametrize(
    ("change", "dockerfile"),
    [
        (_nothing, "d/group"),
        (_ignoring("d\n"), "d/group"),
        (_ignoring("*\n"), "d/group"),
        (_ignoring("*\n"), "Dockerfile"),
        (_ignoring("Dockerfile\n"), "Dockerfile"),
        (_ignoring(".dockerignore\n"), "Dockerfile"),
        (_linked, "Dockerfile"),
    ],
)
def test_builder_gets_its_files_as_from_docker(context: Path, change: Callable[[Path], None], dockerfile: str) -> None:
    """The Dockerfile and the `.dockerignore`, ignored or not."""
    change(context)
    expected = docker(context, f"--file={context / dockerfile}")
    found = ours(Build(context, dockerfile=dockerfile))

    assert expected.keys() == found.keys()
    assert {path: values[-1] for path, values in expected.items()} == {path: each[-1] for path, each in found.items()}


def built_by_daemon(context: Path, **settings: str) -> set[str]:
    """Return the files of a context that remain when the daemon has removed what it must not copy into an image.

    This is its rule: https://github.com/moby/moby/blob/v20.10.24/builder/remotecontext/detect.go
    """
    build = replace(Build(context), **settings)  # type: ignore[arg-type]
    reader, dockerfile = build_context.for_daemon(build_context.read(build), build)
    files = listed(io.BufferedReader(reader))
    patterns = cast("bytes", files[".dockerignore"][-1]) if ".dockerignore" in files else b""
    ignore = Ignore(read_patterns(patterns, ""), "")

    assert files[dockerfile][-1] in {b"Dockerfile", b"FROM scratch\n"}
    return {*files} - {name for name in (".dockerignore", dockerfile) if ignore.match(name, ())[0]}


@pytest.mark.parametrize("own", ["", "plain", "plain\nDockerfile", "plain\nDockerfile\n.dockerignore", "*\n!d"])
@pytest.mark.parametrize("usual", ["", "ä", "Dockerfile\n.dockerignore", "*", None])
def test_ignore_file_of_a_dockerfile_is_read_instead(context: Path, own: str, usual: str | None) -> None:
    """As by BuildKit; the daemon's classic builder is made to remove the same files."""
    if usual is not None:
        (context / ".dockerignore").write_text(usual)
    (context / "Dockerfile.dockerignore").write_text(own)
    left = built_by_daemon(context)

    for name in ("plain", "Dockerfile", "ä", "d/group", *([".dockerignore"] if usual is not None else [])):
        assert (name in own.split() or ("*" in own and name != "d/group")) is (name not in left), name
    assert usual is not None or ".dockerignore" not in left
    assert build_context.BROUGHT not in left


@pytest.mark.parametrize("settings", [{"dockerfile": "../D"}, {"inline": "FROM scratch\n"}])
@pytest.mark.parametrize("ignored", [None, "ä\n", "*\n!plain", ".dockerignore"])
def test_dockerfile_from_elsewhere_is_in_no_image(context: Path, settings: dict[str, str], ignored: str | None) -> None:
    """It is sent, and the daemon removes it before the first step."""
    (context.parent / "D").write_text("FROM scratch\n")
    if ignored is not None:
        (context / ".dockerignore").write_text(ignored)
    left = built_by_daemon(context, **settings)

    assert build_context.BROUGHT not in left
    assert (ignored == "ä\n") is (".dockerignore" in left)


def test_unpacked_context_is_the_same(context: Path, tmp_path: Path) -> None:
    """The context for BuildKit and the local engine; everything belongs to this user."""
    copy = tmp_path / "copy"
    copy.mkdir()
    found = build_context.read(Build(context))
    unpack(found.tar, copy)
    again = build_context.read(Build(copy))

    first, second = (listed(io.BufferedReader(Reader(each.tar, END))) for each in (found, again))
    assert first == second
    assert found.digest == again.digest


@pytest.mark.parametrize(("name", "call"), [("old", "open"), ("d", "listdir")])
def test_what_cannot_be_read_is_named(context: Path, name: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not skipped silently."""
    original = getattr(os, call)

    def refuse(path: Any, *options: Any) -> Any:
        if path == os.fsencode(context / name):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return original(path, *options)

    monkeypatch.setattr(os, call, refuse)  # root can read everything
    with pytest.raises(MisuseError, match=rf"^cannot read .*{name}: Permission denied\. Try: fix that, or add it to"):
        build_context.read(Build(context))


def test_missing_dockerfile_is_named(context: Path) -> None:
    """Also one that has another name."""
    with pytest.raises(MisuseError, match="D is missing"):
        build_context.read(Build(context, dockerfile="D"))
