"""A thousand damaged backups, in a sample 320: none is accepted, none changes anything."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.sample import FULL
from tests.twelfth_redis.backup.test_format import packed
from tests.twelfth_redis.stores import Store, digest, fill, restored, saved, serving
from twelfth_redis.backup.reader import verify
from twelfth_redis.errors import FormatError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED, TIMES = 12, 125 if FULL else 40


def flipped(chance: random.Random, file: bytes) -> bytes:
    """Return the file with one bit changed."""
    at = chance.randrange(len(file))
    return file[:at] + bytes([file[at] ^ 1 << chance.randrange(8)]) + file[at + 1 :]


def cut(chance: random.Random, file: bytes) -> bytes:
    """Return a beginning of the file."""
    return file[: chance.randrange(len(file))]


def missing(chance: random.Random, file: bytes) -> bytes:
    """Return the file without some of its middle."""
    begin, end = sorted(chance.sample(range(len(file)), 2))
    return file[:begin] + file[end:]


def swapped(chance: random.Random, file: bytes) -> bytes:
    """Return the file with two blocks exchanged."""
    a, b, c, d = sorted(chance.sample(range(len(file) + 1), 4))
    return file[:a] + file[c:d] + file[b:c] + file[a:b] + file[d:]


def inside(damage: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, bytes], bytes]:
    """Return the same damage in the plain bytes, packed again."""
    return lambda chance, file: packed(damage(chance, gzip.decompress(file)))


DAMAGE = [damage for each in (flipped, cut, missing, swapped) for damage in (each, inside(each))]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a server with some data."""
    with serving(tmp_path_factory.mktemp("redis")) as store:
        fill(store.client)
        yield store


@pytest.mark.parametrize(
    "damage",
    DAMAGE,
    ids=str.split("flipped flipped-inside cut cut-inside missing missing-inside swapped swapped-inside"),
)
def test_damaged_backup_is_neither_verified_nor_restored(
    store: Store, damage: Callable[[random.Random, bytes], bytes]
) -> None:
    """Each is refused twice in one line, and all databases are unchanged, including staging."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable is what it has to be
    file = saved(store.client)
    store.client.incr("hits")  # so that a restore would show
    before = digest(store.client)
    damaged = [other for _ in range(TIMES) if unzipped(other := damage(chance, file)) != gzip.decompress(file)]

    accepted = [other for other in damaged if not refused(other, store) or before != digest(store.client)]

    assert [] == accepted


def unzipped(file: bytes) -> bytes | None:
    """Return the contents of a gzip file, None if it is damaged; some bits of its header mean nothing."""
    try:
        return gzip.decompress(file)
    except (EOFError, OSError, zlib.error):
        return None


def refused(file: bytes, store: Store) -> bool:
    """Return whether both programs refuse the file, in one line."""
    try:
        verify(io.BytesIO(file))
    except FormatError as error:
        said = [str(error)]
    else:
        return False
    try:
        restored(file, store.client)
    except RefusedError as error:
        said.append(str(error))
    return len(said) == 2 and not any("\n" in line for line in said)
