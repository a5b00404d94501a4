"""Run `invoke` in a process that is forked from one that has already imported Invoke and the Docker SDK.

So some hundred commands are spared a tenth of a second of imports each. What is ours is imported by each, from its own
directory. It differs from `.venv/bin/invoke` at its beginning (variables such as PYTHONUNBUFFERED come too late) and at
its very end, which is not the interpreter's; tests about those start the real one (`Project.start`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.forks import FORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

ROOT = Path(__file__).resolve().parents[1]
INVOKE = Path(sys.executable).parent / "invoke"
ENDS_WITHIN = 120.0
"""Seconds that a command has."""


def invoke(
    words: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `invoke` with these words in a directory, and return how it ended and what was printed."""
    return run(_be_invoke, (INVOKE, *words), directory, environment, stdin)


def run(
    program: Callable[[Sequence[str | Path]], None],
    words: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str],
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Call `program` with its command line in a forked process, and return its exit code and output.

    It is finished when all its outputs are closed, as for `$(invoke ...)`. Raises `subprocess.TimeoutExpired`.
    """
    pipes = [FORKS.Pipe(duplex=False) for _ in ("out", "err")]
    outputs = [writer for _, writer in pipes]
    process = FORKS.Process(target=_be, args=(program, words, directory, dict(environment), stdin, outputs))
    process.start()
    printed: dict[int, bytes] = {}
    readers = []
    for number, (reader, writer) in enumerate(pipes):
        writer.close()
        readers.append(threading.Thread(target=_read, args=(reader, printed, number), daemon=True))
        readers[-1].start()
    for reading in readers:
        reading.join(ENDS_WITHIN)
    if any(reading.is_alive() for reading in readers):
        process.kill()
        raise subprocess.TimeoutExpired([*words], ENDS_WITHIN)
    process.join()
    return subprocess.CompletedProcess([*words], process.exitcode or 0, printed[0], printed[1])


def _read(reader: Connection, printed: dict[int, bytes], number: int) -> None:
    with reader, os.fdopen(os.dup(reader.fileno()), "rb") as stream:
        printed[number] = stream.read()


def _be(
    program: Callable[[Sequence[str | Path]], None],
    words: Sequence[str | Path],
    directory: Path,
    environment: dict[str, str],
    stdin: bytes,
    outputs: list[Connection],
) -> None:
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        os.dup2(given.fileno(), 0)
    for number, output in enumerate(outputs, 1):
        os.dup2(output.fileno(), number)
        output.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it is a descriptor
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    program(words)


def _be_invoke(words: Sequence[str | Path]) -> None:
    sys.argv = [str(word) for word in words]
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != ROOT]
    for name, module in [*sys.modules.items()]:
        file = Path(getattr(module, "__file__", None) or "/")
        if file.is_relative_to(ROOT) and not file.is_relative_to(sys.prefix) and module.__name__ != __name__:
            del sys.modules[name]

    from invoke.main import program

    program.run()
