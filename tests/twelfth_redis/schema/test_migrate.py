"""`python -m admin.migrate` on a real server: usually as forked processes, as real ones if it matters."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from service.app import ready
from service.counter import SINCE, Counter
from service.schema import MIGRATIONS
from tests.faults import DurableRedis, Job, Started, dataset, ran
from tests.real_redis import eventually
from tests.twelfth_redis import stores
from twelfth_redis import progress
from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import HISTORY, MARK, UNFINISHED
from twelfth_redis.keys import LOCK as KEY
from twelfth_redis.lock import Owner, hold_lock
from twelfth_redis.progress import Progress
from twelfth_redis.schema import apply, atomic_script, history, plan
from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration, Way
from twelfth_redis.schema.revisions import required

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.client import Pipeline

    from tests.faults import Outcome

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "admin" / "migrations").glob("[0-9]*.py"))
FIRST, SECOND = (
    "0001: Adopt the counter that may exist already, or begin one at 0",
    "0002: Remember since when it counts",
)
SLOW = '''"""Greet all."""

MATCH = "user:*"

def each(keys, read, write):
    for key, value in zip(keys, read.mget(keys)):
        if not value.startswith(b"hello "):
            write.set(key, b"hello " + value)

def each_down(keys, read, write):
    for key, value in zip(keys, read.mget(keys)):
        write.set(key, value.removeprefix(b"hello "))
'''


@pytest.fixture
def server(durable: DurableRedis) -> DurableRedis:
    """Yield an empty Redis."""
    durable.client.flushall()
    return durable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Yield a folder of the shipped migrations, to which a test can add more."""
    for path in SHIPPED:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def migrate(server: DurableRedis, *arguments: str, folder: Path | None = None, **run: str) -> Outcome:
    """Run it."""
    return ran(server, "migrate", *arguments, folder=folder, **run)


def says(outcome: Outcome) -> tuple[int | None, list[str], str]:
    """Return its exit code, the lines of its output, and its errors."""
    return outcome.code, outcome.out.splitlines(), outcome.err


def digest(server: DurableRedis) -> object:
    """Return a digest of the data."""
    return server.client.execute_command("DEBUG", "DIGEST")  # type: ignore[no-untyped-call]


def applied(server: DurableRedis) -> list[str]:
    """Return the revisions that are recorded, in order."""
    return sorted(records(server))


def records(server: DurableRedis) -> dict[str, dict[str, Any]]:
    """Return the recorded values."""
    with Redis(port=server.port, decode_responses=True) as client:
        return {str(revision): json.loads(record) for revision, record in client.hgetall(HISTORY).items()}


def users(server: DurableRedis, count: int) -> None:
    """Fill the database."""
    server.client.mset({f"user:{number}": f"name {number}" for number in range(count)})


def greeted(server: DurableRedis) -> int:
    """Return the number of users that were changed."""
    found = server.client.mget(list(server.client.scan_iter("user:*", count=1000)))
    return sum(str(value).startswith("b'hello name") for value in found)


def test_all_is_applied_and_recorded(server: DurableRedis) -> None:
    """With run and operator; a second time there is nothing to do."""
    first = migrate(server, release="r1", run="a1", operator="ann")

    assert (0, [f"applied {FIRST}", f"applied {SECOND}"], "") == says(first)
    assert (0, ["nothing to do: the data is at revision 0002"], "") == says(migrate(server))
    found = records(server)["0002"]
    assert ("r1", "a1", "ann", False, False) == tuple(
        found[name] for name in ("release", "run", "operator", "baseline", "down")
    )
    assert 0 == server.client.exists(KEY, UNFINISHED)


def test_what_is_written_is_read(server: DurableRedis) -> None:
    """A record, and an unfinished migration."""
    done, begun = Applied("0001", "First", "sum1", operator="ann"), Applied("0002", "Second", "sum2")
    with server.client.pipeline() as pipe:
        atomic_script.queue(pipe, done)
        history.start(pipe, begun)
        pipe.execute()

    assert History({"0001": done}, begun) == history.read(server.client)
    assert "ann" == records(server)["0001"]["operator"]


def test_there_and_back(server: DurableRedis) -> None:
    """To a named revision, in either direction."""
    migrate(server)

    found = "migrate: a worker of this release is not ready without {}. Try: invoke migrate\n"
    assert (0, [f"reverted {SECOND}"], found.format("0002")) == says(migrate(server, "--to", "1"))
    assert (["0001"], 0) == (applied(server), server.client.exists(SINCE))
    assert (0, [f"reverted {FIRST}"], found.format("0001, 0002")) == says(migrate(server, "--to", "0"))
    assert (0, ["nothing to do: the data is at revision 0000"]) == says(migrate(server, "--to", "0"))[:2]
    assert b"0" == server.client.get("hits")


def test_where_there_is_no_way_back_nothing_is_done(server: DurableRedis, folder: Path) -> None:
    """Not even the part that can be reverted."""
    (folder / "0003_last.py").write_text('"""Last."""\n\ndef up(read, write):\n    pass\n')
    migrate(server, folder=folder)
    before = digest(server)

    assert (1, [], "migrate: cannot revert 0003 (Last): it defines no down. Try: restore a backup\n") == says(
        migrate(server, "--to", "1", folder=folder)
    )
    assert before == digest(server)


