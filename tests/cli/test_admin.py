"""Which files of `admin/` are commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twelfth.cli.admin import programs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ('"""Fill it.\n\nSlowly.\n"""\nif __name__ == "__main__":\n    pass\n', "Fill it."),
        ('if "__main__" == __name__: pass\n', "Run admin/fill_queue.py."),
        ('if __name__ == "__main__": this is no Python\n', "(SyntaxError in fill_queue.py)"),
        ('"""Helpers, not for `__main__`."""\n', None),
        ('def f():\n    if __name__ == "__main__":\n        pass\n', None),
        ("print('hello')\n", None),
    ],
)
def test_file_with_a_guard_is_a_program(tmp_path: Path, text: str, summary: str | None) -> None:
    """It is not imported; other modules of a package `admin` are left alone."""
    (tmp_path / "admin").mkdir()
    for name in ("fill_queue.py", "_fill.py", "a-b.py"):
        (tmp_path / "admin" / name).write_text(text, "utf-8")

    expected = [] if summary is None else [("fill_queue", "fill-queue", summary)]
    assert expected == [(program.name, program.command, program.summary) for program in programs(tmp_path)]
