"""Where the progress of a command is shown."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Where progress is shown."""

    def step(self, line: str) -> None:
        """Show a step that starts; the previous one is done."""

    def detail(self, line: str) -> None:
        """Show a line of output of the current step."""
