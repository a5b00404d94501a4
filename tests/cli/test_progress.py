"""The lines that progress leaves on a terminal."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TYPE_CHECKING

import pytest

from twelfth.cli import progress

if TYPE_CHECKING:
    from twelfth.stack.report import Report


class Terminal(io.StringIO):
    """An output that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a replacement for standard output: a terminal that can only print."""
    for name, value in {"TERM": "dumb", "COLUMNS": "40", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def shown(output: Terminal, error: type[BaseException] | None) -> list[str]:
    """Take two steps with details, the second of which raises the error; return the lines that stay."""

    def steps(report: Report) -> None:
        report.step("first")
        report.detail("[a] detail")
        report.step("second")
        for line in ("Step 1/2 : [b]", "", "  said"):
            report.detail(line)
        if error:
            raise error

    with contextlib.suppress(ValueError, KeyboardInterrupt), contextlib.redirect_stdout(output):
        progress.with_progress(steps)
    return [line.rstrip().removesuffix(" 0.0 s") for line in output.getvalue().splitlines() if line.strip()]


def test_details_are_gone_when_a_step_is_done(output: Terminal) -> None:
    """They only show progress."""

    assert ["✓ first", "✓ second"] == shown(output, None)


def test_last_details_of_a_step_that_failed_stay(output: Terminal) -> None:
    """They may be the reason; details of earlier steps are not."""

    assert ["✓ first", "✗ second", "  Step 1/2 : [b]", "    said"] == shown(output, ValueError)


def test_interrupted_step_shows_no_details(output: Terminal) -> None:
    """The reason is known."""

    assert ["✓ first", "✗ second"] == shown(output, KeyboardInterrupt)


def test_steps_are_printed_to_the_given_output(capsys: pytest.CaptureFixture[str]) -> None:
    """`build` prints only the release on standard output."""
    progress.with_progress(lambda report: report.step("Build"), sys.stderr)

    assert ("", "Build\n") == capsys.readouterr()


def test_title_is_shown_before_the_first_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a step there is none."""
    titled = progress.TitledReport(progress.PlainReport(sys.stdout), "title")
    assert "" == capsys.readouterr().out
    for text in ("first", "second"):
        titled.step(text)
    titled.detail("detail")

    assert "title\nfirst\nsecond\n  detail\n" == capsys.readouterr().out
