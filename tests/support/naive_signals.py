"""One container's signals sample by sample, as a reader can check: the twin of the vectorised state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from podlab.data.catalogue import CATALOGUE
from podlab.detect.signals import (
    FAST_S,
    LONGEST_STEP_S,
    MAX_CHANGE,
    SIGNALS,
    SLOW_S,
    SPREAD_S,
    UNDER_A_LIMIT,
    unit_of,
)
from podlab.features.windows import ALL_SERIES


def naive_signals(
    samples: Sequence[tuple[float, Mapping[str, float]]],
) -> list[tuple[dict[str, float], dict[str, float], dict[str, float]]]:
    """Signals, changes and their mean squares of samples (time, values by metric) of a container that learns."""
    limits = UNDER_A_LIMIT.intersection(name for _, values in samples for name in values)
    last: dict[str, tuple[float, float]] = {}
    mean: dict[str, tuple[float, float]] = {}
    usual: dict[str, list[float]] = {}
    told = []
    for time_s, values in samples:
        rates, levels = {}, {}
        for metric, value in values.items():
            if metric in last and time_s - last[metric][0] >= 1e-3:
                rates[metric] = (value - last[metric][1]) / (time_s - last[metric][0])
                if CATALOGUE[metric].kind == "counter" and rates[metric] < 0:
                    del rates[metric]
            if CATALOGUE[metric].kind == "gauge":
                levels[metric] = value
            last[metric] = (time_s, value)
        if not values.keys().isdisjoint(ALL_SERIES["cpu_usage_nanocores"]):
            rates |= dict.fromkeys(limits - values.keys(), 0.0)
        now: dict[str, float] = {}
        for name in SIGNALS:
            if " per " in name:
                left, right = name.split(" per ")
                if left in now and right in now:
                    now[name] = now[left] - now[right]
                continue
            series = name.removesuffix(".growth")
            for metric in ALL_SERIES[series]:
                counted = CATALOGUE[metric].kind == "counter"
                found = (rates if counted or name.endswith(".growth") else levels).get(metric)
                if found is not None:
                    before_s, before = mean.get(name, (-math.inf, 0.0))
                    share = 1 - math.exp(-max(time_s - before_s, 0.0) / FAST_S)
                    mean[name] = (time_s, before + share * (found - before))
                    now[name] = math.asinh(mean[name][1] / unit_of(name))
                    break
        changes = {name: now[name] - usual[name][0] for name in now if name in usual}
        told.append((now, changes, {name: own[3] for name, own in usual.items()}))
        for name, value in now.items():
            if name not in usual:
                usual[name] = [value, time_s, 0.0, 0.0]
                continue
            centre, before_s, learned_s, square = usual[name]
            step_s = min(max(time_s - before_s, 0.0), LONGEST_STEP_S)
            total_s = learned_s + step_s
            part = step_s / total_s if total_s else 0.0
            share = max(part, 1 - math.exp(-step_s / SLOW_S))
            change = max(-MAX_CHANGE, min(MAX_CHANGE, value - centre))
            square += max(part, 1 - math.exp(-step_s / SPREAD_S)) * (change**2 - square)
            usual[name] = [centre + share * (value - centre), time_s, total_s, square]
    return told
