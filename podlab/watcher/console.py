"""What the watcher's page shows, as JSON values: an overview that is searched and filtered here, and one container.

Everything is bounded: a page of 10,000 containers is never sent, a container's series have as many points as the sample
buffer keeps rows, and evidence is computed for one container at a time.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator
from math import isfinite, isnan
from typing import Any, Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, describe_metric
from podlab.features.rows import Rows, levels_or_rates
from podlab.features.windows import ALL_SERIES
from podlab.identify.explain import explain
from podlab.watcher.containers import TrackedContainer, describe, to_iso
from podlab.watcher.loop import Watcher
from podlab.watcher.workloads import key_of

#: Containers, and workloads of each kind, that an overview has; all are in ``/containers`` and ``/workloads``.
MOST_ROWS: Final = 200
_MOST_WORKLOADS: Final = 50
_MOST_NAMESPACES: Final = 500
_MOST_WORDS: Final = 10
#: An explanation asks the model some hundred times about a container: of so many of its samples, and not again within
#: so many seconds.
_EXPLAINED_ROWS: Final = 60
_EXPLAINED_S: Final = 30.0
_MOST_EXPLAINED: Final = 16


class Console:
    """Describes what a watcher knows; from any thread.

    ``steady`` is its clock that never goes back.
    """

    def __init__(self, watcher: Watcher, steady: Callable[[], float]) -> None:
        self._watcher = watcher
        self._steady = steady
        self._one_at_a_time = threading.Lock()
        self._explained: dict[int, tuple[float, dict[str, object] | None]] = {}

    def containers(self) -> Iterator[dict[str, object]]:
        """Describe every container."""
        for tracked in self._watcher.registry.containers():
            yield self._describe(tracked)
        cluster = self._watcher.options.cluster
        for view in self._watcher.registry.not_started():
            found = describe(view, cluster, None, None)
            yield {**found, "state": "not started", "running": False, "reason": view.reason}

    def workloads(self) -> Iterator[dict[str, object]]:
        """Describe every workload."""
        registry = self._watcher.workloads
        return (registry.describe(verdict) for verdict in registry.verdicts.values())

    def overview(self, search: str = "", show: str = "", namespace: str = "") -> dict[str, object]:
        """Describe the watcher's findings, and the containers that match: what to look at first, then by decision.

        Parameters
        ----------
        search : str
            Words that must all be in a container's names, node, service or claim.
        show : str
            A state or a flag of containers; ``attention`` means any flag, and nothing all containers.
        namespace : str
            Only its containers; nothing means all.
        """
        watcher, words = self._watcher, search.lower().split()[:_MOST_WORDS]
        cluster = watcher.options.cluster
        containers = watcher.registry.containers()
        views = watcher.registry.not_started()
        by_state = dict.fromkeys(("decided", "unknown", "waiting", "not started"), 0) | {"not started": len(views)}
        anomalous, found = 0, []
        for tracked in containers:
            state, flags = _state(tracked), self._flags(tracked)
            by_state[state] += 1
            anomalous += "anomalous" in flags
            decision = tracked.decision
            if (not show or show == state or show in flags or (show == "attention" and flags)) and _matches(
                tracked.view, namespace, words, (decision and decision.service) or "", tracked.claim or ""
            ):
                found.append((not flags, -(decision.at_s if decision else 0.0), tracked.number, tracked))
        starting = [v for v in views if show in ("", "not started") and _matches(v, namespace, words)]
        first = [self._describe(each[-1]) for each in heapq.nsmallest(MOST_ROWS, found)]
        first += [
            {**describe(view, cluster, None, None), "state": "not started", "reason": view.reason, "flags": []}
            for view in starting[: MOST_ROWS - len(first)]
        ]
        workloads = watcher.workloads
        miners = [each for _, each in workloads.miner_like(_MOST_WORKLOADS)]
        mismatching, disagreeing = workloads.mismatching(_MOST_WORKLOADS), workloads.disagreeing(_MOST_WORKLOADS)
        to_look_at = {each.key: each for each in mismatching + miners + disagreeing}
        name, _, digest = watcher.model.name.partition("@")
        namespaces = sorted({each.view.namespace for each in containers} | {view.namespace for view in views})
        return {
            "model": f"{name}@{digest[:12]}", "model_refused": watcher.model.refused,
            "source_trouble": watcher.health.trouble or watcher.database_error,
            "containers_by_state": by_state, "workloads_by_state": workloads.counts(),
            "claims": workloads.claims() if watcher.options.claims else None,
            "anomalous": anomalous if watcher.monitor else None,
            "namespaces": namespaces[:_MOST_NAMESPACES],
            "workloads": [workloads.describe(each) for each in to_look_at.values()],
            "containers": first, "matching": len(found) + len(starting), "all": len(containers) + len(views),
        }  # fmt: skip

    def detail(self, pod_uid: str, container: str) -> dict[str, object] | None:
        """Describe one container, with the samples kept of it and the evidence in them; None if there is none.

        Its samples are fetched with the rounds of the next minute, also where it is not checked any more.
        """
        watcher = self._watcher
        tracked = watcher.registry.find(pod_uid, container)
        if tracked is None:
            return None
        _, rows = watcher.inspect(tracked).rows_of([tracked], watcher.options.cluster)
        verdict, began_s = watcher.workloads.verdicts.get(key_of(tracked)), tracked.started_at.timestamp()
        return {
            **self._describe(tracked),
            **({"behaviour": does.text, "miner_score": does.rounded_score} if (does := tracked.behaviour) else {}),
            "claim_p_value": None if isnan(tracked.claim_p_value) else tracked.claim_p_value,
            "workload_verdict": verdict and watcher.workloads.describe(verdict),
            "samples": rows.offset_s.size,
            **{
                f"{which}_sample": to_iso(began_s + float(rows.offset_s[place])) if rows.offset_s.size else None
                for which, place in (("first", 0), ("last", -1))
            },
            "series": list(_series(rows)),
            "evidence": self._evidence(tracked, rows),
        }

    def _describe(self, tracked: TrackedContainer) -> dict[str, object]:
        monitor = self._watcher.monitor
        return {
            **tracked.describe(self._watcher.options.cluster), "state": _state(tracked),
            "running": tracked.view.state == "running", "claim": tracked.claim, "flags": self._flags(tracked),
            **(monitor.describe(tracked) if monitor else {"watched": "off"}),
        }  # fmt: skip

    def _flags(self, tracked: TrackedContainer) -> list[str]:
        """List why somebody should look at a container."""
        monitor, workloads, key = self._watcher.monitor, self._watcher.workloads, key_of(tracked)
        verdict, decision = workloads.verdicts.get(key), tracked.decision
        flags = ["mismatch"] if key in workloads.mismatches else []
        if tracked.behaviour is not None:
            flags.append("miner-like")
        if monitor is not None and monitor.state(tracked) == "anomalous":
            flags.append("anomalous")
        if verdict is not None and verdict.disagreeing and decision is not None and decision.service != verdict.service:
            flags.append("disagrees")
        return flags

    def _evidence(self, tracked: TrackedContainer, rows: Rows) -> dict[str, object] | None:
        if not rows.offset_s.size:
            return None
        now_s = self._steady()
        with self._one_at_a_time:
            at_s, evidence = self._explained.get(tracked.number, (-np.inf, None))
            if now_s - at_s < _EXPLAINED_S:
                return evidence
            place = np.unique(np.linspace(0, rows.offset_s.size - 1, _EXPLAINED_ROWS).astype(np.int64))
            table, identifier = _table(rows, place), self._watcher.model.identifier
            [explanation] = explain(identifier, table, identifier.identify(table))
            evidence = None if explanation is None else explanation.to_json()
            while len(self._explained) >= _MOST_EXPLAINED:
                del self._explained[next(iter(self._explained))]
            self._explained[tracked.number] = now_s, evidence
        return evidence


def _state(tracked: TrackedContainer) -> str:
    decision = tracked.decision
    return "waiting" if decision is None else "unknown" if decision.service is None else "decided"


def _matches(view: Any, namespace: str, words: list[str], *more: str) -> bool:
    if namespace and view.namespace != namespace:
        return False
    text = " ".join((view.namespace, view.pod, view.container, view.node or "", *more)).lower() if words else ""
    return all(word in text for word in words)


def _series(rows: Rows) -> Iterator[dict[str, object]]:
    """Give the levels and rates of one container's samples, of each metric that has two values at least."""
    for name, columns in ALL_SERIES.items():
        column = next((each for each in columns if each in rows.valid and rows.valid[each].any()), None)
        if column is None:
            continue
        metric, there = CATALOGUE[column], np.flatnonzero(rows.valid[column])
        rate = metric.kind == "counter"
        there = there[1:] if rate else there
        at_s, values = rows.offset_s[there], levels_or_rates(rows, column)[there]
        if metric.unit in ("ns", "1e-9 cores"):
            values *= 1e-9
        points = [
            [round(at, 1), float(f"{value:.4g}") if isfinite(value) else None]
            for at, value in zip(at_s.tolist(), values.tolist(), strict=True)
        ]
        if sum(value is not None for _, value in points) >= 2:
            unit = "cores" if metric.unit in ("ns", "1e-9 cores") else metric.unit
            yield {"metric": name, "words": describe_metric(name), "unit": unit, "rate": rate, "points": points}


def _table(rows: Rows, place: np.ndarray[Any, np.dtype[np.int64]]) -> pd.DataFrame:
    """Make some rows of one container a samples table."""
    table = rows.containers.iloc[np.zeros(place.size, dtype=np.int64)].reset_index(drop=True)
    table["time"] = table["started_at"] + pd.to_timedelta(rows.offset_s[place], unit="s").as_unit("ns")
    for name, values in rows.values.items():  # noqa: PD011
        own = pd.Series(values[place])
        table[name] = (own.astype("Int64") if CATALOGUE[name].kind == "counter" else own).where(rows.valid[name][place])
    return table
