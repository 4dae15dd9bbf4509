"""Accuracy under the conditions of other clusters: one training for each fold, many ways to show the same containers.

Each deployment is predicted by the model of a fold that had not seen it, however it is shown. What a condition costs is
the difference to a reference condition on the same containers. And what a few labels of one's own are worth there: a
model adapted to them, beside its base and beside own labels alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.evaluation.cross_validation import Model, cross_validate
from podlab.evaluation.dataset import LabelledSamples, read_dataset
from podlab.evaluation.metrics import (
    Estimate,
    interval,
    macro_f1,
    mean_interval,
    resample_predictions,
    score_predictions,
    spread,
)
from podlab.evaluation.scenarios import RECORDING, START, Scenario
from podlab.evaluation.splits import Plan, Split, splits_elsewhere, unit_column
from podlab.identify import Identifier
from podlab.progress import Progress

_SAME = ["unit", "position"]
_ANSWERS = {"lost": "predicted", "guess_lost": "best_guess"}
#: A model of the first recording predicts the second, and the other way round.
TO_OTHER, FROM_OTHER = "trained here, tested on the other", "trained on the other, tested here"


def read_other(dataset: LabelledSamples, other: pd.DataFrame) -> LabelledSamples:
    """Read another recording's containers of services that the first one has.

    Raises InputError if both have fewer than two services in common, or any container.
    """
    known = set(dataset.containers["service"])
    shared = sorted(known & set(other["service"].dropna()) if "service" in other else ())
    if len(shared) < 2:
        what = "the other recording has fewer than two of the services"
        raise InputError(what, hint="give one of the same services, or none")
    elsewhere = read_dataset(other, shared)
    identity = ["pod", "pod_uid", "started_at"]
    if not elsewhere.containers[identity].merge(dataset.containers[identity]).empty:
        raise InputError("the other recording has containers of this one", hint="give one of other deployments")
    return elsewhere


def predict_across(
    dataset: LabelledSamples, plan: Plan, elsewhere: LabelledSamples, scenarios: Sequence[Scenario], model: Model,
    **running: Any,
) -> tuple[pd.DataFrame, list[Scenario]]:  # fmt: skip
    """Predict another recording by models of this one, and this one by a model of the other.

    Parameters
    ----------
    dataset, plan, model
        As for :func:`podlab.evaluation.cross_validate`: each deployment of the other recording is predicted by one
        fold's model.
    elsewhere : LabelledSamples
        From :func:`read_other`. Its model predicts the containers of ``dataset`` whose service it has.
    scenarios : sequence of Scenario
        Of these, those since the start that have a horizon are asked both ways.
    **running
        Further arguments of :func:`podlab.evaluation.cross_validate`.

    Returns
    -------
    predictions : DataFrame
        From :func:`podlab.evaluation.cross_validate`.
    asked : list of Scenario
        Those of group :data:`podlab.evaluation.scenarios.RECORDING` that they are of.
    """
    starts = [each for each in scenarios if each.group == START and each.horizon_s is not None]
    there, back = (
        [replace(each, group=RECORDING, name=f"{each.name}, {how}", reference=each.name) for each in starts]
        for how in (TO_OTHER, FROM_OTHER)
    )
    shared = dataset.containers["service"].isin(elsewhere.containers["service"]).to_numpy(bool)
    whole = [Split(np.arange(len(elsewhere.containers)), np.flatnonzero(shared))]
    distributed = splits_elsewhere(plan, elsewhere.containers)
    found = [
        cross_validate(dataset, distributed, there, model, tested=elsewhere, **running),
        cross_validate(elsewhere, whole, back, model, tested=dataset, **running),
    ]
    return pd.concat(found, ignore_index=True), [*there, *back]


def tabulate_conditions(predictions: pd.DataFrame, scenarios: Sequence[Scenario], *, seed: int = 0) -> pd.DataFrame:
    """Score predictions under each scenario, and what each loses against its reference.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`podlab.evaluation.cross_validate`.
    scenarios : sequence of Scenario
        Those that were asked; one that no container showed has no line.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``group, condition, containers`` (``all``; ``loaded`` and ``idle`` since the start), ``horizon_s`` (NaN: all
        seconds), ``interval_s`` (0: as recorded); with ``_low`` and ``_high`` for their 95 % intervals over deployments
        ``macro_f1`` (unknown counts as wrong), ``best_guess`` (of the most probable service), ``calibration_error`` (of
        the best guess), ``coverage`` (of the 95 % sets), ``set_size``, ``lost`` and ``guess_lost`` (how much lower than
        in ``beside`` the first two are, on the containers that both show); ``share_known``, ``worst_service,
        worst_coverage``, ``worst_draw`` (lowest best guess of one machine drawn), ``beside``, ``n_deployments,
        n_containers, n_decisions``.
    """
    rows = []
    for scenario in scenarios:
        of_scenario = (predictions["scenario_group"] == scenario.group) & (predictions["scenario"] == scenario.name)
        own = predictions[of_scenario]
        if own.empty:
            continue
        reference = predictions[predictions["scenario"] == scenario.reference]
        rows.append(_score_condition(own, scenario, "all", seed) | _lost(own, reference, seed))
        for activity in ("loaded", "idle") if scenario.group == START else ():
            some = own[own["activity"] == activity]
            if len(some):
                rows.append(_score_condition(some, scenario, activity, seed))
    return pd.DataFrame(rows)


def _score_condition(own: pd.DataFrame, scenario: Scenario, containers: str, seed: int) -> dict[str, Any]:
    predicted, guessed = (score_predictions(own, answer, seed=seed) for answer in ("predicted", "best_guess"))
    units, services = own["unit"].to_list(), own["service"].to_list()
    sets = [inside or () for inside in own["prediction_set"]]
    covered = np.array([service in inside for service, inside in zip(services, sets, strict=True)], dtype=np.float64)
    coverage = mean_interval(covered, units, services, seed=seed)
    set_size = mean_interval(np.array([len(inside) for inside in sets], dtype=np.float64), units, services, seed=seed)
    by_service = pd.Series(covered).groupby(services).mean()
    draws = [macro_f1(each, "best_guess") for _, each in own.groupby("draw")]
    return {
        "group": scenario.group,
        "condition": scenario.name,
        "containers": containers,
        "horizon_s": np.nan if scenario.horizon_s is None else scenario.horizon_s,
        "interval_s": scenario.interval_s,
        **spread("macro_f1", predicted.macro_f1),
        **spread("best_guess", guessed.macro_f1),
        **spread("calibration_error", guessed.calibration_error),
        **spread("coverage", coverage),
        **spread("set_size", set_size),
        "share_known": predicted.share_answered.value,
        "worst_service": str(by_service.idxmin()),
        "worst_coverage": float(by_service.min()),
        "worst_draw": min(draws) if len(draws) > 1 else np.nan,
        "n_deployments": predicted.n_deployments,
        "n_containers": predicted.n_containers,
        "n_decisions": predicted.n_decisions,
    }


def _lost(own: pd.DataFrame, reference: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Score what was lost against another condition, on the same containers where both show them."""
    if reference.empty:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return {**spread("lost", nothing), **spread("guess_lost", nothing), "beside": ""}
    answers = list(_ANSWERS.values())
    after = own.merge(reference[[*_SAME, *answers]], on=_SAME, suffixes=("", "_before"))
    before, before_seed = after.assign(**{name: after[f"{name}_before"] for name in answers}), seed
    if after.empty:  # another recording: other containers of the same services
        after, before, before_seed = own, reference[reference["service"].isin(own["service"])], seed + 1
    found: dict[str, Any] = {}
    for name, answer in _ANSWERS.items():
        draws = resample_predictions(before, answer, seed=before_seed) - resample_predictions(after, answer, seed=seed)
        found |= spread(name, interval(draws[0], draws[1:], own["unit"].nunique()))
    return found | {"beside": reference["scenario"].iloc[0]}


