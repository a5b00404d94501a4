"""Which revisions a release needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth_redis.schema.revisions import required

if TYPE_CHECKING:
    from pathlib import Path


def test_a_release_needs_the_revisions_of_its_files(tmp_path: Path) -> None:
    """Four digits and an underscore, in order; nothing else counts."""
    for name in ("0002_b.py", "0001_a.py", "__init__.py", "0003_c.txt", "x0004_d.py"):
        (tmp_path / name).touch()

    assert ("0001", "0002") == required(tmp_path)
