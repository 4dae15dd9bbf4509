"""What one model is worth under the conditions of other people's clusters: one training for each fold, many views.

Each deployment is judged by the model of a fold that had not seen it, however it is shown. Whoever wants to know what a
condition costs compares it with a better one on the same containers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.evaluation.asking import part, train_and_judge
from podlab.evaluation.bootstrap import RESAMPLES, Estimate, interval, mean_interval
from podlab.evaluation.dataset import Dataset, read_dataset
from podlab.evaluation.scenarios import BIRTH, RECORDING, Scenario, plan_scenarios
from podlab.evaluation.scores import Scores, resample_macro_f1, score
from podlab.evaluation.splits import plan_splits
from podlab.parallel import side_by_side
from podlab.progress import Progress

_SAME = ["unit", "position"]
_SAID = ["answer", "best_guess"]
_BESIDE = [f"{said}_beside" for said in _SAID]
#: A model of the first recording judges the second, and the other way round.
TO_OTHER, FROM_OTHER = "trained here, tested on the other", "trained on the other, tested here"


@dataclass(frozen=True)
class Conditions:
    """What was found under each condition.

    Attributes
    ----------
    table : DataFrame
        One line for each condition, in the order of the scenarios: ``group, condition, containers`` (``all``,
        ``loaded``, ``idle``), ``horizon_s`` (NaN: all seconds), ``interval_s`` (0: as recorded); with the suffixes
        ``_low`` and ``_high`` for their 95 % intervals over deployments ``macro_f1`` (unknown counts as wrong),
        ``best_guess`` (of the most probable service), ``lost`` and ``guess_lost`` (how much lower than in ``beside``
        they are, on the containers that both show), ``calibration_error`` (of the best guess), ``coverage`` (of the
        95 % sets) and ``set_size``; ``share_known``, ``worst_service, worst_coverage``, ``worst_draw`` (lowest best
        guess of one machine drawn), ``beside``, ``n_deployments, n_containers, n_decisions``.
    scores : dict of tuple of str to Scores
        Of the best guess on all containers, by group and condition.
    decisions : DataFrame
        One line for each answer: ``group, condition, draw, position`` (of the container), ``unit, load, service,
        answer`` (missing: unknown), ``best_guess, confidence, covered, set_size, promise``.
    split : dict
        How it was split.
    services : tuple of str
    n_deployments, n_containers : int
    seconds : float
    """

    table: pd.DataFrame
    scores: dict[tuple[str, str], Scores]
    decisions: pd.DataFrame
    split: dict[str, Any]
    services: tuple[str, ...]
    n_deployments: int
    n_containers: int
    seconds: float

    def line(self, group: str, condition: str, containers: str = "all") -> pd.Series | None:
        """Give one line of the table, None if no container showed that condition."""
        own = self.table[
            (self.table["group"] == group)
            & (self.table["condition"] == condition)
            & (self.table["containers"] == containers)
        ]
        return None if own.empty else own.iloc[0]

    def to_json(self) -> dict[str, Any]:
        """Give plain values, undefined ones as null."""
        rows = [
            {
                name: None if isinstance(value, float) and not np.isfinite(value) else value
                for name, value in row.items()
            }
            for row in self.table.to_dict("records")
        ]
        return {
            "services": list(self.services),
            "n_deployments": self.n_deployments,
            "n_containers": self.n_containers,
            "split": self.split,
            "conditions": rows,
            "seconds": round(self.seconds, 1),
        }


def score_conditions(
    samples: pd.DataFrame,
    *,
    scenarios: Sequence[Scenario] | None = None,
    other: pd.DataFrame | None = None,
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    horizons_s: Sequence[float] | None = None,
    folds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Conditions:
    """Train one model for each fold and let it judge held-out deployments as each scenario shows them.

    Parameters
    ----------
    samples, services, columns, folds, seed, jobs, progress
        As for :func:`podlab.evaluation.evaluate`.
    scenarios : sequence of Scenario, optional
        By default :func:`podlab.evaluation.scenarios.plan_scenarios`.
    other : DataFrame, optional
        Another recording. Of the services that both have, its deployments are dealt to the folds' models, and a model
        trained on it judges those of ``samples``; each at the scenarios from birth that have a horizon.
    horizons_s : sequence of float, optional
        That models are trained for, as for :func:`podlab.identify.fit`.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`.
    """
    began_s = time.monotonic()
    dataset = read_dataset(samples, services)
    plan = plan_splits(dataset.containers, folds=folds, seed=seed)
    asked = tuple(scenarios) if scenarios is not None else plan_scenarios()
    learn = {"columns": columns, "horizons_s": horizons_s, "seed": seed, "jobs": 1}
    elsewhere = _read_other(dataset, other)
    births = [each for each in asked if each.group == BIRTH and each.horizon_s is not None]
    there, back = (
        [replace(each, group=RECORDING, name=f"{each.name}, {how}", beside=each.name) for each in births]
        for how in (TO_OTHER, FROM_OTHER)
    )

    work, whats = [], []
    for number, split in enumerate(plan.splits):
        tests = [part(dataset, split.test, asked)]
        if elsewhere is not None:
            tests.append(part(elsewhere, np.arange(number, len(elsewhere.containers), len(plan.splits)), there))
        work.append(delayed(train_and_judge)(dataset.take(split.train), tests, learn, [seed, number]))
        whats.append(f"fold {number + 1}")
    if elsewhere is not None:
        shared = dataset.containers["service"].isin(elsewhere.containers["service"]).to_numpy(bool)
        tests = [part(dataset, np.flatnonzero(shared), back)]
        work.append(delayed(train_and_judge)(elsewhere.samples, tests, learn, [seed, len(work)]))
        whats.append("the other recording")
    found = pd.concat(side_by_side(work, whats, jobs=jobs, progress=progress), ignore_index=True)

    lines, scores = [], {}
    for scenario in (*asked, *there, *back):
        own = found[(found["group"] == scenario.group) & (found["condition"] == scenario.name)]
        if own.empty:
            continue
        guessed = scores[scenario.group, scenario.name] = _score(own, "best_guess", seed)
        beside = found[found["condition"] == scenario.beside]
        lines.append({**_describe(scenario, "all"), **_judge_all(own, guessed, seed), **_lost(own, beside, seed)})
        for load in ("loaded", "idle") if scenario.group == BIRTH else ():
            some = own[own["load"] == load]
            if len(some):
                guessed = _score(some, "best_guess", seed)
                lines.append({**_describe(scenario, load), **_judge_all(some, guessed, seed)})
    return Conditions(
        table=pd.DataFrame(lines),
        scores=scores,
        decisions=found,
        split=plan.description,
        services=tuple(sorted(set(plan.services))),
        n_deployments=len(set(plan.units)),
        n_containers=len(dataset.containers),
        seconds=time.monotonic() - began_s,
    )


def _read_other(dataset: Dataset, other: pd.DataFrame | None) -> Dataset | None:
    """Read another recording's containers of services that the first one has."""
    if other is None:
        return None
    known = set(dataset.containers["service"])
    shared = sorted(known & set(other["service"].dropna()) if "service" in other else ())
    if len(shared) < 2:
        raise InputError(
            "the other recording has fewer than two of the services", hint="give one of the same services, or none"
        )
    elsewhere = read_dataset(other, shared)
    who = ["pod", "pod_uid", "started_at"]
    if not elsewhere.containers[who].merge(dataset.containers[who]).empty:
        raise InputError("the other recording has containers of this one", hint="give one of other deployments")
    return elsewhere


def _score(own: pd.DataFrame, said: str, seed: int) -> Scores:
    return score(
        own["service"].to_list(),
        _texts(own[said]),
        own["unit"].to_list(),
        containers=own["position"].to_list(),
        confidence=own["confidence"].to_list(),
        seed=seed,
    )


def _texts(answers: pd.Series) -> list[str | None]:
    return [None if pd.isna(answer) else answer for answer in answers]


def _describe(scenario: Scenario, containers: str) -> dict[str, Any]:
    return {
        "group": scenario.group,
        "condition": scenario.name,
        "containers": containers,
        "horizon_s": np.nan if scenario.horizon_s is None else scenario.horizon_s,
        "interval_s": scenario.interval_s,
    }


def _judge_all(own: pd.DataFrame, guessed: Scores, seed: int) -> dict[str, Any]:
    answered = _score(own, "answer", seed)
    coverage, size = (
        mean_interval(own[name].to_numpy(np.float64), own["unit"].to_list(), own["service"].to_list(), seed=seed)
        for name in ("covered", "set_size")
    )
    by_service = own.groupby("service")["covered"].mean()
    draws = [_resample(each, "best_guess", seed, 0)[0] for _, each in own.groupby("draw")]
    return {
        **_spread("macro_f1", answered.macro_f1),
        **_spread("best_guess", guessed.macro_f1),
        **_spread("calibration_error", guessed.calibration_error),
        **_spread("coverage", coverage),
        **_spread("set_size", size),
        "share_known": answered.share_answered.value,
        "worst_service": str(by_service.idxmin()),
        "worst_coverage": float(by_service.min()),
        "worst_draw": min(draws) if len(draws) > 1 else np.nan,
        "n_deployments": answered.n_deployments,
        "n_containers": answered.n_containers,
        "n_decisions": answered.n_decisions,
    }


def _spread(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _lost(own: pd.DataFrame, beside: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Tell what was lost against another condition, on the same containers where both judged them."""
    if beside.empty:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return {**_spread("lost", nothing), **_spread("guess_lost", nothing), "beside": ""}
    both = own.merge(beside[[*_SAME, "answer", "best_guess"]], on=_SAME, suffixes=("", "_beside"))
    after, before, before_seed = (
        both,
        both.drop(columns=_SAID).rename(columns=dict(zip(_BESIDE, _SAID, strict=True))),
        seed,
    )
    if both.empty:  # another recording: other containers of the same services
        after, before, before_seed = own, beside[beside["service"].isin(own["service"])], seed + 1
    found: dict[str, Any] = {}
    for name, said in zip(("lost", "guess_lost"), _SAID, strict=True):
        draws = _resample(before, said, before_seed) - _resample(after, said, seed)
        found |= _spread(name, interval(draws[0], draws[1:], own["unit"].nunique()))
    return found | {"beside": beside["condition"].iloc[0]}


def _resample(own: pd.DataFrame, said: str, seed: int, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    truth, units = own["service"].to_list(), own["unit"].to_list()
    return resample_macro_f1(truth, _texts(own[said]), units, seed=seed, resamples=resamples)
