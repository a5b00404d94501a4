"""Show steps on a terminal: a spinner for the current step, a line for each that is done."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.text import Text

from twelfth.cli.outputs import drawing
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

LAST_DETAILS = 12
"""Details of a failed step that stay on the terminal."""


class Spinner:
    """The current step, below the steps that are done."""

    def __init__(self, output: TextIO) -> None:
        """Draw on a terminal."""
        self.console = Console(highlight=False, file=drawing(output))
        self.status = self.console.status("Inspect the stack")
        self.current, self.started = "", 0.0
        self.details: deque[str] = deque(maxlen=LAST_DETAILS)

    def __enter__(self) -> Self:
        """Start to draw."""
        self.status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Print the last step as done, or as failed with its last details, unless it was interrupted."""
        details = [line for line in self.details if line.strip()] if isinstance(error, Exception) else []
        self._close("✗", "red") if kind else self._close("✓", "green")
        for line in details:
            self.console.print(Text(line, "dim"))
        self.status.stop()

    def step(self, text: str) -> None:
        """Print the current step as done, and show the next."""
        self._close("✓", "green")
        text = printable(text)
        self.current, self.started = text, time.monotonic()
        self.status.update(Text(text))

    def detail(self, text: str) -> None:
        """Show a detail next to the step."""
        text = printable(text)
        self.details.append(f"  {text}")
        self.status.update(Text.assemble(self.current, " ", (text.strip()[:60], "dim")))

    def _close(self, mark: str, colour: str) -> None:
        if self.current:
            seconds = f"{time.monotonic() - self.started:.1f} s"
            self.console.print(Text.assemble((mark, colour), f" {self.current} ", (seconds, "dim")))
        self.current = ""
        self.details.clear()
