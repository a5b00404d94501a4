"""Make standard output and error accept all text at any pace, and escape text from outside."""

from __future__ import annotations

import contextlib
import io
import os
import select
import shutil
import sys
from typing import TYPE_CHECKING, Any, cast

from twelfth.stack.formatting import LAYOUT, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from _typeshed import ReadableBuffer


class WaitingWriter(io.BufferedWriter):
    """A buffered output that waits for a slow reader, also if another program has set `O_NONBLOCK`.

    The buffer waits, not the raw file below it: there, a signal in between could make bytes be written twice.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it; return its size."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        while True:
            try:
                super().write(rest)
            except BlockingIOError as error:
                rest = rest[error.characters_written :]
                self._wait()
            else:
                return size

    def flush(self) -> None:
        """Write what is buffered."""
        while True:
            try:
                super().flush()
            except BlockingIOError:
                self._wait()
            else:
                return

    def _wait(self) -> None:
        select.select([], [self], [])


class PrintableOutput(io.TextIOWrapper):
    """A text output that can escape control characters."""

    escapes = False
    """True for the commands of this tool, which print text from outside; commands of a project may print colours."""

    def write(self, text: str, /) -> int:
        """Print the text; return its length."""
        super().write(printable(text, LAYOUT) if self.escapes else text)
        return len(text)


@contextlib.contextmanager
def escaped_outputs() -> Iterator[None]:
    """Escape all text that is printed inside the block; bytes are passed on unchanged."""
    streams = (sys.stdout, sys.stderr)
    outputs = [stream for stream in streams if isinstance(stream, PrintableOutput) and not stream.escapes]
    for output in outputs:
        output.escapes = True
    try:
        yield
    finally:
        for output in outputs:
            output.escapes = False


class Drawing:
    """An output for a drawing library: its control characters are not escaped."""

    def __init__(self, output: TextIO) -> None:
        """Take the output."""
        self._output = output

    def write(self, text: str) -> int:
        """Print the text as it is."""
        if isinstance(self._output, PrintableOutput):
            return io.TextIOWrapper.write(self._output, text)
        return self._output.write(text)

    def __getattr__(self, name: str) -> Any:
        """Return everything else from the output."""
        return getattr(self._output, name)


def drawing(output: TextIO) -> TextIO:
    """Return an output for a drawing library; the caller escapes the text that it draws."""
    return cast("TextIO", Drawing(output))


def terminal_width() -> int | None:
    """Return the width of standard output in columns, None if it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def prepare_outputs() -> None:
    """Open closed outputs, and replace the others by ones that accept all text at any pace."""
    open_outputs()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # else a test or a notebook has replaced it
            setattr(sys, name, waiting(stream))


def waiting(stream: io.TextIOWrapper) -> TextIO:
    """Return a stream to the same file that waits for its reader and escapes what its encoding cannot encode."""
    stream.flush()
    return PrintableOutput(
        WaitingWriter(io.FileIO(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def open_outputs() -> None:
    """Open `os.devnull` for each standard stream that is closed (`>&-`), for which Python has None.

    Their descriptors are opened, too: for child processes, and so that no other file gets descriptor 1 or 2.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
