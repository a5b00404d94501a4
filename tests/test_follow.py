"""A followed log sees a deploy, on every engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.thorough
def test_followed_log_continues_with_the_new_replicas(project: Project) -> None:
    """Each line once, and it ends when the stack is removed."""
    project.up()
    printed = project.directory / "printed"
    with printed.open("wb") as output:
        client = project.start("logs", "worker", "--follow", stdin=subprocess.DEVNULL, stdout=output)
    assert eventually(lambda: b'"start"' in printed.read_bytes())
    first = {each.id for each in project.engine().replicas("worker")}
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")
    project.up()

    assert eventually(lambda: printed.read_bytes().count(b'"start"') == 2)
    (second,) = {each.name for each in project.engine().replicas("worker") if each.id not in first}
    assert f"{second} | ".encode() in printed.read_bytes()
    assert client.poll() is None
    project.down()
    assert 0 == client.wait(30)
    lines = printed.read_bytes().splitlines()
    assert len(lines) == len(set(lines))
