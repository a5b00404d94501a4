"""What every engine must keep of the data's promises, as an operator meets them: migrate, backup, verify, restore."""

from __future__ import annotations

import gzip
import json
import os
import pty
import secrets
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench import hits
from tests.conftest import eventually, make_project, require
from tests.runs.client import read_until, records
from tests.twelfth_redis.backup.test_format import MANIFEST, packed, plain
from tests.twelfth_redis.stores import entry
from twelfth.cli import views
from twelfth.engines import choice
from twelfth.errors import ServiceError
from twelfth.runs.fire import Fire
from twelfth.stack import load
from twelfth.stack.status import status as stack_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

FAILING = '''"""Fail."""


def up(read, write):
    raise ValueError("not today")
'''
FURTHER = '''"""Go further."""


def up(read, write):
    write.set("further", 1)


def down(read, write):
    write.delete("further")
'''


def visit(project: Project) -> str:
    """Visit the service once, and return its sentence."""
    return hits.sentence(f"http://127.0.0.1:{project.environment['PORT']}")


def status(project: Project) -> dict[str, Any]:
    """Return what `status --json` prints, from this process, in which it takes no half second."""
    declared = load.load_stack(project.directory, project.environment)
    found: dict[str, Any] = json.loads(views.status_json(stack_status(choice.choose(project.engine_name, declared))))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a name for a backup."""
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept" / "a.resp.gz"


@pytest.fixture(scope="module")
def taken(serving: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a backup of the stack, for the tests that do not change it."""
    path = tmp_path_factory.mktemp("taken") / "a.resp.gz"
    assert 0 == serving.invoke("backup", str(path)).returncode
    return path


def test_up_brings_the_data_to_the_revision_of_the_release(serving: Project) -> None:
    """And `status` shows it; a second `up` has nothing to do."""
    printed = json.loads(serving.invoke("status", "--json").stdout)

    assert ("0002", True) == (printed["revision"], printed["since"] != "")
    assert [] == serving.plan()
    assert "nothing to do: the data is at revision 0002\n" == serving.invoke("migrate").stdout


@pytest.mark.thorough
def test_migration_tells_which_run_of_which_release_applied_it(serving: Project) -> None:
    """The run is in the history."""
    migrations = json.loads(serving.invoke("migrate", "--status", "--json").stdout)["migrations"]
    runs = {each["id"]: each for each in records(serving)}

    assert ["applied", "applied"] == [each["state"] for each in migrations]
    by = migrations[0]
    assert (by["release"], by["operator"], "up") == (
        runs[by["run"]]["release"],
        runs[by["run"]]["operator"],
        runs[by["run"]]["reason"],
    )


def test_dry_migration_changes_nothing(serving: Project) -> None:
    """It says what it would do, to how many keys."""
    done = serving.invoke("--dry", "migrate", "--to", "1")

    assert "would revert 0002: Remember since when it counts (1 key)\n" == done.stdout
    assert "0002" == status(serving)["revision"]


@pytest.mark.thorough
def test_worker_is_not_ready_without_its_revisions_and_still_counts(serving: Project) -> None:
    """`status` says what to do, and `up` does it."""
    serving.invoke("migrate", "--to", "0")
    before = status(serving)
    sentence = visit(serving)
    after = serving.invoke("up")

    assert (False, "The data lacks revision 0001, 0002; try: invoke migrate") == (before["ready"], before["why"])
    assert sentence.startswith("Hello World! ")
    assert "the running release is not ready: The data lacks revision 0001, 0002; try: invoke migrate)" in after.stdout
    assert status(serving)["ready"]


@pytest.mark.thorough
def test_wrong_password_is_reported_before_what_serves_is_touched(serving: Project) -> None:
    """A changed REDIS_URL is tried first: `up` fails with the error of Redis, the previous release keeps running."""
    done = serving.invoke("up", REDIS_URL=f"redis://unknown:secret@{redis_of(serving)}/0")

    assert (1, False) == (done.returncode, "secret" in done.stdout + done.stderr)
    assert ": WRONGPASS invalid username-password pair or user is disabled. Try: correct the user" in done.stderr
    assert "is still running" in done.stderr
    assert visit(serving).startswith("Hello World! ")