@pytest.mark.parametrize(
    "words",
    [
        ("--to", "7"),
        ("--to", "x"),
        ("--baseline", "7"),
        ("--json",),
        ("--throttle", "-1"),
        ("--throttle", "0"),
        ("--wait", "x"),
        ("--abandon", "x"),
        ("--abandon", "0002", "--to", "1"),
        ("--abandon", "0002", "--take-over"),
        ("--abandon", "0002", "--status"),
    ],
)
def test_misuse_is_told(server: DurableRedis, words: tuple[str, ...]) -> None:
    """Exit 2, and nothing changes."""
    ended = subprocess.run(
        [sys.executable, "-m", "admin.migrate", *words],
        cwd=ROOT,
        env=os.environ | server.environment,
        capture_output=True,
        check=False,
    )

    assert (2, b"", 0) == (ended.returncode, ended.stdout, server.client.dbsize())
    assert b"Traceback" not in ended.stderr


def test_a_baseline_is_recorded_and_nothing_else(server: DurableRedis) -> None:
    """It shows as marked."""
    foretold = migrate(server, "--dry", "--baseline", "1")
    outcome = migrate(server, "--baseline", "1")

    assert (0, [f"would mark {FIRST.replace(':', ' as applied:')}"], "") == says(foretold)
    assert (0, [f"marked {FIRST.replace(':', ' as applied:')}"], "") == says(outcome)
    assert [HISTORY.encode()] == server.client.keys()
    assert "marked" == json.loads(migrate(server, "--status", "--json").out)["migrations"][0]["state"]
    assert ["nothing to mark: the data is at revision 0001"] == says(migrate(server, "--baseline", "1"))[1]


@pytest.mark.parametrize("words", [("--dry",), ("--status",), ("--status", "--json"), ("--dry", "--to", "0")])
def test_showing_changes_nothing(server: DurableRedis, words: tuple[str, ...]) -> None:
    """On empty data, or with an unfinished migration; and it needs no lock."""
    server.client.set("hits", 41)
    migrate(server, "--to", "1")
    server.client.set(KEY, "another")
    before = digest(server)

    assert 0 == migrate(server, *words).code
    assert before == digest(server)


def test_a_dry_run_counts(server: DurableRedis, folder: Path) -> None:
    """The present keys."""
    (folder / "0003_greet.py").write_text(SLOW)
    users(server, 1234)

    assert says(migrate(server, "--dry", folder=folder)) == (
        0,
        [f"would apply {FIRST} (1 key)", f"would apply {SECOND} (1 key)", "would apply 0003: Greet all (1,234 keys)"],
        "",
    )
    migrate(server)
    assert ["nothing is pending"] == says(migrate(server, "--dry"))[1]


def test_the_state_is_told_as_a_table_and_as_json(server: DurableRedis) -> None:
    """Problems are on standard error, exit 0."""
    migrate(server, "--to", "1", release="r1", run="a1", operator="ann")
    lines = migrate(server, "--status").out.splitlines()
    found = json.loads(migrate(server, "--status", "--json").out)

    assert ["REVISION", "0001", "0002"] == [line.split()[0] for line in lines]
    assert ["STATE", "applied", "pending"] == [line.split()[1] for line in lines]
    assert ("0001", []) == (found["revision"], found["problems"])
    assert [("0001", "applied", "ann"), ("0002", "pending", "")] == [
        (each["revision"], each["state"], each["operator"]) for each in found["migrations"]
    ]


@pytest.mark.parametrize("before", [b"\n", b"\r\n"])
def test_checkout_with_other_line_endings_is_the_same_release(
    server: DurableRedis, folder: Path, before: bytes
) -> None:
    """Of data that was migrated from either, also by a version that recorded the checksum of the bytes."""
    after = b"\n" if before == b"\r\n" else b"\r\n"
    assert 0 == migrate(server, folder=folder, release="r1").code
    for path in folder.glob("0*.py"):
        content = path.read_bytes().replace(b"\n", before)
        record(server, path.name[:4], checksum=hashlib.sha256(content).hexdigest())
        path.write_bytes(path.read_bytes().replace(b"\n", after))

    assert (0, ["nothing to do: the data is at revision 0002"], "") == says(migrate(server, folder=folder))


def record(server: DurableRedis, revision: str, **changed: object) -> None:
    """Record a revision like the first one, with these changes."""
    first = json.loads(server.client.hget(HISTORY, "0001") or b"")
    server.client.hset(HISTORY, revision, json.dumps(first | {"revision": revision} | changed))


def edited(server: DurableRedis) -> None:
    """Make the file of 0001 another than the applied one."""
    record(server, "0001", checksum="x")


def skipped(server: DurableRedis) -> None:
    """Apply 0002 only."""
    record(server, "0002", checksum=records(server)["0002"]["checksum"])
    server.client.hdel(HISTORY, "0001")


def garbled(server: DurableRedis) -> None:
    """Make a record invalid."""
    server.client.hset(HISTORY, "0001", "x")


def ahead(server: DurableRedis) -> None:
    """Record an additive migration of a newer release."""
    record(server, "0003", title="More", release="r9")


