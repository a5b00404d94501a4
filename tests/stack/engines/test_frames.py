"""Frames as Docker's attach has them."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from stack.engines import frames


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=200))), st.integers(1, 7))
def test_what_was_framed_is_read_back_however_it_arrives(sent: list[tuple[int, bytes]], piece: int) -> None:
    """Any bytes, in pieces of any size."""
    wire = io.BytesIO(b"".join(frames.frame(stream, data) for stream, data in sent))

    assert sent == list(frames.frames(lambda most: wire.read(min(most, piece))))


def test_frame_that_is_cut_short_is_dropped() -> None:
    """A connection that broke gives what came whole."""
    wire = io.BytesIO(frames.frame(1, b"whole") + frames.frame(2, b"broken")[:-1])

    assert [(1, b"whole")] == list(frames.frames(wire.read))
