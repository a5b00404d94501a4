"""Stacks in memory publish no ports, so it does not matter what listens on this machine."""

from __future__ import annotations

import pytest

from tests.memory_engine import Memory


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every port be free; `test_lifecycle.py`, which tests the check of ports, replaces this fixture."""
    monkeypatch.setattr(Memory, "why_taken", lambda *_: "")
