"""Frames in the format of Docker's attach."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from twelfth.engines import multiplex

if TYPE_CHECKING:
    from collections.abc import Iterable


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=200))), st.integers(1, 7))
def test_frames_are_read_back_from_pieces(sent: list[tuple[int, bytes]], piece: int) -> None:
    """Bytes and sizes of pieces are arbitrary."""
    wire = io.BytesIO(b"".join(multiplex.frame(stream, data) for stream, data in sent))

    assert sent == list(multiplex.frames(lambda most: wire.read(min(most, piece))))


@given(st.lists(st.tuples(st.integers(1, 2), st.binary(max_size=200))), st.integers(1, 700))
def test_output_is_complete_and_in_order(sent: list[tuple[int, bytes]], piece: int) -> None:
    """Neighbouring frames of one stream may be joined; the order of streams stays."""
    wire = io.BytesIO(b"".join(multiplex.frame(stream, data) for stream, data in sent))

    found = multiplex.output(lambda most: wire.read(min(most, piece)))
    assert joined(sent) == joined(found)


def joined(found: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return the same bytes with neighbours of one stream as one."""
    groups = itertools.groupby((each for each in found if each[1]), lambda each: each[0])
    return [(stream, b"".join(data for _, data in group)) for stream, group in groups]


def test_frames_that_arrive_together_are_joined() -> None:
    """A log of short lines does not need a call for each line."""
    wire = io.BytesIO(multiplex.frame(1, b"a\n") * 1000 + multiplex.frame(2, b"b\n") + multiplex.frame(2, b"cut")[:-1])

    assert [(1, b"a\n" * 1000), (2, b"b\n")] == list(multiplex.output(wire.read))


def test_incomplete_frame_is_dropped() -> None:
    """The frames before it are returned."""
    wire = io.BytesIO(multiplex.frame(1, b"whole") + multiplex.frame(2, b"broken")[:-1])

    assert [(1, b"whole")] == list(multiplex.frames(wire.read))
