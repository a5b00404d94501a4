"""No backup, however large its values are and of whatever origin, needs more memory than a worker has."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.real_redis import eventually
from tests.twelfth_redis.backup.test_format import ENTRIES, MANIFEST, packed, plain, verified, why
from tests.twelfth_redis.stores import FAR, Store, contents, digest, entry, fill, restored, saved
from twelfth_redis.backup import dump
from twelfth_redis.backup.format import LONGEST, TAIL, Trailer, beginning, closing, command, opening
from twelfth_redis.backup.gzip_stream import GzipWriter
from twelfth_redis.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[3]
MEMORY = 160
"""What a program may take here, address space and all, in MB: less than any worker has."""
LARGE = 80 << 20
"""The size of a value that may not be held twice then."""
ZEROS = bytes(1 << 20)


def limited(program: str, file: Path, store: Store | None = None, **streams: Any) -> tuple[int, str]:
    """Run a program that reads or writes a file with little memory; return its exit code and errors."""
    words = ["sh", "-c", f'ulimit -v {MEMORY * 1024}; exec "$@"', "sh", sys.executable, "-m", program]
    environment = {"PATH": os.environ["PATH"]} | (store.environment if store else {})
    with file.open("wb" if program == "admin.backup" else "rb") as stream:
        given = {"stdout": stream} if program == "admin.backup" else {"stdin": stream, "stdout": subprocess.DEVNULL}
        ended = subprocess.run(
            words, stderr=subprocess.PIPE, cwd=ROOT, env=environment, timeout=60, check=False, **given, **streams
        )
    return ended.returncode, ended.stderr.decode()


def zipped(path: Path, pieces: Iterable[bytes]) -> Path:
    """Write a file with these plain bytes, and return it."""
    with path.open("wb") as stream:
        writer = GzipWriter(stream)
        for piece in pieces:
            writer.write(piece)
        writer.close()
    return path


def zeros(megabytes: int) -> Iterator[bytes]:
    """Yield `megabytes` of zeros."""
    for _ in range(megabytes):
        yield ZEROS


def huge_value() -> Iterator[bytes]:
    """Yield a value of 200 MB that no server wrote."""
    yield opening(MANIFEST) + beginning(b"k", 0, 200 << 20)
    yield from zeros(200)


def huge_value_of_a_wrong_shape() -> Iterator[bytes]:
    """Yield one whose expiry has another length than declared."""
    yield opening(MANIFEST) + beginning(b"k", 0, 200 << 20).replace(b"$1\r\n0\r\n", b"$2\r\n0\r\n")
    yield from zeros(200)


def huge_name() -> Iterator[bytes]:
    """Yield a key with a name of 200 MB."""
    yield opening(MANIFEST) + beginning(b"k", 0, 1).replace(b"$1\r\nk", b"$%d\r\n" % (200 << 20), 1)
    yield from zeros(200)


def many_small_keys() -> Iterator[bytes]:
    """Yield 400,000 keys."""
    yield opening(MANIFEST)
    for _ in range(400):
        yield entry(b"k", 1, b"p") * 1000


def huge_array() -> Iterator[bytes]:
    """Yield an array of 1,000,000,000 items."""
    yield opening(MANIFEST) + b"*1000000000\r\n" + b"$1\r\nk\r\n" * 1000
    yield from zeros(200)


def echoes() -> Iterator[bytes]:
    """Yield one text after the other."""
    yield opening(MANIFEST)
    for _ in range(200):
        yield command(b"ECHO", ZEROS[:-100])


def line_without_end() -> Iterator[bytes]:
    """Yield only zeros."""
    yield from zeros(200)


def many_objects(number: int = 333_000) -> Iterator[bytes]:
    """Yield a manifest that needs more memory when it is parsed."""
    yield command(b"ECHO", b'{"twelfth":"backup","format":1,"revisions":[' + b"{}," * number + b"{}]}")


def more_objects() -> Iterator[bytes]:
    """Yield one that is larger than a manifest may be."""
    yield from many_objects(3_000_000)


def deep_nesting() -> Iterator[bytes]:
    """Yield a manifest of deeply nested lists."""
    yield command(b"ECHO", b'{"twelfth":"backup","format":' + b"[" * 400_000 + b"]" * 400_000 + b"}")


CRAFTS = [
    huge_value,
    huge_value_of_a_wrong_shape,
    huge_name,
    many_small_keys,
    huge_array,
    echoes,
    line_without_end,
    many_objects,
    more_objects,
    deep_nesting,
]


@pytest.mark.parametrize("craft", CRAFTS)
def test_crafted_file_is_refused_in_little_memory(tmp_path: Path, craft: Any) -> None:
    """In one line, whatever size it unpacks to."""
    file = zipped(tmp_path / "file", craft())
    code, said = limited("admin.verify", file)

    assert (1, 1, True) == (code, said.count("\n"), said.startswith("verify: the file: ")), said[-300:]


@pytest.mark.parametrize("depth", [3, 100, 500, 900, 5000])
@pytest.mark.parametrize("field", ["format", "revisions", "guarantee", "keys", "time", "twelfth"])
def test_manifest_may_nest_what_it_likes(field: str, depth: int) -> None:
    """It is reported as damaged."""
    fields = json.loads(opening(MANIFEST).split(b"\r\n")[4]) | {field: "NESTED"}
    text = json.dumps(fields, separators=(",", ":")).encode().replace(b'"NESTED"', b"[" * depth + b"]" * depth)

    assert "\n" not in why(packed(command(b"ECHO", text)))


@pytest.mark.parametrize("depth", [3, 900])
def test_trailer_may_nest_what_it_likes(depth: int) -> None:
    """It is reported as damaged."""
    text = closing(Trailer(7, "sum")).split(b"\r\n")[4].replace(b"7", b"[" * depth + b"]" * depth)

    assert "its end is damaged" in why(packed(opening(MANIFEST) + command(b"ECHO", text)))


@pytest.mark.parametrize("more", [b"", b"x" * len(TAIL)])
def test_large_value_that_is_cut_or_goes_on_is_refused(more: bytes) -> None:
    """Like a small one."""
    value = entry(b"large", 0, ZEROS + b"x")

    assert 2 == verified(packed(plain(value, ENTRIES[0]))).trailer.count
    assert "key 1 is damaged, or the end is missing" in why(packed(opening(MANIFEST) + value[:-1]))
    assert "key 1 is damaged" in why(packed(plain(value[: -len(TAIL)] + more, ENTRIES[0])))


def test_large_value_is_saved_verified_and_restored_in_little_memory(store: Store, tmp_path: Path) -> None:
    """The memory limit of a worker suffices, and each byte is restored, with its expiry."""
    file = tmp_path / "file"
    store.client.config_set("rdbcompression", "no")
    store.client.set("large", b"x" * LARGE, pxat=FAR)
    fill(store.client)
    before = digest(store.client)
    ended = [limited("admin.backup", file, store), limited("admin.verify", file)]
    store.client.flushall()
    ended.append(limited("admin.restore", file, store))
    store.client.config_set("rdbcompression", "yes")

    assert [0, 0, 0] == [code for code, _ in ended], ended
    assert (before, 30) == (digest(store.client), verified(file.read_bytes()).trailer.count)


@pytest.fixture
def scarce(store: Store) -> Iterator[Store]:
    """Yield a server with memory for a value of 40 MB and one copy of it."""
    store.client.set("hits", 41)
    store.client.set("large", b"x" * (40 << 20))
    store.client.config_set("rdbcompression", "no")
    # The server frees the values of an earlier test and the buffers of the client in the background.
    eventually(lambda: store.client.info("memory")["used_memory"] < 60 << 20)
    store.client.config_set("maxmemory", store.client.info("memory")["used_memory"] + (60 << 20))
    yield store
    store.client.config_set("maxmemory", 0)
    store.client.config_set("rdbcompression", "yes")


def test_value_that_redis_has_no_memory_to_dump_is_refused_by_name(scarce: Store) -> None:
    """Else Redis would refuse the requests of clients meanwhile, or be killed."""

    with pytest.raises(RefusedError, match=r"the value of 'large' takes 41,\d{3},\d{3} bytes, and DUMP needs"):
        saved(scarce.client)


def test_value_that_redis_has_no_memory_to_load_is_refused_by_name(scarce: Store) -> None:
    """Nothing is changed."""
    limit = scarce.client.info("memory")["maxmemory"]
    scarce.client.config_set("maxmemory", 0)
    file = saved(scarce.client)
    scarce.client.config_set("maxmemory", limit)
    before = digest(scarce.client)

    with pytest.raises(RefusedError, match=r"the value of 'large' has 41,\d{3},\d{3} bytes, and loading it"):
        restored(file, scarce.client)
    assert before == digest(scarce.client)


def test_value_that_no_redis_takes_back_is_refused_by_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing restore would reveal it too late."""
    monkeypatch.setattr(dump, "LARGEST", 2 << 20)
    monkeypatch.setattr(dump, "WHOLE_KEYS", 0)
    store.client.set(b"large\n", os.urandom(2 << 20))

    with pytest.raises(RefusedError, match=r"the payload of 'large\\n' has 2,097,\d{3} bytes"):
        saved(store.client)


