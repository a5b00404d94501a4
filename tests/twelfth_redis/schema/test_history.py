"""Compare the record of the data with the migrations of a release; nothing here needs a server."""

from __future__ import annotations

from dataclasses import replace

import fakeredis
import pytest

from twelfth_redis.errors import MisuseError, RefusedError
from twelfth_redis.keys import HISTORY
from twelfth_redis.schema import history, plan
from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration, Way
from twelfth_redis.schema.plan import problems
from twelfth_redis.schema.status import states, status, table

STEP = Way(step=lambda _read, _write: None)
KNOWN = (
    Migration("0001", "First", "sum1", STEP, STEP),
    Migration("0002", "Second", "sum2", STEP, STEP),
    Migration("0003", "Third", "sum3", STEP),
)
FIRST, SECOND, THIRD = (
    Applied(each.revision, each.title, each.checksum, "2026-11-23T22:00:00+00:00", "r1", "run1", "ann")
    for each in KNOWN
)
AHEAD = Applied("0004", "Fourth", "sum4", release="r2")


def past(*applied: Applied, unfinished: Applied | None = None) -> History:
    """Return a history of these."""
    return History({each.revision: each for each in applied}, unfinished)


def problem(before: History, *, release: str = "r1", allow_newer: bool = False) -> str:
    """Return the first problem, "" if there is none."""
    return next(iter(problems(KNOWN, before, release, allow_newer=allow_newer)), "")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (past(), ""),
        (past(FIRST), ""),
        (past(FIRST, SECOND, THIRD), ""),
        (
            past(replace(FIRST, checksum="x")),
            "0001 was edited after it was applied (2026-11-23T22:00:00+00:00, release r1)",
        ),
        (past(FIRST, SECOND, THIRD, AHEAD), "the data is ahead: 0004 (Fourth) was applied by release r2"),
        (past(SECOND), "0001 was not applied, but 0002 was. Try: invoke migrate --to 0000"),
        (past(FIRST, THIRD), "0002 was not applied, but 0003 was. Try: invoke migrate --to 0001"),
        (past(unfinished=FIRST), ""),
        (past(unfinished=replace(FIRST, release="")), ""),
        (past(unfinished=replace(FIRST, release="r2")), "0001 (First) was left unfinished by release r2, run run1"),
        (
            past(unfinished=AHEAD),
            "0004 (Fourth) was left unfinished by release r2, run unknown, and is missing from this",
        ),
        (
            past(unfinished=replace(AHEAD, why="Redis refused SET a: OOM", done=1, commands=("SET b",))),
            (
                "0004 (Fourth) was left unfinished by release r2, run unknown, and is missing from this one: "
                "Redis refused SET a: OOM; 1 command was applied and stays: SET b. "
                "Try: invoke migrate --abandon 0004 --release r1"
            ),
        ),
        (
            past(unfinished=replace(FIRST, release="r2", why="Redis refused SET a: OOM")),
            (
                "0001 (First) was left unfinished by release r2, run run1: Redis refused SET a: OOM. "
                "Try: invoke migrate --release r1 --take-over, if this release's 0001 can continue from there; else: "
                "invoke migrate --abandon 0001 --release r1"
            ),
        ),
        (
            past(unfinished=replace(FIRST, title="Other", checksum="x", release="r2", run="")),
            (
                "0001 (Other) was left unfinished by release r2, run unknown. "
                "0001 of this release is another migration: 'First'. Try: invoke migrate --abandon 0001 --release r1"
            ),
        ),
    ],
)
def test_what_does_not_go_together_is_told(before: History, said: str) -> None:
    """By revision and release, with what to do; nothing if all is well."""

    assert (said, bool(said)) == (problem(before)[: len(said)], bool(problem(before)))


WHEN = "(2026-11-23T22:00:00+00:00, release r1)"


@pytest.mark.parametrize("allow_newer", [False, True])
@pytest.mark.parametrize(
    ("applied", "state", "said"),
    [
        (
            replace(SECOND, checksum="x"),
            "edited",
            f"0002 was edited after it was applied {WHEN}. Try: restore the file",
        ),
        (
            replace(SECOND, title="", checksum="x"),
            "edited",
            f"0002 was edited after it was applied {WHEN}. Try: restore the file",
        ),
        (
            replace(SECOND, title="Other", checksum="x"),
            "different",
            f"0002 was applied as 'Other' {WHEN}, and is another migration in this release: 'Second'. Try: restore",
        ),
        (
            replace(SECOND, title="Third", checksum="sum3"),
            "renumbered",
            f"0002 (Third) was applied {WHEN}, and is 0003 in this release. Try: give the file its number 0002 again",
        ),
        (
            replace(AHEAD, title="Third", checksum="sum3", applied=FIRST.applied, release="r1"),
            "renumbered",
            f"0004 (Third) was applied {WHEN}, and is 0003 in this release. Try: give the file its number 0004 again",
        ),
    ],
)
def test_message_distinguishes_an_edited_another_and_a_renumbered_migration(
    applied: Applied, state: str, said: str, *, allow_newer: bool
) -> None:
    """Both titles are known; one under another number would be applied twice."""
    before = past(FIRST, SECOND, applied)

    assert said == problem(before, allow_newer=allow_newer)[: len(said)]
    assert state in {each.state for each in states(KNOWN, before)}


