"""`up` is interrupted by Ctrl-C, TERM or KILL: clients do not notice, and the next `up` continues."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.sample import FULL
from tests.scenarios.load import Load, change

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

pytestmark = pytest.mark.measures

MOMENTS = {"local": 30, "docker": 30} if FULL else {"local": 6, "docker": 3}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CODES = {signal.SIGINT: {0, 1, 130, -2}, signal.SIGTERM: {0, 1, 143, -15}, signal.SIGKILL: {0, -9}}
"""What `up` ends with: 0 where it was over, or the signal itself where Python was ending by then; 1 where its release
command got the signal, and has ended by it."""
SEED = 4


@dataclass(frozen=True)
class Cut:
    """An interrupted deploy: the step, how it ended, and the number of ready replicas right after it."""

    step: str
    code: int
    words: str
    serving: int


def begun(project: Project, number: int) -> subprocess.Popen[bytes]:
    """Start the deploy of another release, and return during its first step."""
    change(project, f"\n# release {number}")
    client = project.start("up", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert client.stdout
    assert client.stdout.readline()
    return client


def cut(project: Project, number: int, seconds: float, by: signal.Signals) -> Cut:
    """Interrupt a deploy some seconds after the start of its first step."""
    client = begun(project, number)
    time.sleep(seconds)
    client.send_signal(by)
    out, words = client.communicate(timeout=60)
    steps = [line for line in out.decode().splitlines() if not line.startswith("  ")]
    served = [each for each in project.engine().replicas("worker") if each.serves]
    return Cut(steps[-1] if steps else "build", client.returncode, words.decode().strip(), len(served))


def moments(whole: float, many: int) -> list[float]:
    """Return the moments of interruption: one in each of N equal parts of the deploy, in random order."""
    chance = random.Random(SEED)  # noqa: S311 - moments for a test
    chosen = [whole * (part + chance.random()) / many for part in range(many)]
    return chance.sample(chosen, many)


def worker_1(project: Project) -> str:
    """Return the id of the replica that has the name `worker-1`."""
    if project.engine_name == "local":
        return next(replica.id for replica in project.engine().replicas("worker") if replica.name == "worker-1")
    return str(project.engine().api.inspect_container(f"{project.name}-worker-1")["Id"])  # type: ignore[attr-defined]


def test_deploy_that_is_cut_costs_no_request_and_is_finished_by_the_next(
    serving: Project, tell: Callable[[str], None]
) -> None:
    """At moments of the whole deploy, from a fixed seed: never fewer replicas than before, and nothing remains."""
    many, cuts = MOMENTS[serving.engine_name], []
    url = serving.up()
    with Load(url, visitors=4) as load:
        undisturbed, began = begun(serving, 0), time.monotonic()
        undisturbed.communicate(timeout=120)
        whole = time.monotonic() - began
        for number, (at, by) in enumerate(zip(moments(whole, many), itertools.cycle(SIGNALS), strict=False), 1):
            cuts.append((at, by, cut(serving, number, at, by)))
            serving.up()
            assert [] == serving.plan()
            (worker,) = serving.engine().replicas("worker")
            assert worker.id == worker_1(serving)
    figures = load.figures()
    tell(f"deploys of {whole:.1f} s cut {len(cuts)} times, {serving.engine_name}: {figures}")
    for at, by, found in cuts:
        tell(f"  {at:4.1f} s {by.name:7} code {found.code}, {found.serving} serve, in: {found.step} {found.words}")

    assert {} == figures.failures
    assert (0, len(figures.hits)) == (figures.repeated, figures.moved)
    for _, by, found in cuts:
        assert found.serving
        assert found.code in CODES[by]
        assert "Traceback" not in found.words
