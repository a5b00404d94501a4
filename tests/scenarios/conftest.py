"""What scenarios share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return what prints a scenario's figures, which are of interest also where it passes."""

    def print_figures(text: str) -> None:
        with capfd.disabled():
            sys.stdout.write(f"{text}\n")

    return print_figures
