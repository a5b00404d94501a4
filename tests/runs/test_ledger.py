"""The ledger of a stack: what is written when, how it is completed, and how little is read; on the engine in memory."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.memory_engine import Memory, Process, World
from twelfth.errors import EngineError, MisuseError
from twelfth.model.record import Record, from_json
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.runs import ledger as ledgers
from twelfth.runs.history import Query, find_record, history
from twelfth.runs.ledger import Ledger
from twelfth.runs.manage import stop, write_output
from twelfth.runs.recording import KEPT, remove_old_output
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.runs.start import run_with_report, start_attached, start_detached

if TYPE_CHECKING:
    from twelfth.model.run import RunRequest

WORKER = Service("worker", "app:one", stop_grace=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
UP = Record("00000000", "up", "ann", "memory", START.isoformat(), release="two", release_before="one", state="done")


@pytest.fixture
def engine() -> Memory:
    """Return an engine with one replica that runs can be made from."""
    engine = Memory(Stack("shop", Path(), (WORKER,)), World(images=["app:one"]))
    engine.create_replica(WORKER, 1)
    return engine


@pytest.fixture
def pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run remove old output."""
    monkeypatch.setattr("twelfth.runs.recording.PRUNING", 1)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a new directory after 3 records, which each record checks."""
    monkeypatch.setattr(ledgers, "FULL", 3)
    monkeypatch.setattr(ledgers, "CHECKED", 1)


def request(engine: Memory, *command: str, **settings: object) -> RunRequest:
    """Return a request for a run without input."""
    return new_request(command, choose_source(engine), **{"interactive": False, **settings})


def detached(engine: Memory, *command: str) -> str:
    """Start a run without a client, and return its id."""
    return start_detached(engine, request(engine, *command), print)


def files(engine: Memory) -> list[str]:
    """Return the names of the files in the ledger's first directory."""
    return sorted(engine.state.read("ledger/000001"))


def shown(engine: Memory) -> list[tuple[str, str]]:
    """Return the id and state of each record."""
    return [(record.id, record.state) for record in history(engine, Query())]


def fill(engine: Memory, number: int) -> list[str]:
    """Record changes, one each minute, and return their ids."""
    ids = [f"{order:08x}" for order in range(1, number + 1)]
    for order, name in enumerate(ids):
        started = (START + timedelta(minutes=order)).isoformat()
        state = "failed" if order % 100 == 0 else "done"
        Ledger(engine.state).start(replace(UP, id=name, started=started, state="running"))
        Ledger(engine.state).end([replace(UP, id=name, started=started, state=state)])
    return ids


def test_run_is_recorded_before_it_starts_and_when_it_has_ended(engine: Memory) -> None:
    """Who, where, why and what; the values of overrides are in no file."""
    run = request(engine, "sh", "-c", "exit 3", reason="ticket 7", environment=(("TOKEN", "hush"),))
    start_attached(engine, run, print)

    assert [f"{run.id}.end.json", f"{run.id}.json", "number"] == files(engine)
    (record,) = history(engine, Query())
    assert (run.id, "run", "failed", 3, "ticket 7", ("TOKEN",)) == (
        *(record.id, record.kind, record.state, record.exit_code, record.reason, record.overrides),
    )
    assert (run.operator, run.host, "operator", True) == (
        *(record.operator, record.host, record.trigger, record.has_output),
    )
    assert not any(b"hush" in content for content in engine.world.files.values())


def test_run_that_cannot_be_recorded_does_not_start(engine: Memory) -> None:
    """Such as on a full disk; the error shows the reason."""
    engine.world.failures["write state"] = EngineError("no space left")
    with pytest.raises(EngineError, match=r"^cannot start the run, since it cannot be recorded: no space left"):
        run_with_report(engine, request(engine, "true"), print)

    assert not engine.world.runs


def test_backup_that_cannot_be_recorded_is_made_with_a_warning(engine: Memory) -> None:
    """Data matters more than its record."""
    engine.world.failures["write state"] = EngineError("no space left")
    warnings: list[str] = []

    assert (0, "saved") == run_with_report(
        engine, request(engine, "echo", "saved", must_be_recorded=False), warnings.append
    )
    assert ["this run is not recorded: no space left", "saved"] == warnings


