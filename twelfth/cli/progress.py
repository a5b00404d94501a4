"""Show work going on: drawn by rich on a terminal, which is imported only then; plain lines everywhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from twelfth.cli.outputs import drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twelfth.stack.executor import Report


T = TypeVar("T")


class PlainReport:
    """Steps and their details as lines, the details set off."""

    def step(self, text: str) -> None:
        """Print a step that begins."""
        print(text, flush=True)

    def detail(self, text: str) -> None:
        """Print what a step has to tell."""
        print(f"  {text}", flush=True)


def with_progress(work: Callable[[Report], T]) -> T:
    """Show the steps of some work as it goes on, each done when the next begins; return what it gives."""
    if not sys.stdout.isatty():
        return work(PlainReport())
    from twelfth.cli.spinner import Spinner

    with Spinner() as report:
        return work(report)


@contextmanager
def bar(total: int, title: str) -> Iterator[Callable[[int], object]]:
    """Give a function that is told how many more are done; a bar on a terminal's standard error, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=drawing(sys.stderr)), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)