#: What is compared: in :func:`compare_own_labels`, the column ``model``.
BASE, OWN, BOTH = "base model", "own labels alone", "base and own labels"
#: How many labelled deployments of each service, besides none.
LABELS: Final = (1, 2, 5)


@dataclass
class AdaptedModel:
    """A fitted identifier that takes part in :func:`podlab.evaluation.cross_validate`: it learns by being adapted."""

    base: Identifier  # stays as it is
    #: False: it predicts without having learned anything.
    learns: bool = True
    group: str = "deployment"  # column with the independent deployments
    adapted_: Identifier = field(init=False, repr=False)

    def fit(self, samples: pd.DataFrame, /) -> Self:
        """Adapt the identifier of the samples' columns; the others would not be asked."""
        there = [name for name in FEATURE_METRICS if name in samples and samples[name].notna().any()]
        own = self.base.for_columns(there)
        self.adapted_ = own.adapt(samples, group=self.group) if self.learns else own
        return self

    def predict(self, samples: pd.DataFrame, /, *, horizon_s: float | None = None) -> pd.DataFrame:
        """See :meth:`podlab.evaluation.cross_validation.Model.predict`."""
        return self.adapted_.predict(samples, horizon_s=horizon_s)


def compare_own_labels(
    base: Identifier, samples: pd.DataFrame, labels: Sequence[int] = LABELS, *, horizons_s: Sequence[float] = (60.0,),
    draws: int = 5, group: str = "deployment", seed: int = 0, jobs: int | None = None,
    cache: Path | str | None = None, progress: Progress | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Label some deployments of each service, adapt a model to them, and let it predict the others.

    Raises InputError if no service has more deployments than are labelled at most.

    Parameters
    ----------
    base : Identifier
        Trained elsewhere.
    samples : DataFrame
        A checked samples table of one's own, all labelled; the labels of some are used.
    labels : sequence of int
        How many deployments of each service are labelled.
    horizons_s : sequence of float
        Seconds since the start that are predicted from.
    draws : int
        How often they are drawn. In one draw all numbers of labels are tested on the same deployments.
    group : str
        Column with the deployments.
    seed, jobs, cache, progress
        As for :func:`podlab.evaluation.cross_validate`.

    Returns
    -------
    DataFrame
        As :func:`podlab.evaluation.cross_validate` gives it, with the column ``labels``; ``model`` is :data:`BASE` (0
        labels), :data:`OWN` or :data:`BOTH`.
    """
    if not labels or min(labels) < 1 or draws < 1:
        raise InputError("give at least one number of labels, and one draw", where="own labels")
    dataset = read_dataset(samples)
    splits = {count: [_draw(dataset, count, max(labels), group, [seed, draw]) for draw in range(draws)]
              for count in sorted(set(labels))}  # fmt: skip
    options: dict[str, Any] = {"seed": seed, "jobs": jobs, "cache": cache, "progress": progress}
    fresh = Identifier(group=group, horizons_s=[each.length_s for each in base.windows if each.kind == "startup"])
    models: dict[str, Identifier | Model] = {OWN: fresh, BOTH: AdaptedModel(base, group=group)}
    before = {BASE: AdaptedModel(base, learns=False)}
    found = [cross_validate(dataset, splits[min(labels)], horizons_s, before, **options).assign(labels=0)]
    for count, own in splits.items():
        told = cross_validate(dataset, own, horizons_s, models, what=f"{count} labels", **options)
        found.append(told.assign(labels=count))
    return pd.concat(found, ignore_index=True)


def _draw(dataset: LabelledSamples, labelled: int, most: int, group: str, seed: list[int]) -> Split:
    """Label so many deployments of each service; test those that are not labelled even if most are."""
    unit = unit_column(dataset.containers, group)
    first = dataset.containers[[unit, "service"]].drop_duplicates(unit)
    order = first.iloc[np.random.default_rng(seed).permutation(len(first))]
    place = dataset.containers[unit].map(dict(zip(order[unit], order.groupby("service").cumcount(), strict=True)))
    train, test = (np.flatnonzero(chosen) for chosen in (place < labelled, place >= most))
    if not test.size:
        raise InputError(f"no service has more than {most} deployments", where="own labels", hint="label fewer")
    return Split(train, test)
