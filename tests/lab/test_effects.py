"""What users felt of a fault, from what the load client reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lab.effects import effect_of
from tests.lab.fakes import BEGIN

FAULT = (BEGIN + timedelta(seconds=60), BEGIN + timedelta(seconds=90))


def _periods(**during: Any) -> list[dict[str, Any]]:
    """Two minutes of reports, which change while the fault lasts."""
    usual = {"requests": 50, "errors": 0, "median_ms": 4.0, "p95_ms": 9.0, "waiting_ms": 2.0}
    ends = range(5, 121, 5)
    return [
        {
            "end": BEGIN.timestamp() + end,
            **usual,
            **(during if FAULT[0] < BEGIN + timedelta(seconds=end) <= FAULT[1] else {}),
        }
        for end in ends
    ]


def test_what_changes_nothing_is_not_felt() -> None:
    effect = effect_of(_periods(), *FAULT)
    assert effect["felt"] is False
    assert effect["before"] == effect["meanwhile"] == {"median_ms": 4.0, "p95_ms": 9.0, "error_share": 0.0}


def test_slower_answers_are_felt_and_told() -> None:
    effect = effect_of(_periods(p95_ms=40.0), *FAULT)
    assert effect["felt"] is True
    assert (effect["before"]["p95_ms"], effect["meanwhile"]["p95_ms"]) == (9.0, 40.0)


def test_a_little_slower_is_not_felt() -> None:
    assert effect_of(_periods(median_ms=5.0, p95_ms=12.0), *FAULT)["felt"] is False


def test_more_errors_are_felt() -> None:
    effect = effect_of(_periods(errors=5), *FAULT)
    assert effect["felt"] is True
    assert effect["meanwhile"]["error_share"] > 0.05


def test_a_service_that_answers_nobody_is_felt_though_nothing_is_counted() -> None:
    silence = {"requests": 0, "errors": 0, "median_ms": None, "p95_ms": None, "waiting_ms": 9000.0}
    assert effect_of(_periods(**silence), *FAULT)["felt"] is True


def test_where_nobody_asks_nobody_can_tell() -> None:
    idle = [{**period, "requests": 0, "median_ms": None, "p95_ms": None, "waiting_ms": 0.0} for period in _periods()]
    assert effect_of(idle, *FAULT) == {"felt": None, "before": {}, "meanwhile": {}}
    assert effect_of([], *FAULT)["felt"] is None
