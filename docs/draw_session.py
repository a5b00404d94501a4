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
    """Run the commands, and export the commands with their output."""
    console = Console(record=True, width=140, file=io.StringIO())
    environment = os.environ | {"COMPOSE_PROJECT_NAME": "twelfth", "PORT": "8000"}
    for command in (*COMMANDS, "down"):
        result = subprocess.run(  # noqa: S602 - constant commands
            f"./inv {command}", shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        if command != "down":
            console.print(Text.assemble(("$ ", "green"), (f"./inv {command}", "bold")))
            console.print(Text(result.stdout.rstrip()))
    drawn = console.export_svg(title="twelfth")
    without_fonts = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # they load from other hosts
    (ROOT / "docs" / "session.svg").write_text(without_fonts, "utf-8")


if __name__ == "__main__":
    main()
