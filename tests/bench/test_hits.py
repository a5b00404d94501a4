"""What answers prove, as values."""

from __future__ import annotations

from bench import hits
from bench.hits import Answer


def test_numbers_that_came_twice_are_named() -> None:
    """The same number must never be returned twice."""
    report = hits.report((Answer(0.1, 1), Answer(0.1, 2, replica="a"), Answer(0.1, 2, replica="b")), 1.0)

    assert {2: ("a", "b")} == report.repeated
    assert not report.is_good
    assert "numbers returned more than once: 2 by a and b" == str(report).splitlines()[-1]


def test_movement_of_the_counter_is_compared_with_the_answers() -> None:
    """Other clients may have sent hits in between: the report shows that, and is good."""
    exact = hits.report((Answer(0.1, 4), Answer(0.1, 5)), 1.0)
    other = hits.report((Answer(0.1, 4), Answer(0.1, 7)), 1.0)

    assert (2, "all numbers are distinct, and the counter moved by the same amount") == (exact.moved, exact.verdict)
    assert (4, True) == (other.moved, other.is_good)
    assert "the counter moved by 2 more" in other.verdict


def test_answers_are_counted_by_release() -> None:
    """The release of a removed replica is reported as unknown."""
    answers = (Answer(0.1, 1, replica="a"), Answer(0.1, 2, replica="b"), Answer(0.1, 3, replica="c"))
    report = hits.with_releases(hits.report(answers, 1.0), {"a": "one", "b": "one"})

    assert {"one": 2, "unknown": 1} == report.releases
    assert "by release: one 2  unknown 1" in str(report)


def test_failures_are_counted_by_reason_and_spoil_the_proof() -> None:
    """An answer without a number is a failure, not a gap."""
    failed = (Answer(0.1, failure="HTTP 503"), Answer(0.1, failure="HTTP 503"), Answer(0.1, failure="reset"))
    report = hits.report((Answer(0.1, 1), *failed), 1.0)

    assert (2, {"reset": 1}) == (report.unavailable, report.failures)
    assert not report.is_good
    assert {"unavailable (503): 2", "failed: 1 x reset"} < set(str(report).splitlines())


def test_percentiles_are_nearest_rank_in_milliseconds() -> None:
    """Of 100 answers the 99th percentile is the 99th."""
    answers = tuple(Answer(number / 1000, number) for number in range(1, 101))

    assert {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0} == hits.report(answers, 1.0).latency_ms


def test_report_of_no_answer_is_still_a_report() -> None:
    """If everything failed, nothing is divided by zero."""
    report = hits.report((Answer(0.1, failure="connection refused"),), 1.0)

    assert "0 of 1 answered" in str(report)
    assert "1 x connection refused" in str(report)
