"""Getting the samples of the containers that are to be looked at: few questions, whatever was missed caught up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from podlab.cluster.inventory import COLUMNS, enrich
from podlab.errors import PodlabError
from podlab.telemetry import LiveSource, NothingThereError
from podlab.watcher.cases import Case
from podlab.watcher.history import History

log = logging.getLogger(__name__)

#: Rows of this many pods are asked for at once: the server takes longer for each of many more.
MOST_PODS = 500
#: Agents write some time after they measured (Telegraf: 10 s and jitter), and one measurement after the other.
OVERLAP_S = 30.0
#: A node's clock may run before ours.
AHEAD_S = 300.0
#: The API tells starts in whole seconds.
_START_S = 1.0


@dataclass(frozen=True)
class Gathered:
    """What one round of questions brought.

    Attributes
    ----------
    fresh : set of int
        Numbers of the cases with new samples.
    failed : set of int
        Numbers of the cases whose samples could not be asked for.
    error : str or None
        What went wrong last.
    asked : bool
        Whether anything was asked at all.
    """

    fresh: set[int]
    failed: set[int]
    error: str | None
    asked: bool


def gather(
    cases: Sequence[Case],
    source: LiveSource,
    history: History,
    *,
    now_s: float,
    window_s: float,
    cluster: str,
    proceed: Callable[[], bool] = lambda: True,
) -> Gathered:
    """Bring the history of some containers up to date.

    Each is asked for from its newest sample on, or from its start, and never from further back than ``window_s``.
    What could not be asked for now is so the next time.

    Parameters
    ----------
    cases : sequence of Case
        The containers; their ``newest_s`` moves on.
    source : LiveSource
        Where samples come from.
    history : History
        Where they go.
    now_s : float
        In seconds since 1970.
    window_s : float
        How far back at most.
    cluster : str
        Rows of other clusters in the same database are left out.
    proceed : callable
        Asked before each question; False leaves the rest for the next time.
    """
    fresh: set[int] = set()
    failed: set[int] = set()
    error = None
    asked = False
    for since_s, part in _parts(cases, now_s, window_s):
        if error is not None or not proceed():
            # One question that fails costs its whole timeout: the rest waits for the next round.
            failed |= {case.number for case in part}
            continue
        asked = True
        try:
            samples = source.fetch(_instant(since_s), _instant(now_s + AHEAD_S), pods={c.container.pod for c in part})
        except NothingThereError:
            continue
        except PodlabError as failure:
            error = str(failure)
            failed |= {case.number for case in part}
        else:
            others = samples["cluster"] != cluster
            if others.all():
                error = f"{source.name}: the rows are of cluster {samples['cluster'].iloc[0]!r}; set cluster to that"
                failed |= {case.number for case in part}
                continue
            matched = _match(samples[~others], part, cluster)
            history.add(matched)
            fresh |= _move_on(matched, part)
    return Gathered(fresh, failed, error, asked)


def _parts(cases: Sequence[Case], now_s: float, window_s: float) -> Iterator[tuple[float, list[Case]]]:
    """Divide the containers into questions: since when, and whom."""
    since = {case.number: _since_s(case, now_s - window_s) for case in cases}
    ordered = sorted(cases, key=lambda case: -since[case.number])
    while ordered:
        # Who needs little is not made to wait for, or to read, the past of who needs much.
        reach_s = since[ordered[0].number] - 4 * OVERLAP_S
        part = [case for case in ordered[:MOST_PODS] if since[case.number] >= reach_s]
        ordered = ordered[len(part) :]
        yield since[part[-1].number], part


def _since_s(case: Case, earliest_s: float) -> float:
    begin_s = case.started_at.timestamp() - _START_S if case.newest_s is None else case.newest_s - OVERLAP_S
    return max(begin_s, earliest_s)


def _instant(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _match(samples: pd.DataFrame, cases: Sequence[Case], cluster: str) -> pd.DataFrame:
    """Find the case of each row; rows of none, or from before its start, are left out."""
    known = pd.DataFrame(
        {
            "cluster": cluster,
            "node": [case.container.node for case in cases],
            "namespace": [case.container.namespace for case in cases],
            "pod": [case.container.pod for case in cases],
            "pod_uid": [case.container.pod_uid for case in cases],
            "container": [case.container.container for case in cases],
            "image": None,
            "started_at": pd.to_datetime([case.started_at for case in cases], utc=True),
            "image_size_bytes": np.nan,
        }
    )
    known = known.astype({name: dtype for name, dtype in COLUMNS.items() if name in known})
    # A source may know starts more exactly than the API tells them, which would look like another container.
    rows = enrich(samples.drop(columns="started_at"), known)
    rows = rows[rows["started_at"].notna()]
    key = ["namespace", "pod", "pod_uid", "container", "started_at"]
    numbered = known[key].assign(number=[case.number for case in cases])
    return rows.merge(numbered, on=key).reset_index(drop=True)


def _move_on(matched: pd.DataFrame, cases: Sequence[Case]) -> set[int]:
    """Note the newest sample of each case; which have a new one."""
    newest = matched.groupby("number")["time"].max()
    newest_s = dict(zip(newest.index.tolist(), (newest.astype("int64") / 1e9).tolist(), strict=True))
    fresh = set()
    for case in cases:
        at_s = newest_s.get(case.number)
        if at_s is not None and (case.newest_s is None or at_s > case.newest_s):
            case.newest_s = at_s
            fresh.add(case.number)
    return fresh
