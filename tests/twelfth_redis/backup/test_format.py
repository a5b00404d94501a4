"""The format of a backup: what is written is read, and nothing else is."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.twelfth_redis.stores import entry
from twelfth_redis import keys
from twelfth_redis.backup import reader
from twelfth_redis.backup.format import EACH, Manifest, Trailer, closing, command, opening
from twelfth_redis.backup.gzip_stream import BLOCK, GzipWriter, unpacked
from twelfth_redis.backup.reader import Reader, Verified, first_commands, verify
from twelfth_redis.errors import FormatError

ROOT = Path(__file__).resolve().parents[3]
SEALED = Path(__file__).with_name("sealed.resp.gz").read_bytes()
"""A backup that version 0.2 made on Valkey 9."""
MANIFEST = Manifest("2026-01-02T03:04:05+00:00", "valkey 9.1.2", 80, 0, EACH, ("0001", "0002"), 2, 1000, "abc", "r1")
ENTRIES = (entry(b"hits", 0, b"payload-one"), entry(b"\r\n", 1_700_000_000_000, b"payload-two"))


def plain(*commands: bytes, manifest: Manifest = MANIFEST, count: int = -1) -> bytes:
    """Return the plain bytes of a backup with these commands."""
    body = opening(manifest) + b"".join(commands)
    return body + closing(Trailer(len(commands) if count < 0 else count, hashlib.sha256(body).hexdigest()))


def packed(text: bytes) -> bytes:
    """Return the file with these plain bytes."""
    stream = io.BytesIO()
    writer = GzipWriter(stream)
    writer.write(text)
    writer.close()
    return stream.getvalue()


def verified(file: bytes) -> Verified:
    """Return the result of verifying."""
    return verify(io.BytesIO(file))


def why(file: bytes) -> str:
    """Return why a file is not a backup."""
    with pytest.raises(FormatError) as refused:
        verified(file)
    return str(refused.value)


def run(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """Return exit code, output and errors of the program."""
    command = [sys.executable, "-m", "admin.verify", *arguments]
    ended = subprocess.run(command, input=given, capture_output=True, cwd=ROOT, timeout=20, check=False)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def test_what_was_written_is_verified() -> None:
    """Manifest and trailer are as written."""
    text = plain(*ENTRIES)
    digest = hashlib.sha256(text[: text.rindex(b"*2\r\n$4\r\nECHO")]).hexdigest()

    assert Verified(MANIFEST, Trailer(2, digest)) == verified(packed(text))


@pytest.mark.parametrize("level", ["-1", "-6", "-9"])
@pytest.mark.parametrize("name", [(), ("-n", "file"), ("-N", "file")], ids=["piped", "unnamed", "named"])
def test_what_was_unpacked_and_packed_again_by_gzip_is_taken(tmp_path: Path, level: str, name: tuple[str, ...]) -> None:
    """With any options of gzip, from a pipe or a file; a flipped or missing end is still noticed."""
    (tmp_path / "file").write_bytes(plain(*ENTRIES))
    command = ["gzip", "-c", level, *name]
    again = subprocess.run(command, input=plain(*ENTRIES), capture_output=True, cwd=tmp_path, check=True).stdout

    assert 2 == verified(again).trailer.count
    assert "it is damaged" in why(again[:-8] + bytes([again[-8] ^ 1]) + again[-7:])
    assert "it is truncated" in why(again[:-1])
    assert "it is damaged" in why(again + b"x")


@pytest.mark.parametrize("made", [0, 1, 1_764_000_000, 2**32 - 1])
def test_what_was_packed_again_by_others_is_taken(made: int) -> None:
    """Other programs name another system, or no time."""

    assert 2 == verified(gzip.compress(plain(*ENTRIES), mtime=made)).trailer.count


@pytest.mark.parametrize("size", range(8))
def test_flipped_bit_never_changes_the_contents(size: int) -> None:
    """Each bit of the file, in turn: the file is refused, or its contents are unchanged (a time in the header)."""
    contents = plain(entry(b"k" * (size + 1), 0, b"payload"))
    file = packed(contents)
    for bit in range(len(file) * 8):
        damaged = bytearray(file)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(FormatError):
            assert contents == b"".join(unpacked(io.BytesIO(bytes(damaged))))


def test_backup_of_an_older_version_is_verified() -> None:
    """Up to 0.2 a second gzip member followed: an empty one, with a checksum of the bytes before it."""
    manifest, trailer = (verified(SEALED).manifest, verified(SEALED).trailer)

    assert ("valkey 9.1.2", 6) == (manifest.server, trailer.count)
    assert "it is truncated" in why(SEALED[:-1])


def test_gzip_itself_reads_it() -> None:
    """Any gzip accepts the file."""
    text = plain(*ENTRIES)

    assert text == gzip.decompress(packed(text))


@pytest.mark.parametrize("large", [1, 100, reader.LARGE])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(st.binary(max_size=3000), max_size=30), size=st.integers(1, 4000))
def test_blocks_of_any_size_read_the_same(
    monkeypatch: pytest.MonkeyPatch, large: int, payloads: list[bytes], size: int
) -> None:
    """Neither the ends of blocks matter, nor whether a large value comes in pieces."""
    monkeypatch.setattr(reader, "LARGE", large)
    text = plain(*(entry(bytes([n]), n, b"x" + payload) for n, payload in enumerate(payloads)))
    read = Reader(text[at : at + size] for at in range(0, len(text), size))
    commands = b"".join(batch.commands for batch in read.batches())

    assert (text, len(payloads)) == (
        opening(MANIFEST) + commands + closing(read.trailer),
        read.trailer.count,
    )


def test_value_larger_than_a_block_is_read() -> None:
    """Only this takes more memory."""
    file = packed(plain(entry(b"large", 0, b"x" * (3 * BLOCK)), *ENTRIES))

    assert 3 == verified(file).trailer.count


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", "it is empty"),
        (b"REDIS0011\xfa\x09", "it is damaged or not a gzip file"),
        (plain(*ENTRIES), "it is damaged or not a gzip file"),
        (b"\x1f\x8b", "it is truncated"),
        (b"\x1f\x8b\x07" + packed(plain(*ENTRIES))[3:], "it is damaged"),
        (packed(b"REDIS0011"), "it is not a backup of twelfth"),
        (packed(b""), "it is empty"),
        (packed(command(b"ECHO", b"{}")), "it is Redis protocol, but not a backup of twelfth"),
        (packed(command(b"ECHO", b"[" * 100_000)), "it is Redis protocol, but not a backup of twelfth"),
        (packed(plain(*ENTRIES))[:-1], "it is truncated"),
        (packed(plain(*ENTRIES))[:-9], "it is truncated"),
        (packed(plain(*ENTRIES)) + b"\n", "it is damaged"),
        (packed(plain(*ENTRIES)) * 2, "it has data after its end"),
        (packed(plain(*ENTRIES) + b"\n"), "it has data after its end"),
        (packed(opening(MANIFEST)), "key 1 is damaged, or the end is missing"),
        (packed(plain(*ENTRIES, count=3)), "it has 2 keys, but had 3 when it was written"),
        (packed(plain(*ENTRIES).replace(b"payload-one", b"payload-0ne")), "its checksum (SHA-256) is wrong"),
    ],
)
def test_what_is_no_backup_is_told_why(file: bytes, said: str) -> None:
    """One line says what the file is instead, and what to do."""

    assert said in why(file)
    assert "\n" not in why(file)


@pytest.mark.parametrize(
    "smuggled",
    [
        command(b"FLUSHALL"),
        command(b"SET", b"hits", b"0"),
        command(b"ECHO", b"more"),
        command(b"RESTORE", b"hits", b"0", b"payload", b"REPLACE"),
        command(b"RESTORE", b"hits", b"0", b"payload", b"ABSTTL", b"REPLACE"),
        command(b"restore", b"hits", b"0", b"payload", b"REPLACE", b"ABSTTL"),
        command(b"RESTORE", b"hits", b"-1", b"payload", b"REPLACE", b"ABSTTL"),
        command(b"RESTORE", b"hits", b"01", b"payload", b"REPLACE", b"ABSTTL"),
        command(b"RESTORE", b"hits", b"0", b"", b"REPLACE", b"ABSTTL"),
        entry(b"hits", 0, b"payload").replace(b"$4\r\nhits", b"$04\r\nhits"),
        entry(b"hits", 0, b"payload").replace(b"$1\r\n0", b":0"),
        entry(b"hits", 0, b"payload").replace(b"$7\r\npayload", b"$8\r\npayload"),
        entry(b"hits", 0, b"payload").replace(b"$7\r\npayload", b"$9999999999\r\npayload"),
        b"FLUSHALL\r\n",
    ],
)
def test_command_of_another_shape_is_refused(smuggled: bytes) -> None:
    """Even with a right checksum, a backup never contains it."""

    assert "is damaged" in why(packed(plain(ENTRIES[0], smuggled, ENTRIES[1])))


@pytest.mark.parametrize("key", sorted(keys.MOMENTARY))
def test_key_that_belongs_to_the_moment_is_refused(key: bytes) -> None:
    """It would replace the lock, or the mark of the staging database."""

    assert "it contains a key that no backup has" in why(packed(plain(ENTRIES[0], entry(key, 0, b"payload"))))


def test_newer_format_is_told_from_damage() -> None:
    """The release that wrote it can read it."""
    newer = opening(MANIFEST).replace(b'"format":1', b'"format":3')

    assert "its format is 3, and this release reads 2. Try: use the release that wrote it" == why(packed(newer))


@pytest.mark.parametrize("change", [{"keys": -1}, {"memory": "1"}, {"guarantee": "none"}, {"revisions": [1]}])
def test_manifest_with_another_field_is_damaged(change: dict[str, object]) -> None:
    """Later code adds and compares its fields."""

    assert "its manifest is damaged" in why(packed(plain(manifest=replace(MANIFEST, **change))))  # type: ignore[arg-type]


def test_commands_are_taken_up_to_the_first_that_is_cut() -> None:
    """The rest is read with the next block."""
    text = b"".join(ENTRIES)

    assert [1] * len(ENTRIES[1]) == [first_commands(text[:-cut]).count for cut in range(1, len(ENTRIES[1]) + 1)]


def test_program_shows_the_manifest_for_people(tmp_path: Path) -> None:
    """A few aligned lines, exit 0."""
    (tmp_path / "file").write_bytes(packed(plain(*ENTRIES)))
    code, out, _ = run(str(tmp_path / "file"))

    assert (0, ["made", "server", "keys", "migrations", "not", "sha256"]) == (
        code,
        [row.split()[0] for row in out.split("\n")[:-1]],
    )
    assert "keys        2, each key by itself\nmigrations  0001, 0002\n" in out


def test_program_shows_no_control_characters() -> None:
    """The author of a file is not its reader; and every text is printable."""
    file = packed(plain(*ENTRIES, manifest=replace(MANIFEST, operator="\x1b[2J\ud800é", revisions=("0001\n",))))
    code, out, said = run(given=file)

    assert (0, "", 6) == (code, said, out.count("\n"))
    assert r"\x1b[2J\ud800é" in out


def test_program_prints_json() -> None:
    """One object with everything, from standard input."""
    code, out, _ = run("--json", given=packed(plain(*ENTRIES)))

    assert (0, 2, "each key by itself") == (code, json.loads(out)["count"], json.loads(out)["guarantee"])


def test_program_refuses_in_one_line(tmp_path: Path) -> None:
    """Exit 1, with the name of the file."""
    missing = str(tmp_path / "missing")

    assert (1, "", f"verify: {missing}: No such file or directory\n") == run(missing)
    assert (1, "verify: the file: it is empty: the backup was not written. Try: invoke backup FILE\n") == run()[::2]


def test_verifying_needs_no_redis_client() -> None:
    """The program imports none: it needs only Python."""
    code = "import sys, admin.verify; sys.exit(any(name.split('.')[0] in ('redis', 'hiredis') for name in sys.modules))"

    assert 0 == subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode
