"""Containers that several scrapers see: one scraper is taken of each container, and two containers are never one.

Two replicas of Prometheus, or two jobs, see the same container, which has the same cgroup for both. Two pods of one
name that run at the same time, in two clusters behind one server, have each their own uid and cgroup.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from podlab.sources.nearest import Ints
from podlab.sources.prometheus_rows import STARTED
from podlab.sources.prometheus_series import Observer, Owned, Owner, observer_of, uid_of
from podlab.sources.prometheus_wire import RawSeries

#: What tells the scrape's target; of two clusters it differs as well, but names neither.
_TARGET_LABELS: Final = frozenset(("instance", "node", "host", "pod_ip", "kubernetes_node", "kubernetes_io_hostname"))
# A pod that moves to another node may be told of there and here for some scrapes.
_LEAST_OVERLAP_MS: Final = 60_000
_MOST_VALUES_SHOWN: Final = 4


def choose_observers(owned: Mapping[str, Owned]) -> dict[str, Owned]:
    """Of the same container seen by several scrapers, take one: the one with the most samples of its pod.

    Another is taken for a time of which the first has nothing, as when a job's name changed. Pods of one name are told
    apart by their uid, where all series tell it; what is counted per pod then has the uid behind
    its owner.

    Parameters
    ----------
    owned : mapping of str to Owned
        By metric, all of the same scrape.

    Returns
    -------
    dict
        The same, without the series not taken.
    """
    count = {name: np.bincount(of.raw.series, minlength=len(of.owners)).tolist() for name, of in owned.items()}
    seen: dict[Owner, Counter[Observer]] = defaultdict(Counter)
    observer: dict[str, list[Observer]] = {}
    for name, of in owned.items():
        observer[name] = [observer_of(labels) for labels in of.raw.labels]
        for who, watcher, many in zip(of.owners, observer[name], count[name], strict=True):
            if who is not None:
                seen[who[:3]][watcher] += many
    contested = {pod: rivals for pod, rivals in seen.items() if len(rivals) > 1}
    if not contested:
        return dict(owned)
    uids: dict[Owner, set[str]] = defaultdict(set)
    for of in owned.values():
        for who, labels in zip(of.owners, of.raw.labels, strict=True):
            if who is not None and who[:3] in contested:
                uids[who[:3]].add(uid_of(labels) or "")
    several = {pod for pod, known in uids.items() if len(known) > 1 and "" not in known}
    chosen = {}
    for name, of in owned.items():
        first_ms, last_ms = _spans(of.raw, len(of.owners))
        members: dict[Owner, list[int]] = defaultdict(list)
        for number, who in enumerate(of.owners):
            if who is not None and who[:3] in contested and count[name][number]:
                # Containers of one pod may come and go at other times, so each is looked at by itself.
                uid = (uid_of(of.raw.labels[number]) or "") if who[:3] in several else ""
                members[(*who[:4], uid)].append(number)
        left_out: list[int] = []
        for who, numbers in members.items():
            rank = {watcher: (-many, watcher) for watcher, many in contested[who[:3]].items()}
            by_observer: dict[Observer, list[int]] = defaultdict(list)
            for number in numbers:
                by_observer[observer[name][number]].append(number)
            taken: list[tuple[int, int]] = []
            for watcher in sorted(by_observer, key=rank.__getitem__):
                its = by_observer[watcher]
                begin, end = int(first_ms[its].min()), int(last_ms[its].max())
                if any(begin <= other_end and other_begin <= end for other_begin, other_end in taken):
                    left_out += its
                else:
                    taken.append((begin, end))
        chosen[name] = _with_uids(of.without(left_out), several)
    return chosen


def _with_uids(of: Owned, several: Collection[Owner]) -> Owned:
    """Put the uid behind the owner of what is counted per pod, for pods of one name."""
    owners = [
        (*who, uid_of(labels) or "") if who is not None and len(who) == 3 and who in several else who
        for who, labels in zip(of.owners, of.raw.labels, strict=True)
    ]
    return Owned(of.raw, owners)


@dataclass(frozen=True)
class Twins:
    """Pods of one name that run at the same time: those of several clusters.

    Attributes
    ----------
    pods : list of Owner
        Cluster, namespace and pod, sorted.
    labels : dict of str to list of str
        The labels of scrapes that differ between them, and their values.
    """

    pods: list[Owner]
    labels: dict[str, list[str]]

    def __str__(self) -> str:
        (_, namespace, pod), more = self.pods[0], len(self.pods) - 1
        others = f" (and of {more} more names)" if more else ""
        differ = ", ".join(f"{label} ({_some(values)})" for label, values in self.labels.items())
        return f"two pods {namespace}/{pod} run at the same time{others}; they differ by {differ}"

    @property
    def example(self) -> str:
        """One label that tells them apart and a value, as the setting takes it."""
        label, values = next(iter(self.labels.items()))
        return f"{label}={next(filter(None, values), '')}"


def find_twins(owned: Mapping[str, Owned]) -> Twins | None:
    """Find pods of one name that run at the same time, each seen by other scrapers; None where there are none.

    Parameters
    ----------
    owned : mapping of str to Owned
        By metric, before an observer was chosen.
    """
    spans: dict[Owner, dict[tuple[str, Observer], tuple[int, int]]] = defaultdict(dict)
    for name, of in owned.items():
        first_ms, last_ms = _spans(of.raw, len(of.owners))
        started = _first_values(of.raw, len(of.owners)) if name == STARTED.name else None
        for number, who in enumerate(of.owners):
            if who is None or len(who) < 5 or first_ms[number] > last_ms[number]:
                continue
            life = uid_of(of.raw.labels[number]) or who[4].rpartition("/")[2]
            # It differs between two containers also where no label does.
            if not life and started is not None:
                life = f"started {started[number]:.0f}"
            if life:
                key = (life, observer_of(of.raw.labels[number]))
                begin, end = spans[who[:4]].get(key, (first_ms[number], last_ms[number]))
                spans[who[:4]][key] = (min(begin, int(first_ms[number])), max(end, int(last_ms[number])))
    found: set[Owner] = set()
    values: dict[str, set[str]] = defaultdict(set)
    for who, lives in spans.items():
        for one, other in _at_once(lives) if len(lives) > 1 else ():
            found.add(who[:3])
            for label in {name for name, _ in {*one} ^ {*other}}:
                values[label] |= {dict(each).get(label, "") for each in (one, other)}
    if not found:
        return None
    telling = {label: sorted(texts) for label, texts in sorted(values.items()) if label not in _TARGET_LABELS}
    return Twins(sorted(found), telling or {label: sorted(texts) for label, texts in sorted(values.items())})


def _at_once(lives: Mapping[tuple[str, Observer], tuple[int, int]]) -> Iterator[tuple[Observer, Observer]]:
    """Give the observers of each two lives of one container that overlap for long."""
    for ((life, one), (begin, end)), ((other_life, other), (other_begin, other_end)) in combinations(lives.items(), 2):
        if life == other_life or one == other:
            continue
        overlap_ms = min(end, other_end) - max(begin, other_begin)
        if overlap_ms >= _LEAST_OVERLAP_MS and 2 * overlap_ms >= min(end - begin, other_end - other_begin):
            yield one, other


def _some(values: list[str]) -> str:
    shown = ", ".join(value or "none" for value in values[:_MOST_VALUES_SHOWN])
    return shown + (", ..." if len(values) > _MOST_VALUES_SHOWN else "")


def _first_values(raw: RawSeries, n_series: int) -> np.ndarray:
    found = np.zeros(n_series)
    found[raw.series[::-1]] = raw.value[::-1]
    return found


def _spans(raw: RawSeries, n_series: int) -> tuple[Ints, Ints]:
    first = np.full(n_series, np.iinfo(np.int64).max)
    last = np.full(n_series, np.iinfo(np.int64).min)
    np.minimum.at(first, raw.series, raw.time_ms)
    np.maximum.at(last, raw.series, raw.time_ms)
    return first, last
