"""Open-set recognition: how well novelty separates unknown services from known ones, and which services are similar.

Rejecting unknown containers is worth something only if known ones are still accepted, so both are predicted by the same
models, which saw neither the unknown services nor the deployments of the others; :mod:`podlab.evaluation.splits` makes
such splits. All functions take the predictions table of :func:`podlab.evaluation.cross_validate`, or a part of it.
*Near* unknown services are those of which a relative is known, the hard case; the others are *far*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import hypergeom  # type: ignore[import-untyped]

from podlab.arrays import FloatArray
from podlab.evaluation.metrics import draw_row_weights, interval, mean_interval, spread, wilson

Relatives = Mapping[str, Sequence[str]]

#: Share of known containers accepted (true positive rate) where accepted unknown ones are counted.
TPR = 0.95
#: What containers can be ordered by; the last one is the control, which must come out as chance.
NOVELTY, DOUBT, RANDOM = "novelty", "1 - confidence", "random"
#: Which unknown services.
ALL, NEAR, FAR = "all", "near", "far"
_SCORES = ("auroc", "fpr_at_95", "known_accepted", "unknown_rejected")


def score_open_set(
    predictions: pd.DataFrame, *, by: str = NOVELTY, seed: int = 0, weights: FloatArray | None = None
) -> dict[str, float]:
    """Score how well unknown containers are separated from known ones, with 95 % intervals over deployments.

    Parameters
    ----------
    predictions : DataFrame
        With ``service, unit, unknown`` (the truth), ``known`` (the prediction), ``novelty`` and ``confidence``.
    by : str
        Order them by :data:`NOVELTY`, :data:`DOUBT` or :data:`RANDOM`, whose intervals are the range of chance.
    seed : int
        Of the bootstrap and of the control.
    weights : array of float64 (1 + resamples, n), optional
        How often each container counts, where they were drawn for a larger table; the first row is ones.

    Returns
    -------
    dict
        ``auroc``, the probability that an unknown container ranks above a known one; ``fpr_at_95``, the share of
        unknown ones accepted where 95 % of the known are; at the model's own threshold ``known_accepted`` and
        ``unknown_rejected``, which are defined for novelty only. Each also with ``_low`` and ``_high``. ``n_known``
        and ``n_unknown`` are deployments.
    """
    weights = draw_row_weights(predictions["unit"], predictions["service"], seed=seed) if weights is None else weights
    is_unknown = predictions["unknown"].to_numpy(bool)
    known, unknown = weights * ~is_unknown, weights * is_unknown
    if by == RANDOM:
        drawn = np.random.default_rng([seed, 4]).permuted(np.tile(is_unknown, (len(weights), 1)), axis=1)
        known, unknown = (~drawn).astype(np.float64), drawn.astype(np.float64)
    values = _order_by(predictions, by)
    with np.errstate(invalid="ignore"):
        known_below, unknown_below = cumulate_weights(values, known), cumulate_weights(values, unknown)
        found = dict.fromkeys(_SCORES, np.full(len(weights), np.nan))
        found["auroc"], found["fpr_at_95"] = (
            auroc_of_draws(known_below, unknown_below),
            _fpr(known_below, unknown_below),
        )
        if by == NOVELTY:
            accepted = predictions["known"].to_numpy(bool)
            # Rounded, so that all of them is 1 and not nearly 1.
            found["known_accepted"] = np.round(known @ accepted / known.sum(axis=1), 12)
            found["unknown_rejected"] = np.round(unknown @ ~accepted / unknown.sum(axis=1), 12)
    if by == RANDOM:
        for name in ("auroc", "fpr_at_95"):
            found[name][0] = found[name].mean()
    n_known, n_unknown = (predictions.loc[own, "unit"].nunique() for own in (~is_unknown, is_unknown))
    flat: dict[str, float] = {}
    for name, values in found.items():
        flat |= spread(name, interval(values[0], values[1:], n_known if name == "known_accepted" else n_unknown))
    return {**flat, "n_known": n_known, "n_unknown": n_unknown}


def _order_by(predictions: pd.DataFrame, by: str) -> FloatArray:
    if by == DOUBT:
        return 1.0 - predictions["confidence"].to_numpy(np.float64)
    return predictions["novelty"].to_numpy(np.float64)


def cumulate_weights(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Add up weights (n_draws, n) of all rows up to each level of the values (n,): (n_draws, n_levels)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf) > 0)
    return np.asarray(np.add.reduceat(weights[:, order], starts, axis=1).cumsum(axis=1))


def auroc_of_draws(negative: FloatArray, positive: FloatArray) -> FloatArray:
    """Area under the ROC curve of each draw; ties count half (Mann and Whitney 1947).

    Parameters
    ----------
    negative, positive : array of float64 (n_draws, n_levels)
        Weights of both classes up to each level, from :func:`cumulate_weights`.

    Returns
    -------
    array of float64 (n_draws,)
    """
    own = np.diff(positive, axis=1, prepend=0.0)
    below = negative - np.diff(negative, axis=1, prepend=0.0) / 2
    return np.asarray((own * below).sum(axis=1) / (negative[:, -1] * positive[:, -1]))


def _fpr(known: FloatArray, unknown: FloatArray) -> FloatArray:
    """Share of the unknown up to the lowest level that accepts :data:`TPR` of the known (n_draws,)."""
    level = (known >= TPR * known[:, -1:] - 1e-9).argmax(axis=1)
    return np.asarray(unknown[np.arange(len(level)), level] / unknown[:, -1])


def known_relatives(predictions: pd.DataFrame, relatives: Relatives) -> dict[str, set[str]]:
    """Name the relatives of each unknown service that are known; an unknown service that has any is near.

    A service without an entry in ``relatives`` has none.
    """
    is_unknown = predictions["unknown"].to_numpy(bool)
    known, unknown = (set(predictions.loc[own, "service"]) for own in (~is_unknown, is_unknown))
    return {name: set(relatives.get(name, ())) & known - {name} for name in sorted(unknown)}


def open_set_table(predictions: pd.DataFrame, relatives: Relatives, *, seed: int = 0) -> pd.DataFrame:
    """Score each scenario of a predictions table, by kind of unknown service.

    Parameters
    ----------
    predictions : DataFrame
        Of one or several scenarios, in which known and unknown services are.
    relatives : mapping of str to sequence of str
        As for :func:`known_relatives`.

    Returns
    -------
    DataFrame
        ``scenario, unknown`` (:data:`ALL`, :data:`NEAR` or :data:`FAR`), ``by`` (novelty; for all of them also what it
        must be compared with), and the scores of :func:`score_open_set`. Empty without unknown or known containers.
    """
    lines = []
    for scenario, shown in predictions.groupby("scenario", sort=False):
        own = shown.reset_index(drop=True)
        weights = draw_row_weights(own["unit"], own["service"], seed=seed)
        near = own["service"].isin([name for name, each in known_relatives(own, relatives).items() if each]).to_numpy()
        known = ~own["unknown"].to_numpy(bool)
        for unknown, chosen in {ALL: known | True, NEAR: known | near, FAR: known | ~near}.items():
            part = own[chosen]
            if part["unknown"].nunique() < 2:
                continue
            for by in (NOVELTY, DOUBT, RANDOM) if unknown == ALL else (NOVELTY,):
                scores = score_open_set(part, by=by, seed=seed, weights=weights[:, chosen])
                lines.append({"scenario": scenario, "unknown": unknown, "by": by, **scores})
    return pd.DataFrame(lines)


def describe_unknown(predictions: pd.DataFrame, relatives: Relatives, *, seed: int = 0) -> pd.DataFrame:
    """Score each unknown service against all known ones, and name what it is taken for and most similar to.

    Returns
    -------
    DataFrame
        ``service``; ``relatives``, those that are known; ``auroc, auroc_low, auroc_high``; ``fpr_at_95``; ``rejected,
        rejected_low, rejected_high`` at the model's own threshold (Wilson's interval for as many cases as deployments);
        ``taken_for``, the most frequent best guess, and its ``share``; ``most_similar``, three known services with
        their mean similarity over the service's containers; ``rank`` of the first relative by that mean, counted from 1
        (missing where there is none, or it is similar to none of the containers); ``n_deployments``. The lowest AUROC
        comes first. Empty without unknown services.
    """
    weights = draw_row_weights(predictions["unit"], predictions["service"], seed=seed)
    is_unknown = predictions["unknown"].to_numpy(bool)
    lines = []
    for service, related in known_relatives(predictions, relatives).items():
        own = predictions[is_unknown & (predictions["service"] == service)]
        chosen = ~is_unknown | (predictions["service"] == service).to_numpy(bool)
        scores = score_open_set(predictions[chosen], seed=seed, weights=weights[:, chosen])
        guesses = own["best_guess"].value_counts()
        # A service that a prediction does not name has similarity 0.
        similar = pd.DataFrame([dict(each) for each in own["similar"]]).fillna(0.0).mean()
        similar = similar.sort_values(ascending=False, kind="stable")
        ranks = [place for place, name in enumerate(similar.index, start=1) if name in related]
        lines.append(
            {
                "service": service,
                "relatives": ", ".join(sorted(related)),
                **{name: scores[name] for name in ("auroc", "auroc_low", "auroc_high", "fpr_at_95")},
                **spread("rejected", wilson(scores["unknown_rejected"], int(scores["n_unknown"]))),
                "taken_for": guesses.index[0] if len(guesses) else None,
                "share": guesses.iloc[0] / len(own) if len(guesses) else np.nan,
                "most_similar": ", ".join(f"{name} {value:.2f}" for name, value in similar.head(3).items()),
                "rank": ranks[0] if ranks else pd.NA,
                "n_deployments": scores["n_unknown"],
            }
        )
    if not lines:
        return pd.DataFrame()
    return pd.DataFrame(lines).astype({"rank": "Int64"}).sort_values(["auroc", "service"], ignore_index=True)


def risk_coverage(
    predictions: pd.DataFrame, *, orders: Sequence[str] = (NOVELTY, DOUBT), points: int = 50, seed: int = 0
) -> pd.DataFrame:
    """Give the share of wrong answers if only the least novel (or most confident) containers are answered.

    Any answer on an unknown service is wrong (El-Yaniv and Wiener 2010, "On the foundations of noise-free selective
    classification", JMLR 11:1605).

    Returns
    -------
    DataFrame
        ``by`` (each of the orders), ``coverage`` (share of all containers that is answered), ``risk, risk_low,
        risk_high`` (share of these answers that is wrong), ``n_deployments``.
    """
    wrong = (predictions["unknown"] | (predictions["best_guess"] != predictions["service"])).to_numpy(bool)
    weights = draw_row_weights(predictions["unit"], predictions["service"], seed=seed)
    coverage = np.linspace(1 / points, 1, points)
    number = predictions["unit"].nunique()
    lines = []
    for by in orders:
        values = _order_by(predictions, by)
        answered, failed = cumulate_weights(values, weights), cumulate_weights(values, weights * wrong)
        # Between two levels of the values, those tied at the upper one are answered in random order.
        risk = np.stack(
            [
                np.interp(coverage, [0.0, *(own / own[-1])], [0.0, *(bad / own[-1])]) / coverage
                for own, bad in zip(answered, failed, strict=True)
            ]
        )
        for place, share in enumerate(coverage.tolist()):
            own = spread("risk", interval(risk[0, place], risk[1:, place], number))
            lines.append({"by": by, "coverage": share, **own, "n_deployments": number})
    return pd.DataFrame(lines)


def relative_hits(
    predictions: pd.DataFrame, relatives: Relatives, *, tops: Sequence[int] = (1, 3), seed: int = 0
) -> pd.DataFrame:
    """Give how often a relative is among the most similar services, against a random choice.

    Only unknown services with a known relative count.

    Returns
    -------
    DataFrame
        ``top`` (among so many), ``of`` (``containers``: interval over deployments; ``services``, by their containers'
        mean: Wilson's interval), ``hits, hits_low, hits_high`` (shares), ``chance`` (of so many services drawn at
        random), ``n``. Empty without such services.
    """
    related = {name: own for name, own in known_relatives(predictions, relatives).items() if own}
    is_unknown = predictions["unknown"].to_numpy(bool)
    is_near = is_unknown & predictions["service"].isin(related).to_numpy(bool)
    own, known = predictions[is_near], set(predictions.loc[~is_unknown, "service"])
    columns = ["top", "of", "hits", "hits_low", "hits_high", "chance", "n"]
    if own.empty:
        return pd.DataFrame(columns=columns)
    by_service = describe_unknown(predictions[~is_unknown | is_near], relatives, seed=seed)
    lines = []
    for top in tops:
        hit = [
            any(name in related[service] for name, _ in similar[:top])
            for service, similar in zip(own["service"], own["similar"], strict=True)
        ]
        # That of so many services drawn at random one is a relative; a service is not similar to itself.
        chances = {
            name: float(hypergeom.sf(0, len(known - {name}), len(each), min(top, len(known - {name}))))
            for name, each in related.items()
        }
        values = np.array(hit, dtype=np.float64)
        containers = mean_interval(values, own["unit"].tolist(), own["service"].tolist(), seed=seed)
        services = wilson(float((by_service["rank"] <= top).fillna(False).mean()), len(by_service))
        per_container, per_service = float(own["service"].map(chances).mean()), float(np.mean(list(chances.values())))
        lines.append((top, "containers", *vars(containers).values(), per_container, len(own)))
        lines.append((top, "services", *vars(services).values(), per_service, len(by_service)))
    return pd.DataFrame(lines, columns=columns)
