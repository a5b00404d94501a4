"""Lines from pieces."""

from __future__ import annotations

import itertools
import time

import pytest

from twelfth.engines.lines import lines, telling, whole_lines


def test_lines_are_joined_from_pieces() -> None:
    """A piece may end in the middle of a line, or of a character."""
    pieces = [b"on", b"e\ntwo", b"\n\nthr\xc3", b"\xa9e"]

    assert [b"one\n", b"two\n", b"\n", "thrée\n".encode()] == list(whole_lines(pieces))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["checking", "data is ahead"], "data is ahead"),
        (["Traceback", "  raise error", "KeyError: 'x'"], "KeyError: 'x'"),
        (
            [
                "sqlalchemy.exc.OperationalError: no route",
                "\tIs it up?",
                "",
                "(Background on this error at: https://x)",
            ],
            "sqlalchemy.exc.OperationalError: no route",
        ),
        (
            ["Error: connect ECONNREFUSED", "    at a.js:1", "  code: 'ECONNREFUSED'", "}", "Node.js v20"],
            "Error: connect ECONNREFUSED",
        ),
        (["FATAL:  no database x", "HINT:  make it"], "FATAL:  no database x"),
        (["[error] retried", "errors: 0", "gave up"], "[error] retried"),
        (["it ended", "-----", "}", ""], "it ended"),
        (["---"], ""),
        ([], ""),
    ],
)
def test_line_that_explains_a_failure(lines: list[str], expected: str) -> None:
    """It is an error rather than the lines after it; otherwise it is the last line with a word."""
    assert expected == telling(lines)


def test_line_of_many_pieces_takes_linear_time() -> None:
    """60 MB without a newline, as a daemon sends them: joined with each piece they would take a minute."""
    piece = bytes(16_384)
    began = time.monotonic()
    (line,) = lines(itertools.repeat(piece, 3_700))

    assert 3_700 * 16_384 == len(line)
    assert time.monotonic() - began < 5