@pytest.mark.thorough
def test_refusal_of_redis_is_shown_to_the_operator_and_not_to_visitors(serving: Project) -> None:
    """Redis requires a password that the stack does not have: `status` and `up` report it soon; the proxy does not."""
    redis = redis_of(serving)
    in_console(serving, "redis.config_set('requirepass', 'p')", "redis.client_kill_filter(_type='normal', skipme=True)")
    try:
        found, done = status(serving), serving.invoke("up")
        with pytest.raises(ServiceError) as visitor:
            visit(serving)
    finally:
        in_console(serving, "redis.config_set('requirepass', '')", redis_url=f"redis://:p@{redis}/0")

    assert (False, "NOAUTH Authentication required.") == (found["ready"], found["why"])
    assert (1, True) == (done.returncode, ": NOAUTH Authentication required. Try: correct the user" in done.stderr)
    assert "the running release is not ready: NOAUTH Authentication required.)" in done.stdout
    assert "answers 503: Redis is away; try again in a second. Try: invoke logs" in str(visitor.value)
    assert eventually(lambda: bool(status(serving)["ready"]))


CANNOT_COUNT = {
    "OOM command not allowed when used memory > 'maxmemory'": (
        "redis.config_set('maxmemory', '1')",
        "redis.config_set('maxmemory', '0')",
    ),
    "READONLY You can't write against a read only replica": (
        "redis.replicaof('127.0.0.1', '1')",
        "redis.replicaof('NO', 'ONE')",
    ),
    "the key hits holds no integer; `invoke reset` sets it to 0": ("redis.set('hits', 'x')", "redis.set('hits', 1)"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("why", CANNOT_COUNT)
def test_status_is_ready_only_if_a_hit_could_be_counted(serving: Project, why: str) -> None:
    """Exit 1 with the words of Redis, and 0 again as soon as it is cured; nothing is restarted for it."""
    (spoil, cure), said = CANNOT_COUNT[why], why.partition(";")[0]
    in_console(serving, spoil)
    try:
        found, done = status(serving), serving.invoke("status")
    finally:
        in_console(serving, cure)

    assert (False, True) == (found["ready"], said in found["why"]), found["why"]
    assert (1, True) == (done.returncode, said in done.stdout)
    assert eventually(lambda: bool(status(serving)["ready"]))
    assert "nothing to do" in serving.invoke("--dry", "up").stdout


def redis_of(project: Project) -> str:
    """Return host and port of the stack's Redis, as its workers find it."""
    return project.invoke("run", "--", "sh", "-c", "echo $HOST_REDIS:$PORT_REDIS").stdout.strip()


def in_console(project: Project, *lines: str, redis_url: str = "") -> str:
    """Run lines of Python in the console of the service, and return what they print."""
    words = ("--env", f"REDIS_URL={redis_url}") if redis_url else ()
    done = project.invoke("run", *words, "--", "python", "-m", "admin.console", stdin="\n".join(lines))
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.thorough
def test_restore_goes_on_with_what_it_began_with(serving: Project, taken: Path) -> None:
    """A deploy replaces the worker between the save that it makes first and the restore itself."""
    in_console(serving, "redis.set('twelfth:lock', 'another', ex=60)")
    restore = serving.start("restore", "--yes", "--wait", "60", str(taken))
    runs = serving.runs
    assert eventually(lambda: runs.records()[-1].is_running and runs.records()[-1].command[-1] == "60")
    compose = serving.directory / "docker-compose.yml"
    compose.write_text(compose.read_text("utf-8").replace("stop_grace_period: 10s", "stop_grace_period: 11s"), "utf-8")
    serving.up()
    in_console(serving, "redis.delete('twelfth:lock')")

    assert 0 == restore.wait(60)
    assert ["Create worker-1 (stop_grace_period changed)"] == serving.steps()[:1]
    assert [0, 0] == [run.exit_code for run in runs.records() if run.command[2] in {"admin.restore", "admin.backup"}][
        -2:
    ]
    assert "admin.restore" == runs.records()[-1].command[2]
    for saved in serving.backups.glob("*-before-restore.resp.gz"):
        saved.unlink()


def test_restore_undoes_what_came_after_the_backup(serving: Project) -> None:
    """And the backup that it takes first undoes the restore. Both are outside of the checkout."""
    serving.invoke("reset", "--to", "41")
    made = serving.invoke("backup")
    visit(serving)
    restored = serving.invoke("restore", "--yes", made.stdout.strip())
    again = visit(serving)
    saved = next(serving.backups.glob("*-before-restore.resp.gz"))

    assert (0, 0) == (made.returncode, restored.returncode)
    assert "Hello World! 42 times." == again
    assert serving.backups == Path(made.stdout.strip()).parent
    assert f"saved the current data: {saved}" in restored.stdout
    assert ["--before-restore"] == list(serving.runs.records()[-2].command[3:])
    assert 0 == serving.invoke("restore", "--yes", str(saved)).returncode
    (record,) = json.loads(serving.invoke("history", "--last", "1", "--json").stdout)
    assert ("restore", str(saved), "done") == (record["kind"], record["what"], record["state"])
    assert "Hello World! 43 times." == visit(serving)
    saved.unlink()


@pytest.mark.thorough
def test_nightly_backup_is_stored_verified_and_rotated(serving: Project, taken: Path) -> None:
    """As the scheduler starts it; the damaged one is named and stays."""
    for path in serving.backups.glob("*.resp.gz"):
        path.unlink()
    serving.backups.mkdir(parents=True, exist_ok=True)
    oldest, old, damaged = (serving.backups / f"2026-01-0{day}T03-17-00.000Z.resp.gz" for day in (1, 2, 3))
    for path in (oldest, old):
        shutil.copy(taken, path)
    damaged.write_bytes(b"torn")
    fire = Fire("backup", secrets.token_hex(4))
    night = serving.invoke("backup", "--keep", "2", **fire.to_environment())

    assert 0 == night.returncode, night.stderr
    assert {old, damaged, Path(night.stdout.strip())} == set(serving.backups.iterdir())
    assert f"was not deleted: verify: {damaged}" in night.stderr
    assert f"deleted 1 older than the newest 2: {oldest.name}" in night.stderr
    (record,) = json.loads(serving.invoke("history", "--last", "1", "--json").stdout)
    assert (fire.run_id, "backup", "schedule") == (record["id"], record["job"], record["trigger"])


@pytest.mark.thorough
def test_restore_succeeds_though_fields_expired_since_the_backup(serving: Project, file: Path) -> None:
    """A hash whose fields all expired is gone; everything else is as it was."""
    in_console(
        serving,
        "[redis.hset(f'brief{n}', 'a', 1) for n in range(50)]",
        "[redis.hset(f'half{n}', mapping={'a': 1, 'b': 2}) for n in range(50)]",
        "[redis.hpexpire(f'{name}{n}', 4000, 'a') for name in ('brief', 'half') for n in range(50)]",
        "redis.mset({f'filler{n}': n for n in range(30_000)})",
        "redis.set('hits', 41)",
    )
    made = serving.invoke("backup", str(file))
    time.sleep(4)
    restored = serving.invoke("restore", "--yes", str(file))
    left = in_console(serving, "print(redis.exists(*[f'brief{n}' for n in range(50)]), len(redis.keys('half*')))")
    in_console(serving, "redis.delete(*redis.keys('half*'), *redis.keys('filler*'))")

    assert (0, 0) == (made.returncode, restored.returncode), restored.stderr
    assert ("0 50", "Hello World! 42 times.") == (left, visit(serving))


def test_verify_needs_no_stack(project: Project, taken: Path) -> None:
    """It shows what the file holds."""
    printed = json.loads(project.invoke("verify", "--json", str(taken)).stdout)

    assert ["0001", "0002"] == printed["revisions"]


@pytest.mark.thorough
def test_missing_module_of_verify_is_reported(project: Project, file: Path) -> None:
    """In one line, not with a traceback."""
    file.write_bytes(b"")
    program = 'import not_there\nif __name__ == "__main__":\n    pass\n'
    (project.directory / "admin" / "verify.py").write_text(program, "utf-8")
    done = project.invoke("verify", str(file))

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert "its Python has no module not_there; copy it next to admin/, or install it into /" in done.stderr


def test_backup_to_standard_output_is_the_file(serving: Project) -> None:
    """For pipes; progress goes to standard error."""
    client = serving.start("backup", "--stdout", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    out, _ = client.communicate(timeout=60)

    assert 0 == client.returncode
    assert b"RESTORE" in gzip.decompress(out)


def test_damaged_backup_is_refused_and_changes_nothing(serving: Project, taken: Path, file: Path) -> None:
    """One line, before anything else is done."""
    file.write_bytes(taken.read_bytes()[:-20])
    serving.invoke("reset", "--to", "7")
    done = serving.invoke("restore", "--yes", str(file))

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert "Hello World! 8 times." == visit(serving)


@pytest.mark.thorough
def test_backup_of_a_server_that_this_one_cannot_read_is_refused_before_anything_is_saved(
    serving: Project, file: Path
) -> None:
    """One line says which server could."""
    manifest = replace(MANIFEST, server="redis 99.0", payload=9999)
    file.write_bytes(packed(plain(entry(b"hits", 0, b"payload"), manifest=manifest)))
    before = [*serving.backups.glob("*")]
    done = serving.invoke("restore", "--yes", str(file))

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert (
        "cannot read what redis 99.0 wrote (payload version 9999); the data is unchanged. Try: restore it on"
        in done.stderr
    )
    assert before == [*serving.backups.glob("*")]


def test_backup_replaces_no_file(serving: Project, file: Path) -> None:
    """It is left as it is."""
    file.write_bytes(b"mine")
    done = serving.invoke("backup", str(file))

    assert (2, b"mine") == (done.returncode, file.read_bytes())
    assert "it already exists" in done.stderr


def test_restore_asks_and_takes_no_for_an_answer(serving: Project, taken: Path) -> None:
    """On a terminal; without one it wants --yes."""
    serving.invoke("reset", "--to", "5")
    terminal, line = pty.openpty()
    client = serving.start("restore", str(taken), stdin=line, stdout=line, stderr=line)
    os.close(line)
    asked = read_until(terminal, b"[y/N]")
    os.write(terminal, b"n\r")

    assert b"Replace all current data" in asked
    assert 1 == client.wait(30)
    os.close(terminal)
    assert (2, True) == ((done := serving.invoke("restore", str(taken))).returncode, "--yes" in done.stderr)
    assert "Hello World! 6 times." == visit(serving)


MISUSE = [
    ("restore", "nowhere"),
    ("verify", "nowhere"),
    ("backup", "--stdout", "a"),
    ("reset", "--to", "abc"),
    ("migrate", "--wait", "long"),
]


@pytest.mark.parametrize("words", MISUSE)
def test_misuse_is_refused_before_anything_is_done(serving: Project, words: tuple[str, ...]) -> None:
    """One line and exit code 2."""
    done = serving.invoke(*words)

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))


def test_failing_migration_leaves_the_old_release_serving(serving: Project) -> None:
    """`up` says why, and which run it was."""
    before = status(serving)
    serving.invoke("reset", "--to", "1")
    failing = serving.directory / "admin" / "migrations" / "0003_fail.py"
    failing.write_text(FAILING, "utf-8")
    done = serving.invoke("up")
    after = status(serving)
    failing.unlink()

    assert 1 == done.returncode
    assert "could not apply 0003: Fail (ValueError: not today, line 5 of 0003_fail.py)" in done.stderr
    assert f"run {serving.runs.records()[-1].id}" in done.stderr
    assert "Hello World! 2 times." == visit(serving)
    assert ("0002", True) == (after["revision"], after["ready"])
    assert before["release"] == after["release"]


def test_killed_backup_leaves_nothing_under_its_name(serving: Project, file: Path) -> None:
    """And the next one works, and sweeps."""
    client = serving.start("backup", str(file), stdin=subprocess.DEVNULL)
    assert eventually(lambda: any(file.parent.glob(".*.twelfth-part")))
    client.kill()
    client.wait()

    assert not file.exists()
    assert 0 == serving.invoke("backup", str(file)).returncode
    assert [file] == list(file.parent.iterdir())


VERIFYING = """
import os, sys, time
from pathlib import Path

Path("verifying").write_text("yes" if Path(sys.argv[-1]).exists() and not Path({named!r}).exists() else "no")
while {waits} and os.getppid() != 1:
    time.sleep(0.01)
sys.exit("it is damaged")
"""
"""Stands for `admin.verify`: it records whether the file has another name now, and fails, at once or never."""


@pytest.fixture
def verifying(serving: Project) -> Iterator[Path]:
    """Give the program that verifies on this machine, to be replaced for the test."""
    program = serving.directory / "admin" / "verify.py"
    before = program.read_text("utf-8")
    yield program
    program.write_text(before, "utf-8")
    (serving.directory / "verifying").unlink(missing_ok=True)


def test_backup_has_its_name_only_once_it_is_verified(serving: Project, verifying: Path, file: Path) -> None:
    """One that is damaged has none, and nothing is left of it."""
    verifying.write_text(VERIFYING.format(named=str(file), waits=False), "utf-8")
    done = serving.invoke("backup", str(file))

    assert (1, []) == (done.returncode, list(file.parent.iterdir()))
    assert "it is damaged" in done.stderr
    assert "yes" == (serving.directory / "verifying").read_text("utf-8")


@pytest.mark.thorough
def test_backup_that_is_killed_while_it_is_verified_has_no_name(serving: Project, verifying: Path, file: Path) -> None:
    """All bytes are written by then."""
    verifying.write_text(VERIFYING.format(named=str(file), waits=True), "utf-8")
    client = serving.start("backup", str(file), stdin=subprocess.DEVNULL)
    assert eventually((serving.directory / "verifying").exists, 60)
    client.kill()
    client.wait()

    assert not file.exists()


@pytest.mark.thorough
def test_bytes_of_a_backup_are_kept_nowhere_else(serving: Project) -> None:
    """A log with all data would be an unnoticed copy."""
    done = serving.invoke("reset", "--to", "5"), serving.start("backup", "--stdout", stdout=subprocess.PIPE)
    assert b"" != done[1].communicate(timeout=60)[0]
    last = serving.runs.records()[-1].id
    kept = serving.start("logs", "--run", last, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    assert b"" == kept.communicate(timeout=60)[0]


@pytest.mark.thorough
def test_payloads_of_another_kind_of_server_are_refused_by_name(
    serving: Project, taken: Path, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Redis 8 and Valkey 9 read nothing of each other; nothing is changed, and both versions are named."""
    if serving.engine_name != "docker":
        pytest.skip("asked once, between the two engines")
    require("local")
    other = make_project("local", tmp_path_factory.mktemp("other"))
    try:
        other.up()
        refused = other.invoke("restore", "--yes", str(taken))
        visited = visit(other)
        assert 0 == other.invoke("backup", str(file)).returncode
        back = serving.invoke("restore", "--yes", str(file))
    finally:
        other.end()

    assert (1, "Hello World! 1 times.", 1) == (refused.returncode, visited, back.returncode)
    assert "cannot read what redis 8." in refused.stderr
    assert "cannot read what valkey 9." in back.stderr


@pytest.mark.thorough
def test_restore_of_data_that_lacks_revisions_says_what_to_type(serving: Project, file: Path) -> None:
    """And that works."""
    serving.invoke("migrate", "--to", "1")
    serving.invoke("backup", str(file))
    serving.invoke("migrate")
    restored = serving.invoke("restore", "--yes", str(file))

    assert "it lacks revision 0002. Try: invoke migrate\n" in restored.stdout
    assert "applied 0002" in serving.invoke("migrate").stdout
    assert status(serving)["ready"]


@pytest.mark.thorough
def test_older_release_serves_newer_data(serving: Project) -> None:
    """A rollback needs no migration where the data only grew; the last test, as the data stays ahead."""
    first = status(serving)["release"]
    (serving.directory / "admin" / "migrations" / "0003_further.py").write_text(FURTHER, "utf-8")
    assert 0 == serving.invoke("up").returncode
    further = status(serving)["revision"]
    back = serving.invoke("up", "--release", first)

    assert ("0003", 0) == (further, back.returncode)
    assert (first, "0003", True) == tuple(status(serving)[key] for key in ("release", "revision", "ready"))
    assert "the data is ahead: 0003 (Go further)" in serving.invoke("migrate", "--release", first).stderr
