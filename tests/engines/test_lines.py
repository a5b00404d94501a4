"""Lines from pieces."""

from __future__ import annotations

from twelfth.engines.lines import whole_lines


def test_lines_are_whole_wherever_the_pieces_break() -> None:
    """A piece may end in the middle of a line, or of a character."""
    pieces = [b"on", b"e\ntwo", b"\n\nthr\xc3", b"\xa9e"]

    assert [b"one\n", b"two\n", b"\n", "thrée\n".encode()] == list(whole_lines(pieces))
