"""What the Engine API answers about a stack."""

from __future__ import annotations

from tests.engines.docker.values import IMAGE, inspected
from twelfth.engines.docker import snapshot


def test_release_is_told_by_label_even_where_the_tag_has_moved() -> None:
    """A tag is only a name; what was written on the container when it was made stays."""
    moved = IMAGE | {"RepoTags": ["app:ffffffffffff"]}

    assert "0123456789ab" == snapshot.replica(inspected(), moved, {}).release
