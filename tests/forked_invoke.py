"""`invoke` in a process of its own that is forked from one which has imported Invoke and the Docker SDK already.

It is what `.venv/bin/invoke` does, without the tenth of a second of imports that each of some hundred processes would
need; twelfth itself is imported by each, from its own directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.forks import FORKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INVOKE = Path(sys.executable).parent / "invoke"
ENDS_WITHIN = 120.0
"""Seconds that a command has."""


def invoke(
    words: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `invoke` with these words in a directory, and return how it ended and what it printed."""
    with tempfile.TemporaryDirectory() as streams:
        given, out, err = (Path(streams) / name for name in ("in", "out", "err"))
        given.write_bytes(stdin)
        process = FORKS.Process(target=_be_invoke, args=(words, directory, dict(environment), streams))
        process.start()
        process.join(ENDS_WITHIN)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([INVOKE, *words], ENDS_WITHIN)
        return subprocess.CompletedProcess([INVOKE, *words], process.exitcode, out.read_bytes(), err.read_bytes())


def _be_invoke(words: Sequence[str], directory: Path, environment: dict[str, str], streams: str) -> None:
    for number, (name, mode) in enumerate((("in", os.O_RDONLY), ("out", os.O_WRONLY), ("err", os.O_WRONLY))):
        opened = os.open(Path(streams) / name, mode | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it is a descriptor
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(INVOKE), *words]
    sys.path[:] = [place for place in sys.path if not (Path(place) / "twelfth").exists()]
    for name in [each for each in sys.modules if each.partition(".")[0] == "twelfth"]:
        del sys.modules[name]

    from invoke.main import program

    program.run()