def test_two_migrations_with_one_text_are_two() -> None:
    """Neither is mistaken for the other under another number."""
    twin = Migration("0003", "Again", "sum2", STEP)
    before = past(FIRST, SECOND, replace(SECOND, revision="0003", title="Again"))

    assert () == problems((*KNOWN[:2], twin), before, "r1")
    assert () == problems(KNOWN[:2], before, "r1", allow_newer=True)


def test_data_that_only_grew_is_accepted_where_asked_for() -> None:
    """But not data from which a migration removed something."""
    grown = past(FIRST, SECOND, THIRD, AHEAD)
    shrunk = past(FIRST, SECOND, THIRD, replace(AHEAD, contract=True))

    assert ("", False) == (problem(grown, allow_newer=True), "" == problem(grown))
    assert "" == problem(past(FIRST, SECOND, THIRD, unfinished=AHEAD), allow_newer=True)
    assert "" == problem(past(FIRST, SECOND, THIRD, unfinished=replace(AHEAD, contract=True)), allow_newer=True)
    assert problem(shrunk, allow_newer=True).startswith(
        "the data is ahead: 0004 (Fourth) removed data that this release needs (CONTRACT)."
    )


def test_whoever_takes_over_may_finish_what_it_knows() -> None:
    """Then there is no release; an unknown migration is still refused."""

    assert "" == problem(past(unfinished=replace(FIRST, release="r2")), release="")
    assert "" != problem(past(unfinished=AHEAD), release="")


@pytest.mark.parametrize(
    ("before", "to", "expected"),
    [
        (past(), "", ["apply 0001: First", "apply 0002: Second", "apply 0003: Third"]),
        (past(), "2", ["apply 0001: First", "apply 0002: Second"]),
        (past(FIRST, SECOND, THIRD), "", []),
        (past(FIRST, SECOND), "0001", ["revert 0002: Second"]),
        (past(FIRST, SECOND), "0", ["revert 0002: Second", "revert 0001: First"]),
        (past(FIRST, unfinished=SECOND), "2", ["apply 0002: Second"]),
        (past(FIRST, unfinished=SECOND), "1", ["revert 0002: Second"]),
        (past(FIRST, SECOND, unfinished=replace(SECOND, down=True)), "2", ["apply 0002: Second"]),
        (past(FIRST, SECOND, unfinished=replace(SECOND, down=True)), "1", ["revert 0002: Second"]),
    ],
)
def test_the_way_leads_from_what_is_to_what_is_wanted(before: History, to: str, expected: list[str]) -> None:
    """Up in order, down in reverse; an unfinished migration may be in both."""

    assert expected == [str(move) for move in plan.moves(KNOWN, before, to)]


def test_where_there_is_no_way_back_it_says_so() -> None:
    """Before anything is changed."""
    with pytest.raises(RefusedError, match=r"cannot revert 0003 \(Third\): it defines no down\. Try: restore a backup"):
        plan.moves(KNOWN, past(FIRST, SECOND, THIRD), "1")


@pytest.mark.parametrize(("to", "first"), [("", "apply 0003: Third"), ("1", "revert 0002: Second")])
def test_nothing_is_done_over_an_unfinished_one_of_another_release(to: str, first: str) -> None:
    """There is one record of an unfinished migration, which a second would replace."""
    before = past(FIRST, SECOND, unfinished=AHEAD)

    with pytest.raises(RefusedError, match=rf"^cannot {first}: 0004 \(Fourth\) was left unfinished .*--abandon 0004$"):
        plan.moves(KNOWN, before, to)
    assert () == plan.moves(KNOWN, before, "2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0004", ""),
        ("4", ""),
        ("3", "cannot abandon 0003: it is pending; 0004 is unfinished. Try: invoke migrate --status"),
        ("7", "cannot abandon 0007: neither the data nor this release has it; 0004 is unfinished. Try: invoke migrate"),
        ("2", "cannot abandon 0002 (Second): it was applied 2026-11-23T22:00:00+00:00 and is not unfinished. Try: "),
    ],
)
def test_only_what_is_unfinished_is_abandoned(text: str, expected: str) -> None:
    """By number, whether or not the release has the file."""
    before = past(FIRST, SECOND, unfinished=AHEAD)
    if not expected:
        assert AHEAD == plan.abandoned(KNOWN, before, text)
        return
    with pytest.raises(RefusedError) as refused:
        plan.abandoned(KNOWN, before, text)

    assert str(refused.value).startswith(expected)