def test_run_that_was_refused_is_recorded_as_not_started(engine: Memory) -> None:
    """With the error."""
    engine.world.failures["run true"] = EngineError("the daemon is gone")
    with pytest.raises(EngineError, match="the daemon is gone"):
        run_with_report(engine, request(engine, "true"), print)

    (record,) = history(engine, Query())
    assert ("not started", "the daemon is gone") == (record.state, record.error)


def test_removed_run_has_the_exit_code_that_its_client_got(engine: Memory) -> None:
    """Its container was removed while it was running, with `docker rm -f`."""
    run = request(engine, "sh", "-c", "echo one; echo two; exit 7")
    assert (7, "two") == run_with_report(engine, run, lambda _: engine.world.runs.clear())

    assert [(run.id, "failed")] == shown(engine)
    assert 7 == find_record(engine, run.id).exit_code


def test_removed_run_whose_exit_code_its_client_did_not_get_is_unknown(engine: Memory) -> None:
    """It was started, so the record does not show `not started`."""

    def lose(_: str) -> None:
        engine.world.runs.clear()
        raise EngineError("the connection broke")

    run = request(engine, "sh", "-c", "echo one; echo two")
    with pytest.raises(EngineError, match="the connection broke"):
        run_with_report(engine, run, lose)

    (record,) = history(engine, Query())
    assert ("unknown", "the connection broke") == (record.state, record.error)


def test_end_of_a_run_without_a_client_is_recorded_by_the_next_reader(engine: Memory) -> None:
    """The record is running until then, and stays when the run's container is gone."""
    run_id = detached(engine, "sh", "-c", "sleep 0.1; exit 4")
    assert [(run_id, "running")] == shown(engine)
    assert eventually(lambda: shown(engine) == [(run_id, "failed")])
    engine.world.runs.clear()

    assert 4 == find_record(engine, run_id[:6]).exit_code


