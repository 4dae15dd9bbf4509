"""Getting the samples of the containers that are to be looked at: few questions, whatever was missed caught up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from podlab.errors import PodlabError
from podlab.sources.protocol import LiveSource, NothingThereError
from podlab.watcher.cases import Case
from podlab.watcher.history import History

log = logging.getLogger(__name__)

#: Rows of this many pods are asked for at once: the server takes longer for each of many more.
MOST_PODS = 500
#: A question for so many pods times seconds costs less than a second one would.
MOST_POD_SECONDS = 75_000.0
#: Where all pods are watched, these many pods times seconds are asked for without naming anybody: the server takes half
#: as long, and an answer of so many rows still fits into memory.
MOST_UNNAMED_POD_SECONDS = 750_000.0
#: Agents write some time after they measured (Telegraf: 10 s and jitter), and one measurement after the other.
OVERLAP_S = 30.0
#: A node's clock may run before ours.
AHEAD_S = 300.0
#: The API tells starts in whole seconds.
_START_S = 1.0
_NS_PER_S = 1_000_000_000


Take = Callable[[pd.DataFrame], None]


@dataclass(frozen=True)
class Asked:
    """How some questions went.

    Attributes
    ----------
    failed : set of int
        Numbers of the cases whose samples could not be asked for.
    error : str or None
        What went wrong last.
    asked : bool
        Whether anything was asked at all.
    """

    failed: set[int]
    error: str | None
    asked: bool


@dataclass(frozen=True)
class Gathered(Asked):
    """What one round of questions brought.

    Attributes
    ----------
    fresh : set of int
        Numbers of the cases with new samples.
    """

    fresh: set[int]


def gather(
    cases: Sequence[Case],
    source: LiveSource,
    history: History,
    *,
    now_s: float,
    window_s: float,
    cluster: str,
    also: Take | None = None,
    proceed: Callable[[], bool] = lambda: True,
) -> Gathered:
    """Bring the history of some containers up to date.

    Parameters
    ----------
    cases : sequence of Case
        The containers; their ``newest_s`` moves on.
    source : LiveSource
        Where samples come from.
    history : History
        Where they go.
    now_s, window_s, cluster, proceed
        As for :func:`ask`.
    also : callable, optional
        Is given the samples as well.
    """
    fresh: set[int] = set()
    by_number = {case.number: case for case in cases}

    def take(matched: pd.DataFrame) -> None:
        history.add(matched)
        fresh.update(_move_on(matched, by_number))
        if also is not None:
            also(matched)

    newest_s = {case.number: case.newest_s for case in cases}
    went = ask(cases, newest_s, source, take, now_s=now_s, window_s=window_s, cluster=cluster, proceed=proceed)
    return Gathered(went.failed, went.error, went.asked, fresh)


def ask(
    cases: Sequence[Case],
    newest_s: Mapping[int, float | None],
    source: LiveSource,
    take: Take,
    *,
    now_s: float,
    window_s: float,
    cluster: str,
    unnamed: bool = False,
    proceed: Callable[[], bool] = lambda: True,
) -> Asked:
    """Ask for what is new of some containers.

    Each is asked for from its newest sample on, or from its start, and never from further back than ``window_s``.
    What could not be asked for now is so the next time.

    Parameters
    ----------
    cases : sequence of Case
        The containers.
    newest_s : mapping of int to float or None
        Time of the newest sample that there is, in seconds since 1970, by number of the case.
    source : LiveSource
        Where samples come from.
    take : callable
        Is given the samples that each question brought, with the ``number`` of their case.
    now_s : float
        In seconds since 1970.
    window_s : float
        How far back at most.
    cluster : str
        Rows of other clusters in the same database are left out.
    unnamed : bool
        Whether very many may be asked for by one question for all pods that there are.
    proceed : callable
        Asked before each question; False leaves the rest for the next time.
    """
    failed: set[int] = set()
    error = None
    asked = False
    for since_s, part in _parts(cases, newest_s, now_s, window_s, unnamed):
        if error is not None or not proceed():
            # One question that fails costs its whole timeout: the rest waits for the next round.
            failed |= {case.number for case in part}
            continue
        asked = True
        try:
            pods = {case.container.pod for case in part} if len(part) <= MOST_PODS else None
            samples = source.fetch(_instant(since_s), _instant(now_s + AHEAD_S), pods=pods)
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
            matched = match_cases(samples[~others], part)
            if not matched.empty:  # else all rows are of lives before these
                take(matched)
    return Asked(failed, error, asked)


def _parts(
    cases: Sequence[Case], newest_s: Mapping[int, float | None], now_s: float, window_s: float, unnamed: bool
) -> Iterator[tuple[float, list[Case]]]:
    """Divide the containers into questions: since when, and whom; more than can be named are a question for all."""
    since = {case.number: _since_s(case, newest_s[case.number], now_s - window_s) for case in cases}
    ordered = sorted(cases, key=lambda case: -since[case.number])
    near = [case for case in ordered if since[case.number] >= since[ordered[0].number] - 4 * OVERLAP_S]
    if unnamed and len(near) > MOST_PODS and len(near) * (now_s - since[near[-1].number]) <= MOST_UNNAMED_POD_SECONDS:
        ordered = ordered[len(near) :]
        yield since[near[-1].number], near
    while ordered:
        # Who needs little is not made to wait for, or to read, the past of who needs much, unless both are few.
        reach_s = since[ordered[0].number] - 4 * OVERLAP_S
        part = [
            case
            for count, case in enumerate(ordered[:MOST_PODS], 1)
            if since[case.number] >= reach_s or count * (now_s - since[case.number]) <= MOST_POD_SECONDS
        ]
        ordered = ordered[len(part) :]
        yield since[part[-1].number], part


def _since_s(case: Case, newest_s: float | None, earliest_s: float) -> float:
    begin_s = case.started_at.timestamp() - _START_S if newest_s is None else newest_s - OVERLAP_S
    return max(begin_s, earliest_s)


def _instant(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def match_cases(samples: pd.DataFrame, cases: Sequence[Case]) -> pd.DataFrame:
    """Find the case of each row: of its names, of its uid where that is told, and the last to start before it.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table; starts that it tells are not looked at, for they may be more exact than the API's.
    cases : sequence of Case

    Returns
    -------
    DataFrame
        The rows that are of a case, with its ``number``. The same as :func:`podlab.kubernetes.inventory.enrich` finds
        in an inventory, at a fraction of the cost for a few rows of each of many containers.
    """
    lives: dict[tuple[str, str, str], list[Case]] = {}
    for case in sorted(cases, key=lambda case: (case.started_at, case.container.pod_uid)):
        who = case.container
        lives.setdefault((who.namespace, who.pod, who.container), []).append(case)
    names = samples[["namespace", "pod", "container", "pod_uid"]]
    group = names.groupby(list(names), dropna=False, sort=False).ngroup().to_numpy(np.int64)
    _, first = np.unique(group, return_index=True)
    time_ns = np.asarray(samples["time"].astype("int64"), dtype=np.int64)
    number = np.zeros(len(samples), dtype=np.int64)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))[:-1]
    for rows, (namespace, pod, container, uid) in zip(
        np.split(order, ends), names.take(first).itertuples(index=False), strict=True
    ):
        found = lives.get((namespace, pod, container), [])
        found = [case for case in found if pd.isna(uid) or uid == case.container.pod_uid]
        for case in found:  # a later one takes over from an earlier one
            number[rows[time_ns[rows] >= int(case.started_at.timestamp()) * _NS_PER_S]] = case.number
    return samples.assign(number=number)[number > 0]


def _move_on(matched: pd.DataFrame, cases: Mapping[int, Case]) -> set[int]:
    """Note the newest sample of each case, by number; which have a new one."""
    newest = matched.groupby("number")["time"].max()
    fresh = set()
    for number, at_s in zip(newest.index.tolist(), (newest.astype("int64") / 1e9).tolist(), strict=True):
        case = cases[number]
        if case.newest_s is None or at_s > case.newest_s:
            case.newest_s = at_s
            fresh.add(number)
    return fresh


def samples_of(rows: pd.DataFrame, cases: Sequence[Case], cluster: str) -> pd.DataFrame:
    """Make a samples table of a history's rows, whose cases these are in the order of their numbers."""
    place = np.cumsum(np.diff(rows["number"].to_numpy(), prepend=rows["number"].iloc[0]) != 0)
    identity = pd.DataFrame(
        {
            "cluster": [cluster] * len(cases),
            "namespace": [case.container.namespace for case in cases],
            "pod": [case.container.pod for case in cases],
            "pod_uid": [case.container.pod_uid for case in cases],
            "container": [case.container.container for case in cases],
        },
        dtype="str",
    )
    identity["started_at"] = pd.DatetimeIndex([case.started_at for case in cases]).as_unit("ns")
    return pd.concat([identity.take(place).reset_index(drop=True), rows.drop(columns="number")], axis=1)
