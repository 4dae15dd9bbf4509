"""How well novelty tells containers of services that no model knows from held-out containers of known ones.

To refuse a stranger is worth something only if the others are still accepted, so both are always judged together: by
models that had seen neither the strangers' service nor the others' deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.evaluation.metrics import Estimate, draw_weights, interval, wilson

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Share of known containers that is to stay known where strangers that pass are counted.
KEPT = 0.95
#: What containers can be ordered by; the last one is the control, which no protocol may make look good.
NOVELTY, DOUBT, RANDOM = "novelty", "1 - confidence", "dealt at random"
#: Which strangers.
ALL, NEAR, FAR = "all", "near", "far"
_OF_ONE_SERVICE = [
    "service", "near", "auroc", "auroc_low", "auroc_high", "passing", "caught", "caught_low", "caught_high",
    "taken_for", "share", "n_deployments",
]  # fmt: skip


@dataclass(frozen=True)
class Separation:
    """How well strangers were told from known containers.

    Attributes
    ----------
    auroc : Estimate
        Probability that a stranger looks more novel than a known container; 0.5 is chance.
    fpr_at_95 : Estimate
        Share of strangers that pass for known where 95 % of the known do.
    known_kept, unknown_caught : Estimate
        At the model's own threshold: share of known containers that stay known, of strangers that are refused.
    n_known, n_unknown : int
        Deployments.
    """

    auroc: Estimate
    fpr_at_95: Estimate
    known_kept: Estimate
    unknown_caught: Estimate
    n_known: int
    n_unknown: int


def separate(decisions: pd.DataFrame, *, by: str = NOVELTY, seed: int = 0) -> Separation:
    """Measure how well strangers are told from known containers, with 95 % intervals over deployments.

    Parameters
    ----------
    decisions : DataFrame
        From :func:`decisions_of`; some strange, some not.
    by : str
        Order them by :data:`NOVELTY`, :data:`DOUBT` or :data:`RANDOM`, whose intervals are what chance spans. The
        model's own threshold is one of novelty: for the other orders it is undefined.
    seed : int
        Of the bootstrap and of the control.
    """
    return _separate(decisions, _draws(decisions, seed), by, seed)


def _separate(decisions: pd.DataFrame, weights: FloatArray, by: str, seed: int) -> Separation:
    strange = decisions["strange"].to_numpy(bool)
    known, unknown = weights * ~strange, weights * strange
    if by == RANDOM:
        # Who is strange is dealt anew in each draw.
        dealt = np.random.default_rng([seed, 4]).permuted(np.tile(strange, (len(weights), 1)), axis=1)
        known, unknown = (~dealt).astype(np.float64), dealt.astype(np.float64)
    values = _order_by(decisions, by)
    with np.errstate(invalid="ignore"):
        below, passed = _up_to(values, known), _up_to(values, unknown)
        auroc, fpr = _auroc(below, passed), _passing(below, passed)
        kept, caught = np.full((2, len(weights)), np.nan)
        if by == NOVELTY:
            said = decisions["known"].to_numpy(bool)
            kept, caught = _share(known, said), _share(unknown, ~said)
    if by == RANDOM:
        auroc[0], fpr[0] = auroc.mean(), fpr.mean()
    n_known, n_unknown = (decisions.loc[own, "unit"].nunique() for own in (~strange, strange))
    return Separation(
        auroc=interval(auroc[0], auroc[1:], n_unknown),
        fpr_at_95=interval(fpr[0], fpr[1:], n_unknown),
        known_kept=interval(kept[0], kept[1:], n_known),
        unknown_caught=interval(caught[0], caught[1:], n_unknown),
        n_known=n_known,
        n_unknown=n_unknown,
    )


def _share(weights: FloatArray, hit: BoolArray) -> FloatArray:
    # Rounded, so that all of them is 1 and not nearly 1.
    return np.asarray(np.round(weights @ hit / weights.sum(axis=1), 12))


def _order_by(decisions: pd.DataFrame, by: str) -> FloatArray:
    if by == DOUBT:
        return 1.0 - decisions["confidence"].to_numpy(np.float64)
    return decisions["novelty"].to_numpy(np.float64)


def _draws(decisions: pd.DataFrame, seed: int) -> FloatArray:
    """Draw each decision's weight, the same for all of one deployment; first that all count once (1 + draws, n)."""
    unit, names = pd.factorize(decisions["unit"])
    first = np.array([np.flatnonzero(unit == n)[0] for n in range(len(names))], dtype=np.intp)
    drawn = draw_weights(decisions["service"].to_numpy(object)[first].tolist(), seed=seed)[:, unit]
    return np.vstack([np.ones(len(decisions)), drawn])


