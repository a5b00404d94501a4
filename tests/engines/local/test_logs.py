"""How much of a local service's log is kept, and how the rotated files are read."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from twelfth.engines.local.engine import Local
from twelfth.engines.local.replica_spec import kept_log
from twelfth.engines.local.tail import log, tail
from twelfth.errors import MisuseError
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Logging, Service
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytestmark = pytest.mark.usefixtures("state_of_test")

SIZES = (("max-file", "3"), ("max-size", "1k"))
FIRST, LAST = 1_000_000, 1_049_999
COUNTS = ("sh", "-c", f"seq {FIRST} {LAST}; exec sleep 600")
LINE = 8


@pytest.fixture
def counting(tmp_path: Path, state_of_test: Path) -> Iterator[Local]:  # noqa: ARG001 - it has an effect
    """Return an engine with a replica that prints 400 kB, of which three files are kept."""
    service = Service("app", "app", logging=Logging("", SIZES), local=LocalSettings(COUNTS), stop_grace=1)
    engine = Local(Stack("p", tmp_path, (service,)))
    replica = engine.create_replica(service, 1)
    yield engine
    engine.remove_replica(replica)


def test_log_is_kept_as_declared(counting: Local) -> None:
    """There are as many files of as many bytes as declared; all of them are read, from any line."""
    (replica,) = counting.replicas("app")
    assert eventually(lambda: b"%d\n" % LAST in b"".join(counting.logs(replica, follow=False)))

    assert eventually(lambda: 3 == len([*(counting.home / "logs").iterdir()]))
    sizes = [path.stat().st_size for path in (counting.home / "logs").iterdir()]
    lines = b"".join(counting.logs(replica, follow=False)).splitlines()
    assert LINE * len(lines) == sum(sizes)
    assert [b"%d" % number for number in range(LAST + 1 - len(lines), LAST + 1)] == lines
    for last in (1, 5, len(lines) - 1, len(lines) + 1):
        assert lines[-last:] == b"".join(counting.logs(replica, follow=False, last=last)).splitlines()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), (10_000_000, 2)),
        ((("max-size", "10m"), ("max-file", "3")), (10_000_000, 3)),
        ((("max-size", "1.5k"),), (1500, 1)),
        ((("max-size", "1GB"), ("max-file", "1")), (1_000_000_000, 1)),
        ((("max-size", "-1"),), (0, 1)),
    ],
)
def test_options_are_read_as_docker_reads_them(options: tuple[tuple[str, str], ...], expected: tuple[int, int]) -> None:
    """A log without options has limits, too."""
    assert expected == kept_log("app", dict(options))


@pytest.mark.parametrize(
    ("name", "value"), [("max-size", "ten"), ("max-size", "0"), ("max-file", "0"), ("max-file", "many")]
)
def test_invalid_option_is_refused(name: str, value: str) -> None:
    """The error has its full name and a valid example."""
    with pytest.raises(MisuseError, match=rf"^services\.app\.logging\.options\.{name} is {value}; write "):
        kept_log("app", {name: value})


def test_follower_misses_no_output_when_a_file_is_rotated(tmp_path: Path) -> None:
    """The file is rotated between two reads."""
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n")
    looks = 0

    def continues() -> bool:
        nonlocal looks
        looks += 1
        if looks == 2:
            with path.open("ab") as file:
                file.write(b"two\n")
            path.rename(tmp_path / "a.log.2")
            (tmp_path / "a.log.1").write_bytes(b"three\n")
            path.write_bytes(b"four\n")
        return looks < 3

    assert b"one\ntwo\nthree\nfour\n" == b"".join(tail(path, continues))
    assert b"three\nfour\n" == b"".join(log(path, lambda: False, last=2))


NOW = datetime(2025, 11, 25, 12, tzinfo=UTC)
OLD, LATE = b'{"time": "2025-11-25T11:00:00Z"}\n', b'{"time": "2025-11-25T12:00:00Z"}\n'


@pytest.mark.parametrize(
    ("written", "changed", "expected"),
    [
        (b"start\n" + OLD + b"old\n" + LATE + b"Traceback\n{}\n", 1, LATE + b"Traceback\n{}\n"),
        (b"start\n" + LATE, 1, b"start\n" + LATE),
        (b"start\n" + OLD, 1, b""),
        (b"no\ntimes\n", 1, b"no\ntimes\n"),
        (b"no\ntimes\n", -1, b""),
    ],
)
def test_line_without_a_time_is_as_old_as_its_neighbour(
    tmp_path: Path, written: bytes, changed: int, expected: bytes
) -> None:
    """Its time is that of the last line before it with a time, else of the first one after it, else of the file."""
    path = tmp_path / "a.log"
    path.write_bytes(written)
    os.utime(path, (0, NOW.timestamp() + changed))

    assert expected == b"".join(log(path, lambda: False, since=NOW))


def test_log_without_times_shows_what_is_printed_from_now_on(tmp_path: Path) -> None:
    """Lines that were printed before are left out."""
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    os.utime(path, (0, NOW.timestamp() - 1))
    looks = iter((True, False))

    def continues() -> bool:
        if is_first := next(looks):
            return is_first
        with path.open("ab") as file:
            file.write(b"new\n")
        return is_first

    assert b"new\n" == b"".join(log(path, continues, since=NOW))


@pytest.mark.parametrize("number", range(1, 9))
def test_log_that_is_rotated_during_a_read_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The rotation comes before each of the reader's accesses to files: no line is lost, and none comes twice."""
    path, before, after, new = tmp_path / "log", b"a\n" * 500, b"b\n" * 25, b"c\n" * 10
    path.write_bytes(before)
    accesses = count()
    read = tail(path, lambda: True)
    assert before == next(read)

    def look(original: Callable[..., object]) -> Callable[..., object]:
        def rotate_first(self: Path, *arguments: object) -> object:
            if next(accesses) == number:
                os.rename(path, tmp_path / "log.1")  # noqa: PTH104 - the methods of Path are replaced
                with open(path, "wb") as file:  # noqa: PTH123
                    file.write(new)
            return original(self, *arguments)

        return rotate_first

    with path.open("ab") as file:
        file.write(after)
    for name in ("stat", "glob", "open"):
        monkeypatch.setattr(Path, name, look(getattr(Path, name)))
    output = b""
    while not output.endswith(new):
        output += next(read)

    assert after + new == output
