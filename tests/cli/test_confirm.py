"""The question before a change that cannot be undone, on a real terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

ASK = "from twelfth.cli.confirmation import confirm; confirm('sure?'); print('done')"


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize(("keys", "answered"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\x04", False)])
def test_only_yes_confirms(*, keys: str, answered: bool, blocking: bool) -> None:
    """Ctrl-D does not, and neither does an empty read from a non-blocking terminal."""
    near, far = os.openpty()
    os.set_blocking(far, blocking)
    asking = subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stdin=far, stdout=far, stderr=subprocess.PIPE)
    while not os.read(near, 100).endswith(b"[y/N] "):
        pass
    time.sleep(0.2)  # an empty read would be answered by now
    assert asking.poll() is None
    os.write(near, keys.encode())
    said = asking.communicate(timeout=20)[1].decode()

    assert answered == (asking.returncode == 0)
    assert answered == ("nothing was changed" not in said)
    os.close(near)
    os.close(far)


@pytest.mark.parametrize("stream", ["input", "output"])
def test_question_that_cannot_be_answered_names_the_stream_that_is_no_terminal(stream: str) -> None:
    """The other one is a terminal."""
    near, far = os.openpty()
    streams = {"stdin": far, "stdout": far} | {f"std{stream.removesuffix('put')}": subprocess.PIPE}
    asking = subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stderr=subprocess.PIPE, **streams)  # type: ignore[call-overload]
    error = asking.communicate(timeout=20)[1].decode()
    os.close(near)
    os.close(far)

    assert f"cannot ask for confirmation: standard {stream} is not a terminal. " in error
