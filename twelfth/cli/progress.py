"""Show progress: on a terminal with rich, which is imported only then; elsewhere as plain lines."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from twelfth.cli.outputs import drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from twelfth.stack.report import Report


T = TypeVar("T")


class PlainReport:
    """Steps as lines, with indented details."""

    def __init__(self, output: TextIO) -> None:
        """Print to an output."""
        self.output = output

    def step(self, text: str) -> None:
        """Print a step when it starts."""
        print(text, file=self.output, flush=True)

    def detail(self, text: str) -> None:
        """Print a detail of the current step."""
        print(f"  {text}", file=self.output, flush=True)


class TitledReport:
    """A report that shows a title before its first step, and nothing if there is no step."""

    def __init__(self, report: Report, title: str) -> None:
        """Report to another report."""
        self.report, self.title = report, title

    def step(self, text: str) -> None:
        """Report a step."""
        if self.title:
            self.report.step(self.title)
        self.title = ""
        self.report.step(text)

    def detail(self, text: str) -> None:
        """Report a detail of the current step."""
        self.report.detail(text)


def with_progress(work: Callable[[Report], T], output: TextIO | None = None) -> T:
    """Show the steps of some work on an output, by default standard output; return the result of the work."""
    output = output or sys.stdout
    if not output.isatty():
        return work(PlainReport(output))
    from twelfth.cli.spinner import Spinner

    with Spinner(output) as report:
        return work(report)


@contextmanager
def bar(total: int, title: str) -> Iterator[Callable[[int], object]]:
    """Provide a function that advances a bar; the bar is drawn only if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=drawing(sys.stderr)), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)
