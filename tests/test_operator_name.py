"""Who an operator is: what the system knows, and what they say in addition."""

from __future__ import annotations

import os
import pwd

import pytest

from twelfth.operator_name import operator

NAME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of the test's own operator count."""
    for variable in ("SUDO_USER", "TWELFTH_OPERATOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_variables_of_the_shell_do_not_name_the_operator(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Anyone can set them."""
    monkeypatch.setenv(variable, "ann")

    assert NAME == operator()


def test_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with a uid."""
    monkeypatch.setattr(os, "getuid", lambda: 54321)

    assert "uid 54321" == operator()


@pytest.mark.parametrize(("effective", "expected"), [(0, f"{NAME} (sudo ann)"), (1001, NAME)])
def test_user_of_sudo_counts_for_root_alone(monkeypatch: pytest.MonkeyPatch, effective: int, expected: str) -> None:
    """Any other user can only pretend."""
    monkeypatch.setattr(os, "geteuid", lambda: effective)
    monkeypatch.setenv("SUDO_USER", "ann")

    assert expected == operator()


def test_name_that_is_declared_is_recorded_in_addition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the person for whom a pipeline deploys."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("TWELFTH_OPERATOR", "pipeline 12")
    assert f"{NAME} (TWELFTH_OPERATOR pipeline 12)" == operator()
    monkeypatch.setenv("SUDO_USER", "ann")
    assert f"{NAME} (sudo ann, TWELFTH_OPERATOR pipeline 12)" == operator()


def test_name_that_is_not_utf_8_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon's labels and the lock's file are UTF-8; where Python reads only ASCII, a name is read as UTF-8."""
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    for name in (b"J\xc3\xbcrgen", b"J\xfcrgen"):
        monkeypatch.setenv("TWELFTH_OPERATOR", name.decode("ascii", "surrogateescape"))
        assert name.decode("utf-8", "backslashreplace") in operator()
