"""The stored state of a stack and its lock: the same tests on each engine."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest
from docker.errors import APIError
from requests import Response

from tests.conftest import EVERY, ROOT, engine_at_hand, eventually
from tests.memory_engine import Memory, World
from twelfth.engines import choice
from twelfth.engines.docker.engine import Docker
from twelfth.engines.docker_api import state_image
from twelfth.engines.docker_api.errors import CONFLICT
from twelfth.engines.docker_api.state_volume import StateVolume
from twelfth.errors import BusyError, EngineError
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from twelfth.engines.contract import Engine

    Open = Callable[[], Engine]

pytestmark = pytest.mark.every_engine


@pytest.fixture(params=["memory", *EVERY])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return what makes an engine of one stack, as another process would have it."""
    stack, world = Stack(f"state-{secrets.token_hex(4)}", tmp_path, ()), World()
    with engine_at_hand(request) as name:

        def make() -> Engine:
            return Memory(stack, world) if name == "memory" else choice.choose(name, stack)

        yield make
        make().state.unlock()
        make().state.remove()


def test_files_are_read_by_another_process(opened: Open) -> None:
    """Files of a directory are read by name; a missing directory has none."""
    assert opened().state.read("ledger/1") == {}
    opened().state.write({"ledger/1/a.json": b"a", "ledger/2/b.json": b"b", "stack/deploys.json": b"{}"})
    opened().state.write({"ledger/1/c.json": b"c" * 100_000, "stack/deploys.json": b"later"})
    assert opened().state.read("ledger/1") == {"a.json": b"a", "c.json": b"c" * 100_000}
    assert opened().state.read("stack") == {"deploys.json": b"later"}
    assert opened().state.read("ledger") == {}


def test_removed_state_is_gone(opened: Open) -> None:
    """After `remove` there are no files, and new ones can be written."""
    opened().state.write({"stack/a": b"1"})
    opened().state.remove()
    assert opened().state.read("stack") == {}
    opened().state.write({"stack/b": b"2"})
    assert opened().state.read("stack") == {"b": b"2"}


def test_link_names_the_directory_to_read_and_to_add_to(opened: Open) -> None:
    """A link can be changed; what was added through it stays in its directory."""
    opened().state.write({"ledger/1/a": b"a", "ledger/2/b": b"b"})
    opened().state.link("ledger/open", "1")
    assert opened().state.add("ledger/open", {"c": b"c"})
    opened().state.send("ledger/open", {"d": b"d"})
    assert eventually(lambda: opened().state.read("ledger/open") == {"a": b"a", "c": b"c", "d": b"d"})
    opened().state.link("ledger/open", "2")
    assert opened().state.read("ledger/open") == {"b": b"b"}
    assert "c" in opened().state.read("ledger/1")


def test_packed_directory_can_be_read_and_added_to(opened: Open) -> None:
    """Also more files than one object of a Swarm contains."""
    files = {f"{number}.json": str(number).encode() for number in range(101)}
    opened().state.write({f"ledger/1/{name}": content for name, content in files.items()})
    opened().state.pack("ledger/1")
    assert opened().state.read("ledger/1") == files
    assert opened().state.add("ledger/1", {"late": b"x"})
    assert opened().state.read("ledger/1") == files | {"late": b"x"}


SENDER = """
import os, sys
from pathlib import Path
from twelfth.engines import choice
from twelfth.model.stack import Stack
choice.choose(sys.argv[1], Stack(sys.argv[2], Path(sys.argv[3]), ())).state.send("ledger", {"b": b"b"})
os._exit(0)
"""


def test_file_that_was_sent_outlives_its_process(opened: Open, tmp_path: Path) -> None:
    """Which need not wait until it is written."""
    engine = opened()
    if isinstance(engine, Memory):
        pytest.skip("an engine in memory has one process")
    engine.state.write({"ledger/a": b"a"})
    subprocess.run(
        [sys.executable, "-c", SENDER, engine.name, engine.stack.project, str(tmp_path)], cwd=ROOT, check=True
    )
    assert eventually(lambda: opened().state.read("ledger") == {"a": b"a", "b": b"b"})


def test_nothing_is_added_to_a_missing_directory(opened: Open) -> None:
    """Its caller has to create it."""
    assert not opened().state.add("ledger/open", {"a": b"a"})
    opened().state.send("ledger/open", {"a": b"a"})
    assert opened().state.read("ledger/open") == {}


def test_one_directory_is_removed(opened: Open) -> None:
    """Others stay, and it can be written again."""
    opened().state.write({"ledger/1/a": b"a", "stack/b": b"b"})
    opened().state.link("ledger/open", "1")
    opened().state.remove("ledger")
    assert ({}, {}) == (opened().state.read("ledger/1"), opened().state.read("ledger/open"))
    assert opened().state.read("stack") == {"b": b"b"}
    opened().state.write({"ledger/1/c": b"c"})
    assert opened().state.read("ledger/1") == {"c": b"c"}


def test_one_process_has_the_lock(opened: Open) -> None:
    """A second one is refused with the holder's name, until the first releases the lock."""
    first, second = opened().state, opened().state
    assert second.holder() is None
    with first.lock("deploying"):
        first.check_lock()
        holder = second.holder()
        assert holder is not None
        assert holder.action == "deploying"
        with pytest.raises(BusyError, match=r"locked by .*deploying since"), second.lock("scaling"):
            pass
    with second.lock("scaling"):
        second.check_lock()
    assert eventually(lambda: first.holder() is None)


def test_lock_is_taken_away(opened: Open) -> None:
    """After `unlock` another process gets the lock, and the first one notices."""
    first, second = opened().state, opened().state
    with first.lock("deploying"):
        second.unlock()
        with second.lock("scaling"):
            with pytest.raises(EngineError, match="was lost"):
                first.check_lock()
            second.check_lock()
    assert second.holder() is None or eventually(lambda: second.holder() is None)