def _up_to(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Add up weights (n_draws, n) of all that have no more than each level of the values (n_draws, n_levels)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf) > 0)
    return np.asarray(np.add.reduceat(weights[:, order], starts, axis=1).cumsum(axis=1))


def _auroc(known: FloatArray, unknown: FloatArray) -> FloatArray:
    """Area under the curve from cumulated weights; ties count half (Mann and Whitney 1947)."""
    own = np.diff(unknown, axis=1, prepend=0.0)
    below = known - np.diff(known, axis=1, prepend=0.0) / 2
    return np.asarray((own * below).sum(axis=1) / (known[:, -1] * unknown[:, -1]))


def _passing(known: FloatArray, unknown: FloatArray) -> FloatArray:
    """Share of the unknown up to the lowest level that keeps :data:`KEPT` of the known (n_draws,)."""
    level = (known >= KEPT * known[:, -1:] - 1e-9).argmax(axis=1)
    return np.asarray(unknown[np.arange(len(level)), level] / unknown[:, -1])


def near_services(decisions: pd.DataFrame, relatives: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Name the strange services of which a relative is known.

    Parameters
    ----------
    decisions : DataFrame
    relatives : mapping of str to sequence of str
        Services that are like a service; one that is not there has none.
    """
    known = set(decisions.loc[~decisions["strange"], "service"])
    strange = set(decisions.loc[decisions["strange"], "service"])
    return frozenset(name for name in strange if (set(relatives.get(name, ())) - {name}) & known)


def decisions_of(predictions: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """Choose what was predicted under one scenario: ``strange`` says that no training knew the service."""
    own = predictions[predictions["scenario"] == scenario].reset_index(drop=True)
    return own.rename(columns={"unknown": "strange", "best_guess": "best"})


def separation_table(
    predictions: pd.DataFrame, scenarios: Sequence[str], relatives: Mapping[str, Sequence[str]], *, seed: int = 0
) -> pd.DataFrame:
    """Measure how well strangers are told, by how containers were seen and by how strange they are.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`podlab.evaluation.cross_validate`.
    scenarios : sequence of str
        Names of those asked.
    relatives : mapping of str to sequence of str
        As for :func:`near_services`.
    seed : int

    Returns
    -------
    DataFrame
        ``scenario, unknown`` (``all``, ``near``: a relative is known, ``far``), ``by`` (novelty; for all of them also
        what it must be compared with), for each score of :class:`Separation` its value, ``_low`` and ``_high``;
        ``n_known, n_unknown`` (deployments). Nothing where there is no stranger or no known container.
    """
    lines = []
    for scenario in scenarios:
        decisions = decisions_of(predictions, scenario)
        weights = _draws(decisions, seed)
        near = decisions["service"].isin(near_services(decisions, relatives)).to_numpy(bool)
        known = ~decisions["strange"].to_numpy(bool)
        for unknown, own in {ALL: known | True, NEAR: known | near, FAR: known | ~near}.items():
            part = decisions[own]
            if part["strange"].nunique() < 2:
                continue
            for by in (NOVELTY, DOUBT, RANDOM) if unknown == ALL else (NOVELTY,):
                found = _separate(part, weights[:, own], by, seed)
                lines.append({"scenario": scenario, "unknown": unknown, "by": by, **_flat(found)})
    return pd.DataFrame(lines)


def _flat(found: Separation) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name in ("auroc", "fpr_at_95", "known_kept", "unknown_caught"):
        own: Estimate = getattr(found, name)
        flat |= {name: own.value, f"{name}_low": own.low, f"{name}_high": own.high}
    return {**flat, "n_known": found.n_known, "n_unknown": found.n_unknown}


def by_unknown_service(
    decisions: pd.DataFrame, relatives: Mapping[str, Sequence[str]], *, seed: int = 0
) -> pd.DataFrame:
    """Tell of each strange service how well it was told from the known ones, and what it was taken for.

    Returns
    -------
    DataFrame
        ``service``; ``near``, its known relatives; ``auroc, auroc_low, auroc_high``; ``passing``, as ``fpr_at_95``;
        ``caught, caught_low, caught_high`` (the model's own threshold; Wilson's interval for as many cases as there
        are deployments); ``taken_for``, the service most often the most probable one, and its ``share``;
        ``n_deployments``. The one best told comes last.
    """
    weights = _draws(decisions, seed)
    strange = decisions["strange"].to_numpy(bool)
    known = set(decisions.loc[~strange, "service"])
    lines = []
    for service, own in decisions[strange].groupby("service"):
        chosen = ~strange | (decisions["service"] == service).to_numpy(bool)
        found = _separate(decisions[chosen], weights[:, chosen], NOVELTY, seed)
        caught = wilson(found.unknown_caught.value, found.n_unknown)
        guesses = own["best"].value_counts()
        lines.append(
            {
                "service": service,
                "near": ", ".join(sorted(set(relatives.get(str(service), ())) & known - {service})),
                **{name: value for name, value in _flat(found).items() if name.startswith("auroc")},
                "passing": found.fpr_at_95.value,
                "caught": caught.value,
                "caught_low": caught.low,
                "caught_high": caught.high,
                "taken_for": guesses.index[0] if len(guesses) else None,
                "share": guesses.iloc[0] / len(own) if len(guesses) else np.nan,
                "n_deployments": found.n_unknown,
            }
        )
    if not lines:
        return pd.DataFrame(columns=_OF_ONE_SERVICE)
    return pd.DataFrame(lines)[_OF_ONE_SERVICE].sort_values(["auroc", "service"], ignore_index=True)


def risk_coverage(
    decisions: pd.DataFrame, *, orders: Sequence[str] = (NOVELTY, DOUBT), points: int = 50, seed: int = 0
) -> pd.DataFrame:
    """Tell how often an answer is wrong when only the most familiar (or least doubtful) containers are answered.

    Any answer about a stranger is wrong. (El-Yaniv and Wiener 2010, "On the foundations of noise-free selective
    classification", JMLR 11:1605.)

    Returns
    -------
    DataFrame
        ``by`` (each of the orders), ``coverage`` (share of all containers that is answered), ``risk, risk_low,
        risk_high`` (share of these answers that is wrong), ``n_deployments``.
    """
    wrong = decisions["strange"].to_numpy(bool) | (decisions["best"] != decisions["service"]).to_numpy(bool)
    weights = _draws(decisions, seed)
    coverage = np.linspace(1 / points, 1, points)
    number = decisions["unit"].nunique()
    lines = []
    for by in orders:
        values = _order_by(decisions, by)
        answered, failed = _up_to(values, weights), _up_to(values, weights * wrong)
        # Between two levels of the values, those tied at the upper one are answered in a random order.
        risk = np.stack(
            [
                np.interp(coverage, [0.0, *(own / own[-1])], [0.0, *(bad / own[-1])]) / coverage
                for own, bad in zip(answered, failed, strict=True)
            ]
        )
        for place, share in enumerate(coverage.tolist()):
            own = interval(risk[0, place], risk[1:, place], number)
            line = {"by": by, "coverage": share, "risk": own.value, "risk_low": own.low, "risk_high": own.high}
            lines.append({**line, "n_deployments": number})
    return pd.DataFrame(lines)
