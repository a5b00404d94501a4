"""The migrations of this project stay what they were when data was migrated."""

from __future__ import annotations

import hashlib

import pytest

from service.schema import MIGRATIONS
from twelfth_redis.schema.migration import load

KNOWN = {
    "0001": "5b6e9f771cf8fe367ca25574b0b8c50f147b26110ac880a08aecdb6cb9394abc",
    "0002": "c9221ac21a82c914b96e6c09020a129a05eb56d5e58e39a67b4efd81b765c30f",
}
"""The checksums under which each was first applied somewhere; they never change, and a new revision adds its own."""


@pytest.mark.parametrize(("revision", "checksum"), KNOWN.items())
def test_data_that_was_migrated_by_an_earlier_text_goes_on(revision: str, checksum: str) -> None:
    """A renamed import does not make another migration."""
    (migration,) = [each for each in load(MIGRATIONS) if each.revision == revision]

    assert migration.is_of(checksum)
    assert not migration.is_of(hashlib.sha256(b"").hexdigest())


def test_every_migration_is_known() -> None:
    """So that none can be edited unnoticed."""
    assert set(KNOWN) == {each.revision for each in load(MIGRATIONS)}


def test_every_checkout_has_the_same_line_endings() -> None:
    """Else the release of one commit has different names on different machines."""
    assert "* text=auto eol=lf" in (MIGRATIONS.parents[1] / ".gitattributes").read_text("utf-8").splitlines()
