"""Draw docs/session.svg from a real session: `.venv/bin/python docs/draw_session.py`, with nothing up before."""

import io
import os
import re
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
    "backup",
    "history",
    "scale worker=2",
    "status",
)


def main() -> None:
    """Run the commands, and export what was typed and what was answered."""
    console = Console(record=True, width=140, file=io.StringIO())
    own = {"COMPOSE_PROJECT_NAME": "twelfth", "PORT": "8000"}
    for command in (*COMMANDS, "down"):
        done = subprocess.run(  # noqa: S602 - our own words
            f"./inv {command}", shell=True, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=True
        )
        if command != "down":
            console.print(Text.assemble(("$ ", "green"), (f"./inv {command}", "bold")))
            console.print(Text(done.stdout.rstrip()))
    drawn = console.export_svg(title="twelfth")
    without_fonts = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # a picture asks no other host for any
    (ROOT / "docs" / "session.svg").write_text(without_fonts, "utf-8")


if __name__ == "__main__":
    main()
