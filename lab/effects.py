"""What the users of a service felt of a fault: how the load client's own latency and errors rose while it lasted."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

#: A fault's time is compared with this long before it.
_BEFORE_S = 60.0
#: How long a report of the client covers.
_PERIOD_S = 5.0
#: Felt is what is that many times as slow, and slower by so much.
_SLOWER_FACTOR, _SLOWER_MS = 2.0, 2.0
#: Or fails so much more often.
_MORE_ERRORS = 0.02

Period = Mapping[str, Any]


def effect_of(periods: Sequence[Period], begin: datetime, end: datetime) -> dict[str, Any]:
    """Compare what users felt during a fault with the minute before.

    Parameters
    ----------
    periods : sequence of mapping
        The load client's reports: ``end`` (seconds since 1970), ``requests``, ``errors``, ``median_ms``, ``p95_ms``,
        and ``waiting_ms``, the age of the oldest request without an answer.
    begin, end : datetime
        The fault's.

    Returns
    -------
    dict
        ``felt`` (None where nobody asked before or meanwhile) and, before and meanwhile, the median of the periods'
        median and 95th percentile of latency, and the share of requests that failed.
    """
    before = _summary(_within(periods, begin - timedelta(seconds=_BEFORE_S), begin))
    # An answer that comes late is counted when it comes.
    meanwhile = _summary(_within(periods, begin, end + timedelta(seconds=_PERIOD_S)))
    felt = None
    if before and meanwhile:
        more_errors = meanwhile["error_share"] - before["error_share"]
        felt = more_errors > _MORE_ERRORS or any(
            _slower(before.get(name), meanwhile.get(name)) for name in ("median_ms", "p95_ms")
        )
    return {"felt": felt, "before": before, "meanwhile": meanwhile}


def _within(periods: Sequence[Period], begin: datetime, end: datetime) -> list[Period]:
    """Choose the periods that lie inside a span."""
    return [
        period
        for period in periods
        if begin.timestamp() + _PERIOD_S <= period["end"] + 0.5 and period["end"] <= end.timestamp()
    ]


def _summary(periods: Sequence[Period]) -> dict[str, float]:
    """Sum up periods; empty where nobody asked."""
    answered, failed = (sum(period[name] for period in periods) for name in ("requests", "errors"))
    waiting_ms = max((period["waiting_ms"] for period in periods), default=0.0)
    stuck = waiting_ms > 1000 * _PERIOD_S
    if not answered and not failed and not stuck:
        return {}
    latencies = {
        name: [
            # A request that has waited for the whole period is slower than all that were answered in it.
            max(period[name] or 0.0, period["waiting_ms"] if period["waiting_ms"] > 1000 * _PERIOD_S else 0.0)
            for period in periods
            if period[name] is not None or period["waiting_ms"] > 1000 * _PERIOD_S
        ]
        for name in ("median_ms", "p95_ms")
    }
    return {
        **{name: round(statistics.median(values), 2) for name, values in latencies.items() if values},
        "error_share": round(failed / max(1, answered + failed), 4),
    }


def _slower(before: float | None, meanwhile: float | None) -> bool:
    if before is None or meanwhile is None:
        return False
    return meanwhile > _SLOWER_FACTOR * before and meanwhile > before + _SLOWER_MS
