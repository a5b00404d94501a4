"""What is kept of a local service's log, as supervisord splits it into files, and how it is read."""

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
from twelfth.model.stack import Local as LocalSettings
from twelfth.model.stack import Logging, Service, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


SIZES = (("max-file", "3"), ("max-size", "1k"))
FIRST, LAST = 1_000_000, 1_049_999
COUNTS = ("sh", "-c", f"seq {FIRST} {LAST}; exec sleep 600")
LINE = 8


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Local]:
    """Return an engine with a replica that prints 400 kB, of which three files of a pipeful each are kept."""
    service = Service("app", "app", logging=Logging("", SIZES), local=LocalSettings(COUNTS), stop_grace=1)
    engine = Local(Stack("p", tmp_path, (service,)))
    replica = engine.create_replica(service, 1)
    yield engine
    engine.remove_replica(replica)


def test_log_is_kept_as_declared(counting: Local) -> None:
    """So many files, and each begins anew at its size; all of them are read, from whatever line."""
    (replica,) = counting.replicas("app")
    assert eventually(lambda: b"%d\n" % LAST in b"".join(counting.logs(replica, follow=False)))

    assert eventually(lambda: 3 == len([*(counting.home / "logs").iterdir()]))
    sizes = [path.stat().st_size for path in (counting.home / "logs").iterdir()]
    lines = b"".join(counting.logs(replica, follow=False)).splitlines()
    assert LINE * len(lines) == sum(sizes)
    assert [b"%d" % each for each in range(LAST + 1 - len(lines), LAST + 1)] == lines
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
    """Without any, the log is bounded all the same."""
    assert expected == kept_log("app", dict(options))


@pytest.mark.parametrize(
    ("name", "value"), [("max-size", "ten"), ("max-size", "0"), ("max-file", "0"), ("max-file", "many")]
)
def test_option_that_says_nothing_is_refused(name: str, value: str) -> None:
    """By its full name, with what could be written."""
    with pytest.raises(MisuseError, match=rf"^services\.app\.logging\.options\.{name} is {value}; write "):
        kept_log("app", {name: value})


def test_what_was_printed_before_a_file_was_rotated_is_not_missed(tmp_path: Path) -> None:
    """Between two looks of one who follows it."""
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n")
    looks = 0

    def goes_on() -> bool:
        nonlocal looks
        looks += 1
        if looks == 2:
            with path.open("ab") as file:
                file.write(b"two\n")
            path.rename(tmp_path / "a.log.2")
            (tmp_path / "a.log.1").write_bytes(b"three\n")
            path.write_bytes(b"four\n")
        return looks < 3

    assert b"one\ntwo\nthree\nfour\n" == b"".join(tail(path, goes_on))
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
    """The last one before it that has one, else the first one after it; where none has, as the file's last change."""
    path = tmp_path / "a.log"
    path.write_bytes(written)
    os.utime(path, (0, NOW.timestamp() + changed))

    assert expected == b"".join(log(path, lambda: False, since=NOW))


def test_log_without_times_shows_what_is_printed_from_now_on(tmp_path: Path) -> None:
    """Of one that is followed, whatever was printed before."""
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    os.utime(path, (0, NOW.timestamp() - 1))
    looks = iter((True, False))

    def goes_on() -> bool:
        if is_first := next(looks):
            return is_first
        with path.open("ab") as file:
            file.write(b"new\n")
        return is_first

    assert b"new\n" == b"".join(log(path, goes_on, since=NOW))


@pytest.mark.parametrize("number", range(1, 9))
def test_log_that_is_rotated_just_when_it_is_looked_at_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whichever look of the reader's at the files it comes before: nothing is lost, and nothing comes twice."""
    path, before, after, new = tmp_path / "log", b"a\n" * 500, b"b\n" * 25, b"c\n" * 10
    path.write_bytes(before)
    looks = count()
    read = tail(path, lambda: True)
    assert before == next(read)

    def look(original: Callable[..., object]) -> Callable[..., object]:
        def instead(self: Path, *arguments: object) -> object:
            if next(looks) == number:
                os.rename(path, tmp_path / "log.1")  # noqa: PTH104 - those of Path are looks
                with open(path, "wb") as file:  # noqa: PTH123
                    file.write(new)
            return original(self, *arguments)

        return instead

    with path.open("ab") as file:
        file.write(after)
    for name in ("stat", "glob", "open"):
        monkeypatch.setattr(Path, name, look(getattr(Path, name)))
    found = b""
    while not found.endswith(new):
        found += next(read)

    assert after + new == found