def test_name_that_no_backup_holds_is_refused(store: Store) -> None:
    """It is shortened to a line in messages; the longest allowed name is restored."""
    store.client.set("n" * LONGEST, 1)
    before = contents(store.client)
    restored(saved(store.client), store.client)
    assert before == contents(store.client)
    store.client.set("m" * (LONGEST + 1), 1)

    with pytest.raises(RefusedError, match=r"the key 'm{60}'… has a name of 1,000,000 bytes"):
        saved(store.client)


def test_elements_of_unlike_size_are_all_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of a hash would overlook the one field that is large, and take it with all others at once."""
    store.client.hset("hash", mapping={f"f{n}": b"small" for n in range(2000)})
    store.client.hset("hash", "large", os.urandom(3 << 20))
    monkeypatch.setattr(dump, "WHOLE_KEYS", 0)
    pages = [*dump.snapshot(store.client, 0).pages]

    assert (1, True) == (sum(page.count for page in pages), max(len(page.commands) for page in pages) <= 1 << 20)


def test_first_key_may_be_large(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest still has the version of the payloads."""
    monkeypatch.setattr(dump, "WHOLE_KEYS", 0)
    store.client.set("hits", 1)
    small = verified(saved(store.client)).manifest.payload
    store.client.flushall()
    store.client.set("large", os.urandom(3 << 20))

    assert small == verified(saved(store.client)).manifest.payload


def test_plain_bytes_of_a_large_value_are_what_stock_tools_take(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One RESTORE, in however many pieces it was read."""
    monkeypatch.setattr(dump, "WHOLE_KEYS", 0)
    store.client.set("large", os.urandom(3 << 20), pxat=FAR)
    payload = store.client.dump("large") or b""

    assert entry(b"large", FAR, payload) in gzip.decompress(saved(store.client))
