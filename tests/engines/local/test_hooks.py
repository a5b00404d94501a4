"""Release commands and hooks of a service that runs without containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from twelfth.engines.local.engine import Local
from twelfth.errors import EngineError
from twelfth.model.hook import Hook
from twelfth.model.job import Changes
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.stack import deploy

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("state_of_test")

SHOW = ("sh", "-c", "echo $A $B $REPLICA")


def test_release_command_and_hooks_are_processes_with_the_environment_of_the_service(tmp_path: Path) -> None:
    """The service needs no build; settings that a process cannot have are reported, and so is a missing program."""
    declared = Service("app", "app", command=("sh", "-c", "echo $A $B"), environment=(("B", "2"),), user="root")
    app = Service(
        "app",
        "app",
        environment=(("A", "1"),),
        local=LocalSettings(("sleep", "600")),
        monitor=0.1,
        stop_grace=1,
        pre_start=(Changes(declared, frozenset({"command", "environment", "user"})),),
        post_start=(Hook(SHOW, environment=(("B", "3"),)), Hook(("nonesuch",))),
    )
    report = Recorded()

    with pytest.raises(EngineError, match=r"^post_start of app-1 failed: nonesuch: No such file .*\(exit code 127\)"):
        deploy.up(Local(Stack("p", tmp_path, (app,))), report)
    assert ["not applied on local: user", "1 2", "app-1 post_start: 1 3 app-1"] == report.details[:3]