def contracted(server: DurableRedis) -> None:
    """Record a migration of a newer release that removed something."""
    record(server, "0003", title="Less", release="r9", contract=True)


def unfinished(server: DurableRedis) -> None:
    """Record an unfinished migration of another release."""
    left = records(server)["0002"] | {"release": "r9", "run": "z9"}
    server.client.set(UNFINISHED, json.dumps(left))


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (edited, (), "0001 was edited after it was applied"),
        (skipped, (), "0001 was not applied, but 0002 was. Try: invoke migrate --to 0000"),
        (garbled, (), "the record of migrations in the keys twelfth:migrations and twelfth:migrating is invalid"),
        (ahead, (), "the data is ahead: 0003 (More) was applied by release r9 and is missing from this one"),
        (contracted, ("--allow-newer",), "the data is ahead: 0003 (Less) removed data that this release needs"),
        (
            unfinished,
            (),
            "0002 (Remember since when it counts) was left unfinished by release r9, run z9. Try: invoke migrate",
        ),
    ],
)
def test_what_it_must_not_go_on_from_is_refused(
    server: DurableRedis, spoil: Callable[[DurableRedis], None], words: tuple[str, ...], said: str
) -> None:
    """By name, in one line, with nothing changed; a dry run and a baseline are refused as well."""
    migrate(server, release="r1")
    spoil(server)
    before = digest(server)
    outcomes = [migrate(server, *words, *more, release="r1") for more in ((), ("--dry",), ("--baseline", "2"))]

    assert [(1, "", True)] * 3 == [(each.code, each.out, said in each.err) for each in outcomes]
    assert [1] * 3 == [each.err.count("\n") for each in outcomes]
    assert before == digest(server)


def test_data_that_only_grew_is_accepted_where_asked_for(server: DurableRedis) -> None:
    """A rollback needs no migration."""
    migrate(server, release="r1")
    ahead(server)

    assert ["nothing to do: the data is at revision 0003"] == says(migrate(server, "--allow-newer", release="r1"))[1]


@pytest.mark.parametrize(("release", "words"), [("r9", ()), ("r1", ("--take-over",)), ("", ())])
def test_what_was_left_unfinished_is_finished(server: DurableRedis, release: str, words: tuple[str, ...]) -> None:
    """By the release that started it, with --take-over, and if the release is unknown."""
    migrate(server, release="r1")
    unfinished(server)

    assert (0, [f"applied {SECOND}"], "") == says(migrate(server, *words, release=release))
    assert (["0001", "0002"], 0) == (applied(server), server.client.exists(UNFINISHED))


@pytest.mark.parametrize(("there", "then"), [("41", b"41"), ("-3", b"-3"), (None, b"0")])
def test_a_counter_is_adopted_or_begun(server: DurableRedis, there: str | None, then: bytes) -> None:
    """The present counter stays."""
    if there:
        server.client.set("hits", there)

    assert (0, then) == (migrate(server).code, server.client.get("hits"))


@pytest.mark.parametrize(
    ("there", "said"), [("a lot", "b'a lot'"), ("007", "b'007'"), ("9" * 50, "b'" + "9" * 40 + "'"), ([1], "a list")]
)
def test_what_is_no_counter_is_refused_and_left_alone(server: DurableRedis, there: str | list[int], said: str) -> None:
    """With what it is, and what to type."""
    if isinstance(there, str):
        server.client.set("hits", there)
    else:
        server.client.rpush("hits", *there)
    before = digest(server)

    assert says(migrate(server)) == (
        1,
        [],
        f"migrate: the key hits holds {said}, which is no integer, and is left alone; try: invoke reset\n",
    )
    assert before == digest(server)


def test_since_when_it_counts_is_said_once(server: DurableRedis) -> None:
    """The time of a reset stays."""
    server.client.set(SINCE, "2020-01-01T00:00:00+00:00")

    assert (0, b"2020-01-01T00:00:00+00:00") == (migrate(server).code, server.client.get(SINCE))


def test_a_reset_says_since_when_in_the_same_transaction(server: DurableRedis) -> None:
    """No client ever sees one without the other."""
    with server.client.monitor() as watching:  # type: ignore[no-untyped-call]
        ran(server, "reset")
        commands = list(iter(lambda: watching.next_command()["command"], "EXEC"))

    queued = commands[commands.index("MULTI") + 1 :]
    assert ["hits", SINCE] == [command.split()[1] for command in queued if command.startswith("SET ")]


def test_the_service_is_ready_when_all_is_applied(server: DurableRedis) -> None:
    """Not before, and also after further ones."""
    counter = Counter(server.client)
    before = ready(counter, required(MIGRATIONS))
    migrate(server)
    after = ready(counter, required(MIGRATIONS))
    ahead(server)

    assert (503, ["0001", "0002"]) == (before.status, before.value["pending"])
    assert [(200, []), (200, [])] == [
        (each.status, each.value["pending"]) for each in (after, ready(counter, required(MIGRATIONS)))
    ]


