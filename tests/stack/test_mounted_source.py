"""Which bind mounts of a built service show code that is not part of its release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Build, Mount, Service
from twelfth.model.stack import Stack
from twelfth.stack import deploy
from twelfth.stack.mounted_source import with_source

if TYPE_CHECKING:
    from pathlib import Path

FILES = (
    "app/main.py",
    "app/static/site.js",
    "frontend/src/index.ts",
    "public/index.php",
    "data/shop.db",
    "templates/index.html",
    "gunicorn.conf.py",
)


@pytest.mark.parametrize(
    ("source", "target", "read_only", "expected"),
    [
        ("app", "/srv/app", False, True),
        ("app", "/srv/app", True, True),
        ("app", "/srv/other", False, False),
        ("app/static", "/srv/app/static", False, False),
        ("frontend/src", "/srv/frontend/src", False, True),
        ("public", "/srv/public", False, False),
        ("data", "/srv/data", False, False),
        ("templates", "/srv/templates", True, False),
        ("gunicorn.conf.py", "/srv/gunicorn.conf.py", True, False),
        ("missing", "/srv/missing", False, False),
        ("..", "/srv", False, True),
        (".", "/srv", False, True),
    ],
)
def test_directory_of_programs_over_its_copy_is_source(
    tmp_path: Path,
    source: str,
    target: str,
    read_only: bool,  # noqa: FBT001 - it is a case
    expected: bool,  # noqa: FBT001 - it is a case
) -> None:
    """Content, data and single files are not; two replicas may write to source, and only to that."""
    context = tmp_path / "project"
    for name in FILES:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("")
    mount = Mount("bind", target, str((context / source).resolve()), read_only=read_only)
    service = Service("web", "", build=Build(context, inline="FROM python\nWORKDIR /srv\nCOPY . .\n"), mounts=(mount,))

    [marked] = with_source(Stack("p", context, (service,))).services

    assert expected == bool(marked.mounted_source)
    assert (expected or read_only) == (not marked.why_exclusive)


def test_missing_dockerfile_and_pulled_image_have_no_source(tmp_path: Path) -> None:
    """`up` refuses the former."""
    (tmp_path / "app").mkdir()
    mount = Mount("bind", "/srv/app", str(tmp_path / "app"))
    services = (Service("a", "", build=Build(tmp_path), mounts=(mount,)), Service("b", "image", mounts=(mount,)))

    marked = with_source(Stack("p", tmp_path, services)).services

    assert [(), ()] == [service.mounted_source for service in marked]


@pytest.mark.parametrize("is_rollback", [True, False])
def test_failed_rollback_names_the_source_that_it_does_not_change(tmp_path: Path, is_rollback: bool) -> None:  # noqa: FBT001
    """The code is mounted, so an earlier image does not help."""
    mount = Mount("bind", "/srv", str(tmp_path))
    web = Service("web", "web:1", build=Build(tmp_path), mounts=(mount,), monitor=0)
    world = World()
    deploy.up(Memory(Stack("p", tmp_path, (web,)), world), Recorded(), deploy.UpOptions(1))
    world.dying["web"] = "ImportError"

    with pytest.raises(EngineError) as failed:
        deploy.up(
            Memory(Stack("p", tmp_path, (replace(web, image="web:2"),)), world),
            Recorded(),
            deploy.UpOptions(1, is_rollback=is_rollback),
        )

    rest = (
        f"; a rollback does not change {tmp_path}, which is mounted over the code of the release. Restore its files, "
    )
    assert str(failed.value).endswith(f"{rest}then: invoke up") == is_rollback
    assert ("Fix that" in str(failed.value)) == (not is_rollback)
