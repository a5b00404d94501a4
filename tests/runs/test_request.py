"""The source and the request of a run, as values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import ROOT
from twelfth.errors import IdentityError, MisuseError
from twelfth.model.service import Build, Service
from twelfth.model.snapshot import UNKNOWN, Replica
from twelfth.model.stack import Stack
from twelfth.runs import request
from twelfth.runs.fire import VARIABLE, Fire, current
from twelfth.runs.source import choose_source

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine

STACK = Stack("p", Path(), (Service("worker", "app:abc", build=Build(Path())),))


def worker(number: int, state: str = "running", release: str = "abc", **recipe: str) -> Replica:
    """Return a worker with this recipe."""
    return Replica("worker", number, f"id{number}", state, {"image": release, **recipe}, release=release, image=release)


def engine(*replicas: Replica) -> Engine:
    """Return an engine with these replicas."""
    return cast("Engine", SimpleNamespace(stack=STACK, replicas=lambda _: replicas))


def test_workers_that_differ_are_named_with_the_names_of_what_differs() -> None:
    """Without their values; any of the replicas may differ."""
    with pytest.raises(IdentityError) as refused:
        choose_source(engine(worker(1, A="hush"), worker(2, A="hush"), worker(3, A="other", B="1")))

    assert "cannot make a run: worker-1 and worker-3 differ in A, B. Try: invoke up" == str(refused.value)


@pytest.mark.parametrize("other", [worker(2, "exited (1)", A="2"), worker(2, A=UNKNOWN), worker(2, A="1")])
def test_what_does_not_run_or_is_not_known_does_not_count(other: Replica) -> None:
    """A replica that has exited, a setting that the engine cannot read."""
    assert "worker-1" == choose_source(engine(worker(1, A="1"), other)).name


def test_named_release_chooses_among_releases_and_its_workers_must_be_alike() -> None:
    """Replicas of the other release may differ."""
    old, first, second = worker(1, release="old"), worker(2, A="1"), worker(3, A="2")

    assert "worker-1" == choose_source(engine(old, first, second), "old").name
    with pytest.raises(IdentityError, match="worker-2 and worker-3 differ in A"):
        choose_source(engine(old, first, second), "abc")
    with pytest.raises(IdentityError, match="worker-1 is old, worker-2 is abc"):
        choose_source(engine(old, first))


def test_bare_name_has_the_operators_own_value() -> None:
    """As in `docker run --env NAME`; an empty value counts."""
    given = request.overrides(["A", "B=x=y", "C="], {"A": "hush", "B": "not this"})

    assert (("A", "hush"), ("B", "x=y"), ("C", "")) == given


@pytest.mark.parametrize("words", [["B=1", "hush"], ["B=1", "=hush"], ["B=1", ""]])
def test_name_that_is_not_set_is_misuse_and_is_not_shown(words: list[str]) -> None:
    """It may be a value whose name was forgotten."""
    with pytest.raises(MisuseError, match="--env number 2 is not NAME=VALUE, nor the name") as refused:
        request.overrides(words, {"A": "1"})

    assert "hush" not in str(refused.value)


TYPED = """
import sys
from tests.runs.test_request import worker
from twelfth.runs.request import new_request, overrides

made = new_request(sys.argv[1:], worker(1), reason=sys.argv[1], environment=overrides(["A=" + sys.argv[1]], {}))
print(ascii((made.command, made.reason, made.environment)))
"""


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "1"}]
)
def test_words_are_utf_8_whatever_the_locale(locale: dict[str, str]) -> None:
    """With another encoding Python uses surrogates, which are not valid text."""
    command: list[str | bytes] = [sys.executable, "-c", TYPED, "é", b"\xff"]
    done = subprocess.run(command, env=os.environ | locale, cwd=ROOT, capture_output=True, text=True, check=True)

    assert r"(('\xe9', '\udcff'), '\xe9', (('A', '\xe9'),))" == done.stdout.strip()


def test_run_of_a_fire_has_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a run of that job: the command may start others."""
    for name, value in Fire("nightly", "0123abcd").to_environment().items():
        monkeypatch.setenv(name, value)
    fired = request.new_request(("a",), worker(1), job="nightly")
    other = request.new_request(("a",), worker(1), job="other")

    assert ("0123abcd", "schedule") == (fired.id, fired.trigger)
    assert "0123abcd" != other.id
    assert "operator" == other.trigger == request.new_request(("a",), worker(1)).trigger


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"job": "a", "size": 1}', "{"])
def test_damaged_fire_is_none(text: str) -> None:
    """The variable is inherited by all child processes, so anything may be in it."""
    assert current("a", {VARIABLE: text}) is None
