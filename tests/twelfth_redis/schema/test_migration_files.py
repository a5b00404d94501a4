"""Files of migrations: which are accepted, and which are refused by name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from service.schema import MIGRATIONS
from twelfth_redis.errors import RefusedError
from twelfth_redis.schema.migration import checksums, load
from twelfth_redis.schema.revisions import required

if TYPE_CHECKING:
    from pathlib import Path

UP = '"""Title."""\n\ndef up(read, write):\n    pass\n'
EACH = 'MATCH = "user:*"\n\ndef each(keys, read, write):\n    pass\n'


def files(directory: Path, **texts: str) -> Path:
    """Write files whose names are given without the letter that a keyword needs, and without .py."""
    folder = directory / "admin" / "migrations"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name[1:]}.py").write_text(text)
    return folder


def refusal(folder: Path) -> str:
    """Return why they cannot be loaded."""
    with pytest.raises(RefusedError) as refused:
        load(folder)
    return str(refused.value)


def test_the_shipped_ones_load() -> None:
    """In order, each with its title, and each can be reverted."""
    loaded = load(MIGRATIONS)

    assert required(MIGRATIONS) == tuple(each.revision for each in loaded)
    assert "Remember since when it counts" == loaded[1].title
    assert all(each.down for each in loaded)


def test_the_title_is_the_first_line_and_the_checksum_that_of_the_file(tmp_path: Path) -> None:
    """As `sha256sum` prints it."""
    folder = files(tmp_path, _0001_first='"""Do it.\n\nAt length.\n"""\n' + EACH)
    (loaded,) = load(folder)

    assert ("0001", "Do it") == (loaded.revision, loaded.title)
    assert hashlib.sha256((folder / "0001_first.py").read_bytes()).hexdigest() == loaded.checksum
    assert (None, False, "user:*") == (loaded.down, loaded.contract, loaded.up.match)


ENDINGS = {
    "unix": b"def up(read, write):\n    pass\n",
    "windows": b"def up(read, write):\r\n    pass\r\n",
    "mixed": b"def up(read, write):\r\n    pass\n",
}


@pytest.mark.parametrize("recorded", ENDINGS)
@pytest.mark.parametrize("checked_out", ENDINGS)
def test_line_endings_make_no_other_migration(tmp_path: Path, checked_out: str, recorded: str) -> None:
    """By the present checksum, and by recorded ones of the bytes as checked out."""
    folder = files(tmp_path, _0001_first="")
    (folder / "0001_first.py").write_bytes(ENDINGS[checked_out])
    (loaded,) = load(folder)

    assert hashlib.sha256(ENDINGS["unix"]).hexdigest() == loaded.checksum
    if recorded != "mixed" or checked_out == "mixed":
        assert loaded.is_of(hashlib.sha256(ENDINGS[recorded]).hexdigest())
    assert not loaded.is_of(hashlib.sha256(b"def up(read, write):\n  pass\n").hexdigest())


@pytest.mark.parametrize("text", [b"x = '\r'\n", b"a\rb\n", b"a\n\n"])
def test_other_bytes_make_another_migration(text: bytes) -> None:
    """Only line endings that Git converts are equal: no lone carriage return, no empty line."""
    assert not set(checksums(text)) & set(checksums(text.replace(b"\r", b"").replace(b"\n\n", b"\n")))


def test_without_a_docstring_the_name_is_the_title(tmp_path: Path) -> None:
    """Underscores are spaces."""
    (loaded,) = load(files(tmp_path, _0001_let_it_be="CONTRACT = True\nREADS = ('hits',)\n" + UP[13:]))

    assert ("let it be", True, ("hits",)) == (loaded.title, loaded.contract, loaded.up.reads)


def test_no_migrations_are_fine(tmp_path: Path) -> None:
    """Files that do not start with a digit do not count."""

    assert () == load(files(tmp_path, ___init__="", _helpers=""))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"_0001_a": UP, "_0003_c": UP}, "revision 0002 is missing before 0003_c.py"),
        ({"_0002_b": UP}, "revision 0001 is missing before 0002_b.py"),
        ({"_0001_a": UP, "_0001_b": UP}, "revision 0001 is a duplicate: 0001_a.py and 0001_b.py"),
        ({"_1_a": UP}, "admin/migrations/1_a.py is not named NNNN_name.py"),
        ({"_0001-a": UP}, "admin/migrations/0001-a.py is not named NNNN_name.py"),
        ({"_0001_A": UP}, "admin/migrations/0001_A.py is not named NNNN_name.py"),
        ({"_00012_a": UP}, "admin/migrations/00012_a.py is not named NNNN_name.py"),
        ({"_0001_a": "def up(:"}, "admin/migrations/0001_a.py cannot be imported: SyntaxError"),
        ({"_0001_a": "import nowhere"}, "cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ({"_0001_a": "1 / 0"}, "cannot be imported: ZeroDivisionError: division by zero"),
        ({"_0001_a": '"""Nothing."""'}, "admin/migrations/0001_a.py has neither up(read, write) nor MATCH and each"),
        ({"_0001_a": "def each(keys, read, write):\n    pass\n"}, "has neither up(read, write) nor MATCH and each"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, texts: dict[str, str], said: str) -> None:
    """In one line that says which file, and why."""
    why = refusal(files(tmp_path, **texts))

    assert said in why
    assert "\n" not in why