def test_end_that_no_process_saw_is_unknown(engine: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its container was removed before any command read the ledger; a run that may just be starting is `created`."""
    run_id = detached(engine, "sleep", "5")
    engine.world.runs.clear()
    assert [(run_id, "created")] == shown(engine)
    monkeypatch.setattr("twelfth.runs.history.STARTED_WITHIN", timedelta())

    assert [(run_id, "unknown")] == shown(engine)
    assert [f"{run_id}.json", "number"] == files(engine)


def test_fire_may_wait_for_a_day(engine: Memory) -> None:
    """For its turn, or for a deploy; then its scheduler is gone."""
    for number, hours in enumerate((1, 25)):
        started = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        fire = Record(f"0000000{number}", "run", "ann", "memory", started, trigger="schedule", command=("a",))
        Ledger(engine.state).start(replace(fire, state="created"))

    assert [("00000001", "unknown"), ("00000000", "created")] == shown(engine)


def test_run_that_seems_not_started_is_not_recorded_so(engine: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow client may still start it; this client's clock may be wrong."""
    run_id = detached(engine, "sh", "-c", "sleep 0.2; exit 4")
    with monkeypatch.context() as patch:
        patch.setattr("twelfth.runs.history.STARTED_WITHIN", timedelta())
        patch.setattr(Process, "state", "created")
        assert [(run_id, "not started")] == shown(engine)
    assert [f"{run_id}.json", "number"] == files(engine)

    assert [(run_id, "running")] == shown(engine)


@pytest.mark.usefixtures("small_pages")
def test_run_that_was_started_after_all_is_corrected(engine: Memory) -> None:
    """Its container was about to be removed; a later directory has the end."""
    run_id = detached(engine, "sh", "-c", "sleep 0.2; exit 4")
    Ledger(engine.state).end([replace(find_record(engine, run_id), state="not started")])
    fill(engine, 10)
    assert "running" == find_record(engine, run_id).state

    assert eventually(lambda: find_record(engine, run_id).state == "failed")
    engine.world.runs.clear()
    assert "failed" == find_record(engine, run_id).state
    assert (run_id, "failed") in shown(engine)


def test_stopped_run_is_recorded_as_stopped(engine: Memory) -> None:
    """By the command that stops it."""
    run_id = detached(engine, "sleep", "60")
    assert "stopped" == stop(engine, run_id, print).state
    engine.world.runs.clear()

    assert [(run_id, "stopped")] == shown(engine)


def test_run_of_an_older_version_is_shown(engine: Memory) -> None:
    """It has a container, and no entry in the ledger."""
    run = request(engine, "true")
    engine.runs.start(run)

    assert [run.id] == [record.id for record in history(engine, Query())]


@pytest.mark.usefixtures("pruning")
def test_removed_output_leaves_the_record(engine: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of a run that no client saw end is completed before; the output of a failed run stays longer."""
    monkeypatch.setattr("twelfth.runs.recording.KEPT", 2)
    failed = detached(engine, "false")
    first = detached(engine, "echo", "first")
    assert eventually(lambda: all(run.exit_code is not None for run in engine.runs.records()))
    for _ in range(3):
        run_with_report(engine, request(engine, "true"), print)

    assert "done" == find_record(engine, first).state
    assert (False, True) == (find_record(engine, first).has_output, find_record(engine, failed).has_output)
    with pytest.raises(EngineError, match=rf"output of run {first} was removed: .*Try: invoke history {first}"):
        write_output(engine, first, follow=False)


@pytest.mark.usefixtures("pruning")
def test_output_stays_if_the_record_cannot_be_completed(engine: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk a backup is made, and removes no output whose record lacks the outcome."""
    run_id = detached(engine, "sh", "-c", "sleep 0.1; exit 4")
    assert eventually(lambda: all(run.exit_code is not None for run in engine.runs.records()))
    monkeypatch.setattr("twelfth.runs.recording.KEPT", 0)
    engine.world.failures["write state"] = EngineError("no space left")
    run_with_report(engine, request(engine, "true", must_be_recorded=False), print)
    assert run_id in engine.world.runs
    engine.world.failures.clear()

    run_with_report(engine, request(engine, "true"), print)
    assert {} == engine.world.runs
    assert "failed" == find_record(engine, run_id).state


def test_run_that_is_removed_before_its_start_is_recorded_as_not_started(
    engine: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that removes it."""
    run_id = detached(engine, "sh", "-c", "sleep 0.1; exit 4")
    assert eventually(lambda: all(run.exit_code is not None for run in engine.runs.records()))
    monkeypatch.setattr("twelfth.runs.recording.KEPT", 0)
    with monkeypatch.context() as patch:
        patch.setattr(Process, "state", "created")
        remove_old_output(engine)

    assert ({}, [(run_id, "not started")]) == (engine.world.runs, shown(engine))


@pytest.mark.usefixtures("small_pages")
def test_complete_records_are_not_written_again(engine: Memory) -> None:
    """Writing one again could tear it; those of earlier directories are found, too."""
    ids = fill(engine, 30)
    before = dict(engine.world.files)
    Ledger(engine.state).complete([replace(UP, id=ids[1]), replace(UP, id=ids[29]), replace(UP, id="ffffffff")])

    assert ["ffffffff.end.json"] == [path[-17:] for path in engine.world.files.keys() - before]
    assert before == {path: content for path, content in engine.world.files.items() if path in before}


@pytest.mark.usefixtures("pruning")
def test_many_runs_evict_no_record(engine: Memory) -> None:
    """51 harmless ones after the one that matters."""
    run_with_report(engine, request(engine, "echo", "reset"), print)
    for _ in range(KEPT + 1):
        run_with_report(engine, request(engine, "true"), print)

    records = history(engine, Query())
    assert (KEPT + 2, ("echo", "reset"), False) == (len(records), records[0].command, records[0].has_output)


def test_output_of_a_change_is_refused(engine: Memory) -> None:
    """It has none."""
    Ledger(engine.state).end([UP])
    with pytest.raises(MisuseError, match=r"^00000000 is the record of up, not of a run. Try: invoke history 00000000"):
        write_output(engine, UP.id, follow=False)


def test_last_records_of_ten_thousand_need_few_files(engine: Memory) -> None:
    """One directory is read, or two if the last one is almost empty, however many there are."""
    ids = [f"{number:08x}" for number in range(1, 10_001)]
    for page in range(50):
        content: dict[str, bytes] = {"number": str(page + 1).encode()}
        for number in range(page * ledgers.FULL, (page + 1) * ledgers.FULL):
            record = replace(UP, id=ids[number], started=(START + timedelta(minutes=number)).isoformat())
            content |= {f"{record.id}.json": record.to_json(), f"{record.id}.end.json": record.to_json()}
        engine.state.write({f"ledger/{page + 1:06}/{name}": value for name, value in content.items()})
    engine.state.link("ledger/open", "000050")
    engine.world.reads.clear()

    assert ids[-20:] == [record.id for record in history(engine, Query(last=20))]
    assert ["ledger/open"] == engine.world.reads
    assert 2 * ledgers.FULL + 1 == len(engine.state.read("ledger/open"))
    assert 10_000 == len(history(engine, Query()))


@pytest.mark.usefixtures("small_pages")
def test_records_are_found_by_number_time_and_failure(engine: Memory) -> None:
    """Older directories are read only as far as necessary."""
    ids = fill(engine, 30)
    assert len(engine.state.read("ledger/000005")) > 1
    engine.world.reads.clear()

    assert ids[-5:] == [record.id for record in history(engine, Query(last=5))]
    assert len(engine.world.reads) <= 3
    since = START + timedelta(minutes=24)
    assert ids[24:] == [record.id for record in history(engine, Query(since=since))]
    assert ids[-2:] == [record.id for record in history(engine, Query(last=2, since=since))]
    assert ids[:1] == [record.id for record in history(engine, Query(last=20, failed=True))]
    assert ids == [record.id for record in history(engine, Query())]
    assert ids[2] == find_record(engine, ids[2]).id


@pytest.mark.usefixtures("small_pages")
def test_run_that_ends_in_a_later_directory_is_shown_once(engine: Memory) -> None:
    """Its end does not count among the latest records."""
    run_id = detached(engine, "sleep", "60")
    fill(engine, 10)
    stop(engine, run_id, print)

    assert 1 == [record.id for record in history(engine, Query())].count(run_id)
    assert run_id not in [record.id for record in history(engine, Query(last=3))][:2]


@pytest.mark.usefixtures("small_pages")
def test_lost_link_hides_no_records(engine: Memory) -> None:
    """A reader and the next writer find the last directory, in fewer reads than there are directories."""
    ids = fill(engine, 240)
    last = engine.world.links.pop("ledger/open")
    engine.world.reads.clear()

    assert ids[-1:] == [record.id for record in history(engine, Query(last=1))]
    assert len(engine.world.reads) < 20
    Ledger(engine.state).end([replace(UP, id="ffffffff")])
    assert {*ids, "ffffffff"} == {record.id for record in history(engine, Query())}
    assert last == engine.world.links["ledger/open"]


@pytest.mark.parametrize("number", [b"", b"x", None])
@pytest.mark.usefixtures("small_pages")
def test_torn_number_hides_no_records(engine: Memory, number: bytes | None) -> None:
    """The file that contains the number of the last directory is written like any other."""
    ids = fill(engine, 10)
    path = f"{engine.world.links['ledger/open']}/number"
    if number is None:
        del engine.world.files[path]
    else:
        engine.world.files[path] = number

    assert ids == [record.id for record in history(engine, Query())]


def test_torn_record_is_ignored(engine: Memory) -> None:
    """Of a run whose end is torn, the start remains."""
    run_with_report(engine, request(engine, "true"), print)
    (name,) = [path for path in engine.world.files if path.endswith(".end.json")]
    engine.world.files[name] = engine.world.files[name][:40]
    engine.world.files["ledger/000001/0badf00d.json"] = b"\x00"

    assert ["done"] == [state for _, state in shown(engine)]
    assert from_json(engine.world.files[name]) is not None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b'{"id": 1}', b"\xff", b'{"command": 5}'])
def test_invalid_file_is_no_record(content: bytes) -> None:
    """Whatever it contains."""
    assert from_json(content) is None


def test_record_can_be_read_again() -> None:
    """All of its values."""
    record = replace(UP, command=("a", "b"), overrides=("X",), exit_code=1, seconds=0.5, id=secrets.token_hex(4))
    assert record == from_json(record.to_json())
