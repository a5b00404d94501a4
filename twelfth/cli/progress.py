"""Show work going on: a spinner and a bar on a terminal, plain lines everywhere else.

rich is imported only where there is a terminal to draw on.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.status import Status

    from twelfth.stack.executor import Report

LAST_DETAILS = 12
"""Details of a step that are shown again where it fails."""


def line(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


class PlainReport:
    """Steps and their details as lines, the details set off."""

    def step(self, text: str) -> None:
        """Print a step that begins."""
        line(text)

    def detail(self, text: str) -> None:
        """Print what a step has to tell."""
        line(f"  {text}")


@contextlib.contextmanager
def steps() -> Iterator[Report]:
    """Give what takes each step as it begins, and details of it; a step is done when the next begins."""
    if not sys.stdout.isatty():
        yield PlainReport()
        return
    from rich.console import Console

    console = Console(highlight=False)
    with console.status("looking at what is there") as status:
        spinner = Spinner(console, status)
        try:
            yield spinner
        except BaseException as error:
            spinner.fail(shows_details=isinstance(error, Exception))
            raise
        spinner.close()


class Spinner:
    """The step that is going on, and those that are done above it."""

    def __init__(self, console: Console, status: Status, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what to draw on."""
        self.console, self.status, self.clock = console, status, clock
        self.current, self.began = "", 0.0
        self.details: deque[str] = deque(maxlen=LAST_DETAILS)

    def step(self, text: str) -> None:
        """End the step that was going on, and show the next."""
        from rich.markup import escape

        self.close()
        self.current, self.began = text, self.clock()
        self.status.update(escape(text))

    def detail(self, text: str) -> None:
        """Show a detail beside the step."""
        from rich.markup import escape

        self.details.append(f"  {text}")
        self.status.update(f"{escape(self.current)} [dim]{escape(text.strip())[:60]}[/]")

    def close(self, mark: str = "[green]✓[/]") -> None:
        """Print the step that was going on as done, with its seconds."""
        from rich.markup import escape

        if self.current:
            self.console.print(f"{mark} {escape(self.current)} [dim]{self.clock() - self.began:.1f} s[/]")
        self.current = ""
        self.details.clear()

    def fail(self, *, shows_details: bool) -> None:
        """Print the step that was going on as failed; below it its last details, where they may tell why."""
        from rich.text import Text

        details = [line for line in self.details if line.strip()] if shows_details else []
        self.close("[red]✗[/]")
        for line in details:
            self.console.print(Text(line, "dim"))


@contextlib.contextmanager
def bar(total: int, title: str) -> Iterator[Callable[[int], object]]:
    """Give a function that is told how many more are done; a bar on a terminal's standard error, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)
