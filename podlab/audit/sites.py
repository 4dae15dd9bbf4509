"""Can the site be told from the metrics? A domain classifier between sites, by group of metrics and by window.

What a classifier can tell apart, a model may have learned in a service's place. At 0.5 nothing of a site can be seen;
near 1 a model that never saw the site meets values that are new to it. The first seconds are looked at by themselves:
in them the recording's harness acts (when containers are started, probed and first asked), not the service alone.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]
from sklearn.ensemble import ExtraTreesClassifier

from podlab.audit.look import BIRTH, MIDLIFE, Look, take_looks, thin_looks
from podlab.audit.separation import Trial
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.evaluation.splits import plan_splits

#: Length of the window that holds what the harness does first.
FIRST_S: Final = 10.0
_RESAMPLES: Final = 200


def separate_sites(
    samples: pd.DataFrame, trial: Trial, *, length_s: float = 60.0, per_service: int = 0
) -> pd.DataFrame:
    """Score how well a forest tells sites apart in deployments that it has not seen.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service``, ``deployment`` and ``site``.
    trial : Trial
        Folds, trees and seed.
    length_s : float
        Length of the windows from birth and of mid-life; the first :data:`FIRST_S` are a window of their own.
    per_service : int
        Only so many deployments of each service and site, drawn at random; 0 for all.

    Returns
    -------
    DataFrame
        One line per window and family of metrics (first all together): ``window``, ``features``, ``number`` (of
        features), ``auc`` (area under the receiver operating characteristic; of more than two sites the mean over
        each against the others), ``low``, ``high`` (95 %, by bootstrap over deployments), ``deployments``, ``sites``.
        Empty where fewer than two sites were recorded.
    """
    columns = ["window", "features", "number", "auc", "low", "high", "deployments", "sites"]
    if "site" not in samples or samples["site"].nunique() < 2:
        return pd.DataFrame(columns=columns)
    told = samples[samples["site"].notna()].reset_index(drop=True)
    whole = take_looks(told, length_s=length_s)
    windows: dict[str, Look] = {}
    if BIRTH in whole:
        windows[f"first {FIRST_S:g} s"] = take_looks(told, length_s=FIRST_S)[BIRTH]
        windows[f"first {length_s:g} s"] = whole[BIRTH]
    if MIDLIFE in whole:
        windows[f"{length_s:g} s of mid-life"] = whole[MIDLIFE]
    windows = thin_looks(windows, per_service * samples["site"].nunique(), seed=trial.seed)
    families = list(dict.fromkeys(CATALOGUE[name].family for name in MEASURED_METRICS))
    parts: dict[str, tuple[str, ...]] = {"all": MEASURED_METRICS}
    parts |= {family: tuple(m for m in MEASURED_METRICS if CATALOGUE[m].family == family) for family in families}
    asked = [
        (window, part, look.only(columns_of))
        for window, look in windows.items()
        if len(look.deployments["site"].unique()) > 1
        for part, columns_of in parts.items()
    ]
    asked = [(window, part, look) for window, part, look in asked if look.names]
    found = Parallel(n_jobs=trial.jobs or cpu_count())(delayed(_auc)(look, trial) for _, _, look in asked)
    rows = [
        {
            "window": window,
            "features": part,
            "number": len(look.names),
            **scores,
            "deployments": len(look.deployments),
            "sites": look.deployments["site"].nunique(),
        }
        for (window, part, look), scores in zip(asked, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _auc(look: Look, trial: Trial) -> dict[str, float]:
    """Out-of-fold AUC with its interval; folds are of deployments and spread each site over all of them."""
    sites = look.deployments["site"].to_numpy(object).astype(str)
    plan = plan_splits(look.deployments.assign(service=sites), folds=trial.folds, seed=trial.seed)
    names = np.unique(sites)
    probability = np.full((len(sites), names.size), np.nan)
    for split in plan.splits:
        model: Any = ExtraTreesClassifier(trial.trees, class_weight="balanced", random_state=trial.seed)
        model.fit(look.X[split.train], sites[split.train])
        there = np.searchsorted(names, model.classes_)
        probability[np.ix_(split.test, there)] = model.predict_proba(look.X[split.test])
    tested = np.isfinite(probability).any(axis=1)
    scores, truth = np.nan_to_num(probability[tested]), sites[tested]
    rng = np.random.default_rng(trial.seed)
    drawn = [
        _mean_auc(truth[chosen], scores[chosen], names)
        for chosen in (rng.integers(0, truth.size, truth.size) for _ in range(_RESAMPLES))
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"auc": _mean_auc(truth, scores, names), "low": float(low), "high": float(high)}


def _mean_auc(truth: NDArray[np.str_], scores: NDArray[np.float64], names: NDArray[np.str_]) -> float:
    """Mean over sites of the AUC of each against all others; NaN where there is one only."""
    one_by_one = []
    for place, name in enumerate(names):
        own = truth == name
        here, there = int(own.sum()), int((~own).sum())
        if here and there:
            # Mann and Whitney's U by ranks: hundreds of resamples are asked for.
            above = rankdata(scores[:, place])[own].sum() - here * (here + 1) / 2
            one_by_one.append(above / (here * there))
    return float(np.mean(one_by_one)) if one_by_one else float("nan")
