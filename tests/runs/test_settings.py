"""The typed user, working directory and volumes of a run, as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tests.runs.test_request import worker
from twelfth.errors import MisuseError
from twelfth.model.job import Changes
from twelfth.model.run import RunRequest
from twelfth.model.service import Mount, Service, as_options
from twelfth.model.stack import Stack, Volume
from twelfth.runs.settings import merged, refuse_ignored, typed_changes

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine

STACK = Stack("p", Path("/project"), (Service("app", "x"),), volumes=(Volume("data"), Volume("logs")))


def typed(*volumes: str, user: str = "", workdir: str = "") -> Changes:
    """Return what these values of options set."""
    return typed_changes(user, workdir, volumes, STACK, Path("/here/below"))


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("data:/data", Mount("volume", "/data", "data")),
        ("data:/data:ro", Mount("volume", "/data", "data", read_only=True)),
        ("logs:/a/../b/:rw", Mount("volume", "/b", "logs")),
        ("/srv/x:/x:ro", Mount("bind", "/x", "/srv/x", read_only=True)),
        ("./out:/out", Mount("bind", "/out", "/here/below/out")),
        (".:/out", Mount("bind", "/out", "/here/below")),
        ("../out:/out", Mount("bind", "/out", "/here/out")),
        ("~/out:/out", Mount("bind", "/out", "/home/ann/out")),
    ],
)
def test_volume_is_one_of_the_stack_or_a_path(text: str, mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is in the working directory, not in that of the project."""
    monkeypatch.setenv("HOME", "/home/ann")

    assert Changes(Service("run", "", mounts=(mount,)), frozenset({"volumes"})) == typed(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("other:/data", "no service has a volume other; there are data, logs. For a directory, write ./other"),
        ("/data", "write SOURCE:DESTINATION or SOURCE:DESTINATION:ro, with an absolute destination"),
        ("data:data", "write SOURCE:DESTINATION"),
        ("data:/data:z", "write SOURCE:DESTINATION"),
        (":/data", "write SOURCE:DESTINATION"),
    ],
)
def test_other_volume_is_refused(text: str, why: str) -> None:
    """The error is one line, and shows what to write."""
    with pytest.raises(MisuseError) as refused:
        typed(text)

    assert str(refused.value).startswith(f"--volume {text}: {why}")
    assert "\n" not in str(refused.value)


def test_relative_working_directory_is_refused() -> None:
    """A daemon refuses it, too."""
    with pytest.raises(MisuseError, match="--workdir app: write an absolute path"):
        typed(workdir="app")


def test_typed_settings_take_precedence_and_the_others_stay() -> None:
    """Also the job's volumes at other targets; they are recorded as overrides."""
    mounts = (Mount("volume", "/a", "data"), Mount("volume", "/b", "data"))
    options = as_options({"working_dir": "/job", "hostname": "h"})
    job = Changes(
        Service("nightly", "", user="1", mounts=mounts, options=options), frozenset({"user", "volumes", "hostname"})
    )
    changes = merged(job, typed("logs:/b", workdir="/typed"))

    container = replace(
        job.container,
        mounts=(mounts[0], Mount("volume", "/b", "logs")),
        options=as_options({"working_dir": "/typed", "hostname": "h"}),
    )
    assert Changes(container, job.keys | {"working_dir"}) == changes
    request = RunRequest("a", ("true",), worker(1), changes=merged(None, typed("logs:/b", user="0", workdir="/")))
    assert ("user", "volumes", "working_dir") == request.overrides
    assert (job, None) == (merged(job, typed()), merged(None, typed()))


def test_setting_that_the_engine_cannot_apply_is_refused() -> None:
    """One that only the job declares is not: that is reported."""
    runs = SimpleNamespace(ignored=lambda request: tuple(sorted(request.changes.keys - {"working_dir"})))
    engine = cast("Engine", SimpleNamespace(name="local", runs=runs))
    job = Changes(Service("nightly", "", user="1"), frozenset({"user"}))

    def refuse(*volumes: str, user: str = "") -> None:
        changes = typed(*volumes, user=user, workdir="/")
        refuse_ignored(engine, RunRequest("a", (), worker(1), changes=merged(job, changes)), changes)

    refuse()
    with pytest.raises(MisuseError, match=r"cannot apply --user, --volume on local: .*\. Omit --user, --volume$"):
        refuse("data:/data", user="0")
