"""The outputs of a command, ready for everything that is printed."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any, cast

from twelfth.stack.formatting import LAYOUT, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from _typeshed import ReadableBuffer


class WaitingWriter(io.BufferedWriter):
    """An output that waits while its reader is slow, also if another program has made it non-blocking.

    It is the buffer that waits, not the file below it: a signal between the two would have bytes written twice.
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
    """An output that can escape what acts on a terminal, wherever the text comes from."""

    escapes = False
    """Whether it does: the commands of this tool print text from outside, those of a project may print colours."""

    def write(self, text: str, /) -> int:
        """Print the text; return its length."""
        super().write(printable(text, LAYOUT) if self.escapes else text)
        return len(text)


@contextlib.contextmanager
def escaped_outputs() -> Iterator[None]:
    """Escape everything that is printed meanwhile as text; bytes are passed on as they are."""
    outputs = [each for each in (sys.stdout, sys.stderr) if isinstance(each, PrintableOutput) and not each.escapes]
    for each in outputs:
        each.escapes = True
    try:
        yield
    finally:
        for each in outputs:
            each.escapes = False


class Drawing:
    """An output on which a library draws, that escapes by itself what it is given."""

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
    """Return an output on which a library draws; each text that it draws has to be printable."""
    return cast("TextIO", Drawing(output))


def prepare_outputs() -> None:
    """Open the outputs that are closed, and make the others take any text at any pace."""
    open_outputs()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # else a test or a notebook has put its own there
            setattr(sys, name, waiting(stream))


def waiting(stream: io.TextIOWrapper) -> TextIO:
    """Return a stream to the same file that waits for its reader, and escapes what its encoding cannot express."""
    stream.flush()
    return PrintableOutput(
        WaitingWriter(io.FileIO(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def open_outputs() -> None:
    """Open `os.devnull` for each standard stream that is closed (`>&-`), for which Python has None.

    The descriptors are taken, too: for child processes, and so that no other file becomes what is printed to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