HALF_REFUSED = """def up(read, write):
    write.incr("visits")
    write.lpush("hits", 1)
"""
REFUSED_AT_ONCE = "def up(read, write):\n    write.lpush('hits', 1)\n    write.incr('visits')\n"
FAULTY = {
    HALF_REFUSED: "(Redis refused LPUSH hits: WRONGTYPE",
    "def up(read, write):\n    write.incr('visits')\n    read.lpop('hits')\n": "wrong kind of value, line 3 of 0003_",
    "def up(read, write):\n    import json\n    json.loads('x')\n": "line 3 of 0003_faulty.py). Try: fix it",
    "def up(read, write):\n    1 / 0\n": "(ZeroDivisionError: division by zero, line 2 of 0003_faulty.py). Try: fix it",
    "MATCH = '*'\ndef each(keys, read, write):\n    raise KeyError(2)\n": "(KeyError: 2, line 3 of 0003_faulty.py)",
}


@pytest.mark.parametrize("text", FAULTY)
def test_a_mistake_in_a_migration_is_one_line(server: DurableRedis, folder: Path, text: str) -> None:
    """With the file and the line where there is one; it is not recorded as applied, and done when mended."""
    (folder / "0003_faulty.py").write_text(text)
    outcome = migrate(server, folder=folder)

    assert (1, True, 1) == (outcome.code, FAULTY[text] in outcome.err, outcome.err.count("\n"))
    assert outcome.err.startswith("migrate: could not apply 0003: faulty (")
    assert ["0001", "0002"] == applied(server)

    (folder / "0003_faulty.py").write_text("def up(read, write):\n    write.set('visits', 1)\n")
    assert (0, ["applied 0003: faulty"], "") == says(migrate(server, folder=folder))
    assert ["0001", "0002", "0003"] == applied(server)


def test_what_redis_did_in_part_is_unfinished(server: DurableRedis, folder: Path) -> None:
    """It rolls nothing back; the state and the next attempt report that."""
    (folder / "0003_faulty.py").write_text(HALF_REFUSED)
    migrate(server, folder=folder, release="r1", run="a1")
    found = json.loads(migrate(server, "--status", "--json", folder=folder, release="r2").out)

    assert ["applied", "applied", "unfinished"] == [each["state"] for each in found["migrations"]]
    assert "0003 (faulty) was left unfinished by release r1, run a1" in found["problems"][0]
    assert b"1" == server.client.get("visits")

    (folder / "0003_faulty.py").write_text(REFUSED_AT_ONCE)
    migrate(server, folder=folder, release="r1", run="a2")
    found = json.loads(migrate(server, "--status", "--json", folder=folder, release="r1").out)
    assert "unfinished" == found["migrations"][-1]["state"], "what came before is done all the same"


PARTLY = """def up(read, write):
    write.set("a", 1)
    write.set("b", 1)
    write.lpush("hits", 1)
    write.set("c", 1)
"""


def unfinished_of(server: DurableRedis) -> dict[str, Any]:
    """Return the record of the unfinished migration."""
    found: dict[str, Any] = json.loads(server.client.get(UNFINISHED) or b"{}")
    return found


def test_message_says_how_many_commands_were_applied_and_which(server: DurableRedis, folder: Path) -> None:
    """Those before the one that was refused, none after it; the record has the same, and counts further attempts."""
    (folder / "0003_faulty.py").write_text(PARTLY)
    first = migrate(server, folder=folder, release="r2", run="a1")
    after = unfinished_of(server)
    again = migrate(server, "--take-over", folder=folder, release="r2", run="a2")

    assert first.err == (
        "migrate: could not apply 0003: faulty (Redis refused LPUSH hits: WRONGTYPE Operation against a key holding "
        "the wrong kind of value, command 3 of 4); 2 commands were applied and stay: SET a, SET b. "
        "Try: invoke migrate --abandon 0003 --release r2\n"
    )
    assert (2, ["SET a", "SET b"]) == (after["done"], after["commands"])
    assert "4 commands were applied and stay: SET a, SET b, SET a, SET b. Try: " in again.err
    assert 0 == server.client.exists("c")


@pytest.mark.parametrize("release", ["r2", ""])
def test_commands_that_were_applied_are_not_applied_again_unasked(
    server: DurableRedis, folder: Path, release: str
) -> None:
    """A second `up` of the same release would count twice; an edited file may run, and so may --take-over."""
    faulty = folder / "0003_faulty.py"
    faulty.write_text('def up(read, write):\n    write.incrby("sum", 100)\n    write.lpush("hits", 1)\n')
    migrate(server, folder=folder, release=release)
    again = migrate(server, folder=folder, release=release)

    assert (1, b"100") == (again.code, server.client.get("sum"))
    assert "1 command was applied and stays: INCRBY sum. Try: invoke migrate --abandon 0003" in again.err
    assert again.err.endswith(f", or to apply them again: invoke migrate{release and ' --release r2'} --take-over\n")
    migrate(server, "--take-over", folder=folder, release=release)
    assert b"200" == server.client.get("sum")
    faulty.write_text('"""faulty"""\n\n\ndef up(read, write):\n    write.incrby("sum", 1)\n')
    assert 0 == migrate(server, folder=folder, release=release).code
    assert b"201" == server.client.get("sum")


