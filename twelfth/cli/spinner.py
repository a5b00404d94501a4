"""Steps on a terminal: a spinner for the one that is going on, a line for each that is done."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.text import Text

from twelfth.cli.outputs import drawing
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from types import TracebackType

LAST_DETAILS = 12
"""Details of a step that are shown again where it fails."""


class Spinner:
    """The step that is going on, and those that are done above it."""

    def __init__(self) -> None:
        """Take standard output to draw on."""
        self.console = Console(highlight=False, file=drawing(sys.stdout))
        self.status = self.console.status("looking at what is there")
        self.current, self.began = "", 0.0
        self.details: deque[str] = deque(maxlen=LAST_DETAILS)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self.status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Print the last step as done, or as failed with its last details; who interrupted it knows why."""
        details = [line for line in self.details if line.strip()] if isinstance(error, Exception) else []
        self._close("✗", "red") if kind else self._close("✓", "green")
        for line in details:
            self.console.print(Text(line, "dim"))
        self.status.stop()

    def step(self, text: str) -> None:
        """End the step that was going on, and show the next."""
        self._close("✓", "green")
        text = printable(text)
        self.current, self.began = text, time.monotonic()
        self.status.update(Text(text))

    def detail(self, text: str) -> None:
        """Show a detail beside the step."""
        text = printable(text)
        self.details.append(f"  {text}")
        self.status.update(Text.assemble(self.current, " ", (text.strip()[:60], "dim")))

    def _close(self, mark: str, colour: str) -> None:
        """Print the step that was going on, with its seconds."""
        if self.current:
            seconds = f"{time.monotonic() - self.began:.1f} s"
            self.console.print(Text.assemble((mark, colour), f" {self.current} ", (seconds, "dim")))
        self.current = ""
        self.details.clear()
