"""Volumes of a stack without containers: directories with the volumes' keys as names."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from twelfth.engines.local.engine import Local
from twelfth.errors import MisuseError
from twelfth.model.service import Local as Settings
from twelfth.model.service import Mount, Service, as_options
from twelfth.model.snapshot import missing_resources
from twelfth.model.stack import Stack, Volume
from twelfth.stack import lifecycle, notices

if TYPE_CHECKING:
    from pathlib import Path

DB = Service("db", "db:1", mounts=(Mount("volume", "/data", "data"),), local=Settings(("sleep", "60")))
EXTERNAL = Volume("data", known_as="shared", external=True)


@pytest.fixture
def stack(tmp_path: Path, state_of_test: Path) -> Stack:  # noqa: ARG001 - it is used by its effect
    """Return a stack whose volume exists and contains a file."""
    stack = Stack("p", tmp_path, (DB,), volumes=(Volume("data"),))
    Local(stack).create_resource(Volume("data"))
    (file(stack)).write_text("mine")
    return stack


def file(stack: Stack) -> Path:
    """Return the file in the volume."""
    return Local(stack).home / "volumes" / "data" / "file"


def removals(stack: Stack) -> list[str]:
    """Return what `down --volumes` would remove."""
    return [str(step) for step in lifecycle.plan_down(Local(stack), volumes=True)]


def test_external_volume_is_never_created_or_removed(stack: Stack) -> None:
    """It stays even if this stack created its directory before the volume was declared external."""
    assert ["Remove volume data (down --volumes)"] == removals(stack)

    assert [] == removals(replace(stack, volumes=(EXTERNAL,)))
    assert "mine" == file(stack).read_text()


def test_external_volume_that_does_not_exist_is_refused(stack: Stack) -> None:
    """The error has the command that creates it; a volume that no service of this engine uses is not refused."""
    elsewhere = replace(stack, project="elsewhere", volumes=(EXTERNAL,))
    Local(replace(stack, volumes=(EXTERNAL,))).refuse_stack()
    Local(replace(elsewhere, services=(replace(DB, local=None),))).refuse_stack()

    with pytest.raises(MisuseError) as refused:
        Local(elsewhere).refuse_stack()
    directory = file(elsewhere).parent
    assert f"the external volume data has no directory; try: mkdir -p {directory}" == str(refused.value)


@pytest.mark.parametrize("words", [("up",), ("--dry", "up")], ids=" ".join)
def test_dry_run_refuses_what_up_refuses(tmp_path: Path, words: tuple[str, ...]) -> None:
    """`--dry` exits like `up`."""
    service = "{image: db, x-local: {command: [sleep, '60']}, volumes: ['data:/data']}"
    text = f"services: {{db: {service}}}\nvolumes: {{data: {{external: true}}}}\n"
    (tmp_path / "compose.yaml").write_text(text, "utf-8")
    environment = {**os.environ, "INVOKE_ENGINE": "local", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "twelfth", *words]
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert (2, "") == (refused.returncode, refused.stdout)
    assert "the external volume data has no directory" in refused.stderr


def test_name_and_settings_of_a_volume_are_ignored(stack: Stack) -> None:
    """The data stays where it is, and nothing is reported."""
    named = Volume("data", known_as="other", options=as_options({"driver_opts": {"device": "/b"}}))
    engine = Local(replace(stack, volumes=(named,)))
    snapshot = engine.observe()

    assert () == missing_resources(engine.stack, snapshot)
    assert [] == [*notices.of_up(engine, snapshot, remove_orphans=False)]


def test_undeclared_volume_stays_and_is_reported(stack: Stack) -> None:
    """The warning has the command that deletes it."""
    other = replace(stack, volumes=())
    [line] = notices.of_down(Local(other), Local(other).observe(), volumes=True)

    assert [] == removals(other)
    assert line.endswith(f"to remove it with its data: rm -r {file(stack).parent}")