def test_name_is_claimed_once(opened: Open) -> None:
    """Of several that claim it at the same time one gets it; it stays claimed until it is forgotten."""
    opened().state.write({"stack/a": b"1"})
    states = [opened().state for _ in range(4)]
    with ThreadPoolExecutor(len(states)) as pool:
        assert [False, False, False, True] == sorted(pool.map(lambda state: state.claim("nightly-1"), states))
    assert states[0].claim("nightly-2")
    assert {"nightly-1", "nightly-2"} == opened().state.claims()

    opened().state.forget_claims(["nightly-1", "unknown"])
    assert {"nightly-2"} == opened().state.claims()
    assert opened().state.claim("nightly-1")
    assert {"stack/a"} == {f"stack/{name}" for name in opened().state.read("stack")}
    opened().state.remove("stack")
    assert {"nightly-1", "nightly-2"} == opened().state.claims()
    opened().state.remove()
    assert frozenset() == opened().state.claims()


def test_claim_is_no_part_of_the_stack(opened: Open) -> None:
    """No replica, run or orphan; and files that another process has written are read after it."""
    engine = opened()
    engine.state.write({"ledger/a": b"a"})
    assert {"a": b"a"} == engine.state.read("ledger")
    opened().state.write({"ledger/b": b"b"})
    assert engine.state.claim("nightly-1")
    assert {"a": b"a", "b": b"b"} == engine.state.read("ledger")
    assert ((), ()) == (engine.observe().replicas, engine.runs.records())
    assert not opened().state.claim("nightly-1")


HOLDER = """
import sys, time
from pathlib import Path
from twelfth.engines import choice
from twelfth.model.stack import Stack
with choice.choose(sys.argv[1], Stack(sys.argv[2], Path(sys.argv[3]), ())).state.lock("deploying"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_lock_ends_with_its_process(opened: Open, tmp_path: Path) -> None:
    """After kill -9 of its holder, the lock is free."""
    engine = opened()
    if isinstance(engine, Memory):
        pytest.skip("an engine in memory has one process")
    arguments = [sys.executable, "-c", HOLDER, engine.name, engine.stack.project, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ.copy()) as process:
        assert process.stdout
        assert process.stdout.readline() == b"locked\n"
        assert engine.state.holder() is not None
        process.send_signal(signal.SIGKILL)
    began = time.monotonic()
    assert eventually(lambda: engine.state.holder() is None)
    with engine.state.lock("scaling"):
        assert time.monotonic() - began < 30


def test_state_is_removed_after_a_copy_that_was_killed(opened: Open) -> None:
    """The container of the copy mounts the volume; the next copy replaces it, too."""
    state, engine = opened().state, opened()
    if not isinstance(state, StateVolume):
        pytest.skip("its state has no container")
    state.write({"stack/a": b"1", "stack/b": b"2"})
    settings = {"Mounts": [{"Type": "volume", "Source": state.name, "Target": "/state"}]}
    body = {"Image": state_image.IMAGE, "Cmd": [state_image.WAIT], "HostConfig": settings}
    for is_copied in (True, False):
        state.api.create_container_from_config(body, f"twelfth-copy-{engine.stack.project}")
        if is_copied:
            state.copy({"stack/a": "stack/b"})
            assert opened().state.read("stack") == {"a": b"1", "b": b"1"}
    state.remove()
    assert opened().state.read("stack") == {}


def test_container_that_another_process_has_just_created_is_read(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was missing at the first look, so that nothing is known of the files yet."""
    engine = opened()
    if not isinstance(engine, Docker):
        pytest.skip("its state has no container")
    engine.state.write({"stack/a": b"1"})
    engine.api.remove_container(f"twelfth-state-{engine.stack.project}")
    create = StateVolume._create_pruned_container  # noqa: SLF001 - the moment between two looks

    def created_by_another(volume: StateVolume) -> None:
        create(StateVolume(engine.api, engine.stack.project))
        create(volume)

    monkeypatch.setattr(StateVolume, "_create_pruned_container", created_by_another)
    assert opened().state.read("stack") == {"a": b"1"}


def test_container_that_another_process_is_creating_is_waited_for(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon takes its name first, so that a second one is refused before the first one exists."""
    engine = opened()
    if not isinstance(engine, Docker):
        pytest.skip("its state has no container")
    engine.state.write({"stack/a": b"1"})
    engine.api.remove_container(f"twelfth-state-{engine.stack.project}")
    reader = cast("Docker", opened())

    def refuse(*_: object) -> None:
        threading.Timer(0.3, engine.state.write, [{"stack/b": b"2"}]).start()
        response = Response()
        response.status_code = CONFLICT
        raise APIError("in use", response)

    monkeypatch.setattr(reader.api, "create_container_from_config", refuse)
    assert reader.state.read("stack")["a"] == b"1"


def test_pruned_container_is_created_again(opened: Open) -> None:
    """`docker container prune` removes the container of the state, whose files stay."""
    state, engine = opened().state, opened()
    if not isinstance(engine, Docker):
        pytest.skip("its state has no container")
    state.write({"stack/a": b"1"})
    engine.api.remove_container(f"twelfth-state-{engine.stack.project}")
    assert opened().state.read("stack") == {"a": b"1"}
    opened().state.write({"stack/b": b"2"})
    engine.api.remove_container(f"twelfth-state-{engine.stack.project}")
    assert opened().state.add("stack", {"c": b"3"})
    assert opened().state.read("stack") == {"a": b"1", "b": b"2", "c": b"3"}
