"""What answers prove, as values."""

from __future__ import annotations

from bench import hits
from bench.hits import Answer


def test_numbers_that_came_twice_are_named() -> None:
    """A number handed out twice is the one thing that must never happen."""
    report = hits.report((Answer(0.1, 1), Answer(0.1, 2), Answer(0.1, 2)), 1.0)

    assert (2,) == report.repeated
    assert not report.is_good
    assert "these came twice: 2" in str(report)


def test_failures_are_counted_by_reason_and_spoil_the_proof() -> None:
    """An answer without a number is a failure, not a gap."""
    report = hits.report((Answer(0.1, 1), Answer(0.1, failure="HTTP 503"), Answer(0.1, failure="HTTP 503")), 1.0)

    assert {"HTTP 503": 2} == report.failures
    assert not report.is_good


def test_percentiles_are_nearest_rank_in_milliseconds() -> None:
    """Of 100 answers the 99th percentile is the 99th."""
    answers = tuple(Answer(number / 1000, number) for number in range(1, 101))

    assert {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0} == hits.report(answers, 1.0).latency_ms


def test_report_of_no_answer_is_still_a_report() -> None:
    """Everything failed: no division by nothing."""
    report = hits.report((Answer(0.1, failure="connection refused"),), 1.0)

    assert "0 of 1 answered" in str(report)
    assert "1 x connection refused" in str(report)
