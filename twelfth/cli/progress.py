"""Show work going on: drawn by rich on a terminal, which is imported only then; plain lines everywhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

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


def steps() -> AbstractContextManager[Report]:
    """Return what takes each step as it begins, and details of it; a step is done when the next begins."""
    if not sys.stdout.isatty():
        return nullcontext(PlainReport())
    from twelfth.cli.spinner import Spinner

    return Spinner()


def with_progress(work: Callable[[Report], T]) -> T:
    """Show the steps of some work as it goes on; return what it gives."""
    with steps() as report:
        return work(report)


@contextmanager
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