def test_many_commands_are_counted_and_the_first_are_named(server: DurableRedis, folder: Path) -> None:
    """A key may be no text at all, and a value is not shown: it may be a secret."""
    (folder / "0003_faulty.py").write_text(
        "def up(read, write):\n    for n in range(30):\n        write.set(b'\\xff%d' % n, 'secret')\n"
        "    write.lpush(b'\\xff0', 1)\n"
    )
    done = migrate(server, folder=folder)
    shown = migrate(server, "--status", folder=folder)

    assert ", command 31 of 31); 30 commands were applied and stay: SET \\xff0, SET \\xff1, " in done.err
    assert "SET \\xff19 and 10 more. Try: " in done.err
    assert "secret" not in done.err
    assert (0, True) == (shown.code, "30 commands were applied" in shown.err)


THIRD_FAILS = """MATCH = "user:*"
SEEN = []

def each(keys, read, write):
    SEEN.append(keys)
    if len(SEEN) == 3:
        raise ValueError("the third batch")
    for key in keys:
        write.append(key, "!")
"""
APPENDING = THIRD_FAILS.replace("raise ValueError(", "(")


def test_batches_that_failed_are_unfinished_with_why_and_how_many(
    server: DurableRedis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys that were done before; the hint clears it, and a corrected file goes over all of them again."""
    monkeypatch.setattr(progress, "BATCH", 1)
    (folder / "0003_faulty.py").write_text(THIRD_FAILS)
    users(server, 200)
    done = migrate(server, folder=folder, release="r2")
    found = unfinished_of(server)

    assert "the third batch, line 7 of 0003_faulty.py)" in done.err
    assert done.err.endswith(" Try: invoke migrate --abandon 0003 --release r2\n")
    assert "ValueError: the third batch" in found["why"]
    assert f"{found['keys']} keys were processed and not restored" in done.err
    assert 0 == migrate(server, "--abandon", "3", folder=folder, release="r1").code

    (folder / "0003_faulty.py").write_text(APPENDING)
    assert "applied 0003: faulty (200 keys)" in migrate(server, folder=folder, release="r3").out
    assert {} == unfinished_of(server)


def test_batch_of_which_redis_refused_a_command_says_which_were_applied(server: DurableRedis, folder: Path) -> None:
    """EXEC applies all the others; a value is not shown. What is abandoned is said again."""
    (folder / "0003_faulty.py").write_text(APPENDING)
    users(server, 3)
    server.client.delete("user:1")
    server.client.lpush("user:1", 1)
    done = migrate(server, folder=folder, release="r2")
    found = unfinished_of(server)
    dry = migrate(server, "--abandon", "3", "--dry", folder=folder, release="r2")

    assert "(Redis refused APPEND user:1: WRONGTYPE Operation against a key holding the wrong kind of " in done.err
    assert (2, {"APPEND user:0", "APPEND user:2"}) == (found["done"], {*found["commands"]})
    effect = f"2 commands were applied and stay: {', '.join(found['commands'])}"
    assert done.err.endswith(f"; {effect}. Try: invoke migrate --abandon 0003 --release r2\n")
    assert f"would abandon 0003 (faulty): {effect}\n" == dry.out
    assert b"name 2!" == server.client.get("user:2")


SCRIPTED = """MATCH = "hits"

def each(keys, read, write):
    write.eval("redis.call('SET', 'a', 1); redis.call('LPUSH', 'a', 1)", 0)
"""


def test_script_that_redis_refused_in_a_batch_may_have_done_a_part(server: DurableRedis, folder: Path) -> None:
    """Redis does not say which of its commands."""
    (folder / "0003_faulty.py").write_text(SCRIPTED)
    done = migrate(server, folder=folder, release="r2")

    assert "; the earlier changes of the script stay). Try: invoke migrate --abandon 0003 --release r2\n" in done.err
    assert (b"1", "0003") == (server.client.get("a"), unfinished_of(server)["revision"])


@pytest.mark.parametrize("mistake", ["raise ValueError('none')", "write.lpush(keys[0], 1)"])
def test_batches_of_which_the_first_failed_leave_nothing(server: DurableRedis, folder: Path, mistake: str) -> None:
    """Nothing was applied, so nothing is to be abandoned; a corrected file is another release's, and applied."""
    (folder / "0003_faulty.py").write_text(f"MATCH = 'user:*'\n\ndef each(keys, read, write):\n    {mistake}\n")
    users(server, 1)
    done = migrate(server, folder=folder, release="r2")
    left = unfinished_of(server)
    (folder / "0003_faulty.py").write_text(APPENDING)

    assert (1, {}) == (done.code, left)
    assert done.err.endswith("). Try: fix it, then invoke up\n")
    assert "applied 0003: faulty (1 keys)" in migrate(server, folder=folder, release="r3").out


@pytest.mark.parametrize(("release", "words"), [("r3", ()), ("r3", ("--take-over",)), ("", ()), ("r2", ())])
def test_another_migration_of_that_number_does_not_finish_what_is_unfinished(
    server: DurableRedis, folder: Path, release: str, words: tuple[str, ...]
) -> None:
    """Whatever release runs it, with whatever options; nothing is changed."""
    (folder / "0003_faulty.py").write_text(PARTLY)
    migrate(server, folder=folder, release="r2", run="a1")
    before = digest(server)
    (folder / "0003_faulty.py").unlink()
    (folder / "0003_other.py").write_text('"""Another."""\n\ndef up(read, write):\n    write.set("d", 1)\n')
    done = migrate(server, *words, folder=folder, release=release)

    assert (1, before) == (done.code, digest(server))
    assert "0003 of this release is another migration: 'Another'. Try: invoke migrate --abandon 0003" in done.err


def test_release_without_what_is_unfinished_migrates(server: DurableRedis, folder: Path) -> None:
    """As `up` does, with a warning; by hand it is refused, with a command that works."""
    (folder / "0003_faulty.py").write_text(PARTLY)
    migrate(server, folder=folder, release="r2", run="a1")
    (folder / "0003_faulty.py").unlink()
    of_up = migrate(server, "--allow-newer", folder=folder, release="r3")
    by_hand = migrate(server, folder=folder, release="r3")
    before = digest(server)
    back = migrate(server, "--allow-newer", "--to", "1", folder=folder, release="r3")

    assert (0, ["nothing to do: the data is at revision 0002"]) == says(of_up)[:2]
    assert "0003 (faulty) was left unfinished by release r2, run a1, and is missing from this one: Redis" in of_up.err
    assert of_up.err.endswith("This release does not need it. Try: invoke migrate --abandon 0003 --release r3\n")
    assert 1 == by_hand.code
    assert by_hand.err.endswith(" Try: invoke migrate --abandon 0003 --release r3\n")
    assert (1, True, before) == (back.code, "cannot revert 0002" in back.err, digest(server))
    assert ready(Counter(server.client), required(folder)).status == 200


@pytest.mark.parametrize("has_file", [True, False])
def test_abandoned_one_is_pending_again(server: DurableRedis, folder: Path, *, has_file: bool) -> None:
    """Only its record is cleared; then the corrected file is applied from its first command."""
    (folder / "0003_faulty.py").write_text(PARTLY)
    migrate(server, folder=folder, release="r2")
    if not has_file:
        (folder / "0003_faulty.py").unlink()
    dry, before = migrate(server, "--abandon", "0003", "--dry", folder=folder), unfinished_of(server)
    done = migrate(server, "--abandon", "0003", folder=folder)

    facts = "abandon{} 0003 (faulty): 2 commands were applied and stay: SET a, SET b"
    assert [(0, ["would " + facts.format("")], ""), (0, [facts.format("ed")], "")] == [says(dry), says(done)]
    assert ("0003", {}, b"1") == (before["revision"], unfinished_of(server), server.client.get("b"))

    (folder / "0003_faulty.py").write_text(PARTLY.replace("hits", "queue"))
    assert (0, ["applied 0003: faulty"], "") == says(migrate(server, folder=folder, release="r3"))


def test_abandoned_way_back_stays_applied(server: DurableRedis, folder: Path) -> None:
    """It was applied once, and half of it still is."""
    (folder / "0003_faulty.py").write_text("def up(read, write):\n    pass\n" + PARTLY.replace("def up", "def down"))
    migrate(server, folder=folder)
    refused = migrate(server, "--to", "2", folder=folder)
    done = migrate(server, "--abandon", "0003", folder=folder)

    assert "could not revert 0003: faulty (Redis refused LPUSH hits: " in refused.err
    assert done.out == (
        "abandoned 0003 (faulty): 2 commands were applied and stay: SET a, SET b; it stays recorded as applied\n"
    )
    assert (["0001", "0002", "0003"], {}) == (applied(server), unfinished_of(server))


def test_nothing_is_abandoned_while_another_holds_the_lock(server: DurableRedis, folder: Path) -> None:
    """The holder is named."""
    (folder / "0003_faulty.py").write_text(PARTLY)
    migrate(server, folder=folder)
    with hold_lock(server.client, Owner("migrate", "a1b2", "r9", "ann")):
        done = migrate(server, "--abandon", "0003", folder=folder)

    assert (1, True) == (done.code, "the data is locked by migrate of run a1b2 by ann" in done.err)
    assert "0003" == unfinished_of(server)["revision"]


@pytest.mark.parametrize("revision", ["0002", "0003", "0009"])
def test_what_is_not_unfinished_is_not_abandoned(server: DurableRedis, revision: str) -> None:
    """Neither an applied revision nor an unknown one; nothing changes."""
    migrate(server)
    before = digest(server)
    done = migrate(server, "--abandon", revision)

    assert (1, True, before) == (done.code, f"cannot abandon {revision}" in done.err, digest(server))


def test_backup_with_an_unfinished_one_is_restored_by_any_release(server: DurableRedis, folder: Path) -> None:
    """As the one that is written before it is abandoned; the record comes back with the data."""
    (folder / "0003_faulty.py").write_text(PARTLY)
    migrate(server, folder=folder, release="r2")
    file = stores.saved(server.client)
    migrate(server, "--abandon", "0003", folder=folder)
    stores.restored(file, server.client)

    assert "0003" == unfinished_of(server)["revision"]


def test_record_of_an_earlier_version_is_read(server: DurableRedis) -> None:
    """It lacks the number and the names of applied commands; it can still be abandoned."""
    migrate(server)
    server.client.set(UNFINISHED, json.dumps({"revision": "0003", "title": "Old", "release": "r0", "why": "x"}))

    assert migrate(server, "--abandon", "0003").out == (
        "abandoned 0003 (Old): its changes to the data are not recorded, and stay\n"
    )


def test_what_redis_did_nothing_of_is_pending(server: DurableRedis, folder: Path) -> None:
    """So a release without it continues: there is nothing to finish or to revert."""
    (folder / "0003_faulty.py").write_text(REFUSED_AT_ONCE)
    migrate(server, folder=folder, release="r1", run="a1")
    found = json.loads(migrate(server, "--status", "--json", folder=folder, release="r2").out)
    (folder / "0003_faulty.py").unlink()

    assert (["applied", "applied", "pending"], []) == (
        [each["state"] for each in found["migrations"]],
        found["problems"],
    )
    assert (0, ["nothing to do: the data is at revision 0002"], "") == says(
        migrate(server, folder=folder, release="r2")
    )


def test_a_mistake_is_one_line_in_a_dry_run_too(server: DurableRedis, folder: Path) -> None:
    """A dry run executes the migration to see its commands."""
    (folder / "0003_faulty.py").write_text("def up(read, write):\n    1 / 0\n")

    assert says(migrate(server, "--dry", folder=folder))[2] == (
        "migrate: could not apply 0003: faulty (ZeroDivisionError: division by zero, line 2 of 0003_faulty.py). "
        "Try: fix it, then invoke up\n"
    )


def test_many_keys_are_done_and_taken_back(server: DurableRedis, folder: Path) -> None:
    """All of them, however often it is repeated."""
    (folder / "0003_greet.py").write_text(SLOW)
    users(server, 3000)
    before = dataset(server)

    assert "applied 0003: Greet all (3,000 keys)" == says(migrate(server, folder=folder))[1][-1]
    assert 3000 == greeted(server)
    assert says(migrate(server, "--to", "2", folder=folder)) == (
        0,
        ["reverted 0003: Greet all (3,000 keys)"],
        "migrate: a worker of this release is not ready without 0003. Try: invoke migrate\n",
    )
    assert before["db0"].items() <= dataset(server)["db0"].items()


def test_what_was_killed_in_the_middle_goes_on(server: DurableRedis, folder: Path) -> None:
    """The next run does the rest; until then it is unfinished, and the service is not ready."""
    (folder / "0003_greet.py").write_text(SLOW)
    users(server, 3000)
    process = Started(Job("migrate", ("--throttle", "400"), server.environment, folder, lease=1.0))
    eventually(lambda: greeted(server) > 0)
    process.kill()

    assert process.outcome().code is None
    assert ["0001", "0002"] == applied(server)
    assert 0 < greeted(server) < 3000
    assert (
        "unfinished" == json.loads(migrate(server, "--status", "--json", folder=folder).out)["migrations"][2]["state"]
    )
    assert 0 == migrate(server, "--wait", "10", folder=folder).code
    assert (3000, ["0001", "0002", "0003"]) == (greeted(server), applied(server))


def moving(each: Callable[[list[bytes], Redis, Pipeline], None], match: str = "user:*") -> plan.Move:
    """Return a move over many keys."""
    return plan.Move(Migration("0003", "Test", "sum", Way(batch_step=each, match=match)))


def applying(server: DurableRedis, move: plan.Move) -> int:
    """Make a move here, and return the number of processed keys."""
    with hold_lock(server.client, Owner("migrate")) as lock:
        return apply.apply(lock, move, Applied("0003"), Progress(lambda _: None))


def test_a_batch_that_visitors_disturb_is_halved(server: DurableRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each half is repeated; a batch without changes stays in one piece."""
    monkeypatch.setattr(progress, "BATCH", 1000)
    users(server, 8)
    sizes: list[int] = []

    def each(keys: list[bytes], read: Redis, write: Pipeline) -> None:
        sizes.append(len(keys))
        read.mget(keys)
        write.set("done", 1)
        if len(sizes) < 3:
            server.client.append(keys[0], "!")

    assert 8 == applying(server, moving(each))
    assert [8, 4, 2, 2, 4] == sizes


def test_a_key_that_never_rests_is_given_up(server: DurableRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many attempts, with a line that says why."""
    monkeypatch.setattr(apply, "PATIENCE", 20)
    users(server, 1)

    def each(keys: list[bytes], read: Redis, write: Pipeline) -> None:
        write.set(keys[0], read.get(keys[0]) or b"")
        server.client.append(keys[0], "!")

    with pytest.raises(
        RefusedError, match=r"^could not apply 0003: Test: clients keep changing .* reads\. Try: repeat"
    ):
        applying(server, moving(each))
    assert b"name 0" + b"!" * 20 == server.client.get("user:0")


def test_who_does_not_read_is_not_disturbed(server: DurableRedis) -> None:
    """Only the lock is watched."""
    users(server, 8)
    sizes: list[int] = []

    def each(keys: list[bytes], _read: Redis, write: Pipeline) -> None:
        sizes.append(len(keys))
        server.client.append(keys[0], "!")
        write.expire(keys[0], 1000)

    applying(server, moving(each))

    assert [8] == sizes


def test_keys_of_twelfth_are_not_migrated(server: DurableRedis) -> None:
    """Neither the lock nor the records, even where all keys are asked for."""
    migrate(server)
    server.client.set(MARK, "x")
    seen: list[bytes] = []

    applying(server, moving(lambda keys, _read, _write: seen.extend(keys), "*"))

    assert [b"hits", SINCE.encode()] == sorted(seen)


def test_no_hit_is_lost_while_counters_are_rewritten(server: DurableRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits that are counted between the reads and the writes of a migration are kept."""
    monkeypatch.setattr(progress, "BATCH", 10)
    names = [f"count:{number}" for number in range(100)]
    server.client.mset(dict.fromkeys(names, 0))
    counted: collections.Counter[str] = collections.Counter()
    calls = 0
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            for name in names:
                server.client.incr(name)
                counted[name] += 1

    def each(keys: list[bytes], read: Redis, write: Pipeline) -> None:
        nonlocal calls
        calls += 1
        for key, value in zip(keys, read.mget(keys), strict=True):
            write.set(key, int(value or 0))

    visitor = threading.Thread(target=visit)
    visitor.start()
    keys = 0
    for number in range(1000):
        keys += applying(server, moving(each, "count:*"))
        if number >= 4 and calls > keys / 10:  # they met; a busy machine may take more rounds
            break
    done.set()
    visitor.join()

    assert calls > keys / 10
    assert dict(counted) == {name: int(server.client.get(name) or 0) for name in names}


class Clock:
    """A clock that advances only by waiting, or on command."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.waits.append(round(seconds, 6))
        self.now += seconds


def test_progress_is_told_once_a_second() -> None:
    """However fast batches are processed."""
    clock, said = Clock(), list[str]()
    limited = Progress(said.append, clock=clock, pause=clock.pause)
    for number in range(1, 26):
        clock.now += 0.125
        limited.update(1000 * number)

    assert ["8,000 keys so far", "16,000 keys so far", "24,000 keys so far"] == said
    assert [] == clock.waits


@pytest.mark.parametrize(("most", "batch"), [(None, 1000), (5000, 1000), (100, 100), (0.5, 1)])
def test_a_batch_is_no_more_than_a_seconds_work(most: float | None, batch: int) -> None:
    """Else a slow pace would come in bursts."""

    assert batch == Progress(lambda _: None, most).batch


def test_no_more_keys_a_second_than_allowed() -> None:
    """It waits if it was too fast; time lost by a slow batch is not made up."""
    clock = Clock()
    limited = Progress(lambda _: None, 100, clock, clock.pause)
    limited.update(50)
    clock.now += 2
    limited.update(100)
    limited.update(300)

    assert [0.5, 0.5] == clock.waits


@pytest.mark.parametrize("wait", [0, 20])
def test_of_many_at_once_each_revision_is_applied_by_one(server: DurableRedis, wait: int) -> None:
    """A second process learns who holds the lock; one that waits finds nothing to do."""
    command = [sys.executable, "-m", "admin.migrate", "--wait", str(wait)]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | server.environment | {"TWELFTH_RUN": f"run{number}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    said = [(*process.communicate(timeout=60), process.returncode) for process in started]
    lines = [line for out, _, _ in said for line in out.splitlines() if line.startswith("applied")]

    assert [f"applied {FIRST}", f"applied {SECOND}"] == lines
    assert all(code == 0 and not err for _, err, code in said if wait)
    assert all(code == 0 or err.startswith("migrate: the data is locked by ") for _, err, code in said)
    assert ["0001", "0002"] == applied(server)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def up(read, write):\n    write.execute()\n", "it calls execute()"),
        ("def up(read, write):\n    write.mset({n: n for n in range(4000)})\n", "MSET has more than 7,000 words"),
    ],
)
def test_what_cannot_be_done_at_once_is_refused(server: DurableRedis, folder: Path, text: str, said: str) -> None:
    """Before anything changes."""
    (folder / "0003_faulty.py").write_text(text)
    outcome = migrate(server, folder=folder)

    assert (1, True) == (outcome.code, said in outcome.err)
    assert (["0001", "0002"], 0) == (applied(server), server.client.exists(UNFINISHED))


def test_baseline_below_what_is_applied_marks_nothing(server: DurableRedis, folder: Path) -> None:
    """It reverts nothing, so a missing `down` does not matter."""
    (folder / "0003_last.py").write_text('"""Last."""\n\ndef up(read, write):\n    pass\n')
    migrate(server, folder=folder)

    assert (0, ["nothing to mark: the data is at revision 0003"], "") == says(
        migrate(server, "--baseline", "1", folder=folder)
    )


def test_baseline_is_refused_over_what_is_unfinished(server: DurableRedis, folder: Path) -> None:
    """It is half applied, and it is unknown which half; a dry run reports the same."""
    (folder / "0003_faulty.py").write_text(HALF_REFUSED)
    migrate(server, folder=folder)

    for words in ((), ("--dry",)):
        assert says(migrate(server, *words, "--baseline", "3", folder=folder)) == (
            1,
            [],
            (
                "migrate: 0003 (faulty) was left unfinished by release unknown, run unknown: "
                "Redis refused LPUSH hits: WRONGTYPE Operation against a key holding the wrong kind of value; "
                "1 command was applied and stays: INCRBY visits. "
                "Try: invoke migrate --abandon 0003, or to apply them again: invoke migrate --take-over\n"
            ),
        )
