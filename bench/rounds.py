"""Run contenders in turns, start the servers they need, and show their medians as a table and a picture."""

import contextlib
import io
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 30
"""Characters of the longest bar."""


@dataclass
class Contender:
    """One way to do something; `before` is called before each round and not timed."""

    name: str
    run: Callable[[], object]
    before: Callable[[], object] = lambda: None
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Return the median wall time in seconds."""
        return statistics.median(self.seconds)


@contextlib.contextmanager
def started(command: list[str], **environment: str) -> Iterator[None]:
    """Run a process inside the block, without its output."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, **silent) as process:  # noqa: S603 - our own
        try:
            yield
        finally:
            process.terminate()


def connect(port: int) -> socket.socket:
    """Return a connection, waiting until a server listens."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        time.sleep(0.05)


def measure(cases: dict[str, list[Contender]], rounds: int) -> None:
    """Run the contenders of each case in turns; the first turn of each is not timed."""
    for title, contenders in cases.items():
        print(f"{title} …", file=sys.stderr)
        for number in range(rounds + 1):
            for contender in contenders:
                contender.before()
                start = time.perf_counter()
                contender.run()
                if number:
                    contender.seconds.append(time.perf_counter() - start)


def show(cases: dict[str, list[Contender]], rounds: int, name: str) -> None:
    """Print the medians and their ratios to the peer, and draw them into docs/NAME.svg."""
    table = Table(title=f"medians of {rounds} rounds, taking turns; the ratio is to the second of each", box=None)
    for head in ("", "seconds", "ratio", ""):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for title, contenders in cases.items():
        slowest, peer = max(contender.median for contender in contenders), contenders[1].median
        table.add_row(f"[bold]{title}[/]")
        for contender in contenders:
            bar = "█" * max(1, round(WIDTH * contender.median / slowest))
            colour = "green" if contender is contenders[0] else "blue"
            table.add_row(
                f"  {contender.name}",
                f"{contender.median:.3f}",
                f"{contender.median / peer:.2f}",
                f"[{colour}]{bar}[/]",
            )
    Console(width=110).print(table)
    drawing = Console(record=True, width=110, file=io.StringIO())
    drawing.print(table)
    picture = re.sub(r"@font-face \{.*?\}", "", drawing.export_svg(title="invoke bench"), flags=re.DOTALL)
    (ROOT / "docs" / f"{name}.svg").write_text(picture, "utf-8")