@pytest.mark.parametrize("text", ["x", "00004", "-1", "²", ""])
def test_what_is_no_number_is_not_abandoned(text: str) -> None:
    """An invalid argument."""
    with pytest.raises(MisuseError):
        plan.abandoned(KNOWN, past(unfinished=replace(AHEAD, revision="0000") if not text else AHEAD), text or "x")


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (AHEAD, ""),
        (replace(AHEAD, done=1, commands=("SET a",)), "1 command was applied and stays: SET a"),
        (replace(AHEAD, done=2, commands=("SET a", "DEL b")), "2 commands were applied and stay: SET a, DEL b"),
        (
            replace(AHEAD, done=1002, commands=("SET a", "DEL b")),
            "1,002 commands were applied and stay: SET a, DEL b and 1,000 more",
        ),
        (replace(AHEAD, keys=1), "1 key was processed and not restored"),
        (replace(AHEAD, keys=2000), "2,000 keys were processed and not restored"),
    ],
)
def test_effect_of_an_unfinished_one_is_counted_and_named(left: Applied, expected: str) -> None:
    """As far as it is recorded: older releases recorded neither."""
    assert expected == left.effect


@pytest.mark.parametrize(
    ("left", "tried"),
    [
        (replace(THIRD, applied=""), "Try: invoke migrate, or invoke migrate --abandon 0003 --release r1"),
        (
            replace(THIRD, applied="", why="Redis refused SET a: OOM"),
            "Try: invoke migrate --abandon 0003 --release r1, or invoke migrate to try again",
        ),
    ],
)
def test_status_of_an_unfinished_one_says_what_to_type(left: Applied, tried: str) -> None:
    """First to continue, unless Redis refused it: then it probably fails again."""
    found = status(KNOWN, past(FIRST, SECOND, unfinished=left), "r1")

    assert ((), left) == (found.problems, found.unfinished)
    assert found.hint.endswith(tried)


@pytest.mark.parametrize(
    ("value", "revision"),
    [(None, ""), (b'{"revision": "0003"}', "0003"), (b"x", ""), (b"[]", ""), (b"\xff", ""), (b'{"why": "\xff"}', "")],
)
def test_unfinished_revision_is_read_from_whatever_is_there(value: bytes | None, revision: str) -> None:
    """A worker shows it, and an unreadable record does no harm."""
    assert revision == history.unfinished_revision(value)


@pytest.mark.parametrize("to", ["4", "x", "00001", "-1"])
def test_a_revision_that_is_none_is_misuse(to: str) -> None:
    """The error lists the revisions."""
    with pytest.raises(MisuseError, match="the revisions are 0000, 0001, 0002, 0003"):
        plan.moves(KNOWN, past(), to)


@pytest.mark.parametrize("record", ["", "x", "1", "null", "[]", "{}", b"\xff"])
def test_a_garbled_record_is_told(record: str | bytes) -> None:
    """By the key, in one line."""
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client:
        client.hset(HISTORY, "0001", record)
        with pytest.raises(
            RefusedError,
            match=r"the record of migrations in the keys twelfth:migrations and twelfth:migrating is invalid",
        ):
            history.read(client)


def test_what_a_newer_release_records_besides_is_left_out() -> None:
    """Else a rollback could not read the record."""
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client:
        client.hset(HISTORY, "0001", '{"revision": "0001", "more": 1}')

        assert {"0001": Applied("0001")} == history.read(client).applied


def test_a_gap_is_left_by_going_back_before_it() -> None:
    """As its refusal says."""
    gap = past(FIRST, THIRD)

    assert "0002 was not applied, but 0003 was. Try: invoke migrate --to 0001, then invoke migrate" == problem(gap)
    assert () == problems(KNOWN, gap, "r1", to="0001")


def test_a_key_of_another_type_is_told() -> None:
    """Like an invalid record."""
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client:
        client.set(HISTORY, "x")
        with pytest.raises(RefusedError, match="WRONGTYPE"):
            history.read(client)


def test_each_revision_has_a_state() -> None:
    """Of the data, of the release, of both."""
    before = past(
        replace(FIRST, baseline=True), replace(SECOND, checksum="x"), AHEAD, unfinished=replace(THIRD, applied="")
    )
    found = states(KNOWN, before)

    assert ["marked", "edited", "unfinished", "unknown"] == [each.state for each in found]
    assert ["applied", "pending", "pending"] == [each.state for each in states(KNOWN, past(FIRST))]


def test_the_table_is_as_wide_as_it_needs_to_be() -> None:
    """Columns below their heads, a dash for an unknown value."""
    lines = table(states(KNOWN[:2], past(FIRST)))

    assert lines == [
        "REVISION  STATE    APPLIED                    RELEASE  RUN   OPERATOR  TITLE",
        "0001      applied  2026-11-23T22:00:00+00:00  r1       run1  ann       First",
        "0002      pending  -                          -        -     -         Second",
    ]
    assert [] == table(())
