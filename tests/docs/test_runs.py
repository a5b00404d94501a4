"""What docs/runs.md says in numbers."""

from __future__ import annotations

from pathlib import Path

from twelfth.engines.docker_api.run_spec import RUN_SETTINGS
from twelfth.engines.local.recorder import LIMIT

PAGE = " ".join((Path(__file__).resolve().parents[2] / "docs" / "runs.md").read_text("utf-8").split())


def test_limits_of_what_is_kept_are_those_that_hold() -> None:
    """The daemon's sizes are decimal; that each limit holds is for tests/engines/local/test_recorder.py, and Docker."""
    kept = RUN_SETTINGS["LogConfig"]["Config"]

    assert f"in {kept['max-file']} files of {kept['max-size'].replace('m', ' MB')}" in PAGE
    assert f"the first {LIMIT >> 20} MiB" in PAGE
