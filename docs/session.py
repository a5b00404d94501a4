"""Draw docs/session.svg from a real session: `.venv/bin/python docs/session.py`, with nothing up before."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "up",
    "hit",
    "hit",
    "reset --reason 'new campaign'",
    "hit",
    "run -- python -c 'print(6 * 7)'",
    "history",
    "status",
)


def main() -> None:
    """Run the commands, and export what was typed and what was answered."""
    console = Console(record=True, width=112, file=io.StringIO())
    for command in (*COMMANDS, "down"):
        done = subprocess.run(f"./inv {command}", shell=True, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S602
        if command != "down":
            console.print(Text.assemble(("$ ", "green"), (f"./inv {command}", "bold")))
            console.print(Text(done.stdout.rstrip()))
    console.save_svg(str(ROOT / "docs" / "session.svg"), title="twelfth")


if __name__ == "__main__":
    main()
