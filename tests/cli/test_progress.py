"""What is left on a terminal of steps that went on."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import pytest

from twelfth.cli import progress

if TYPE_CHECKING:
    from twelfth.stack.executor import Report


class Terminal(io.StringIO):
    """An output that says that it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return what stands in for standard output, a terminal that can do nothing but print."""
    for name, value in {"TERM": "dumb", "COLUMNS": "40", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def shown(output: Terminal, error: type[BaseException] | None) -> list[str]:
    """Take two steps, the second of which raises the error, and return what is left; each has details."""

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
    """They tell how it is getting on, no more."""

    assert ["✓ first", "✓ second"] == shown(output, None)


def test_last_details_of_a_step_that_failed_stay(output: Terminal) -> None:
    """What was said last may be the reason; those of the steps before are not."""

    assert ["✓ first", "✗ second", "  Step 1/2 : [b]", "    said"] == shown(output, ValueError)


def test_interrupted_step_shows_no_details(output: Terminal) -> None:
    """Who interrupted it knows why."""

    assert ["✓ first", "✗ second"] == shown(output, KeyboardInterrupt)
