"""What identification is worth where a whole kind is new: a load pattern, a version, a configuration or a site.

A deployment held out is like those trained on: it has their configuration, their version and their load. Other
people's clusters are not like that, so whole kinds are left out in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from podlab.evaluation.dataset import Dataset
from podlab.evaluation.folds import Fold, answer_folds
from podlab.evaluation.scores import Scores, score
from podlab.evaluation.splits import plan_splits

#: What can be left out as a whole, from the mildest on. A profile is what configurations drawn from a space have in
#: common; in recordings from before there were any, a configuration is the variant's second part.
KINDS = ("load", "version", "profile", "configuration", "site")


def score_left_out(
    dataset: Dataset,
    group: str,
    *,
    horizons_s: Sequence[float],
    horizon_s: float,
    columns: Sequence[str] | None,
    seed: int,
    jobs: int | None = None,
) -> tuple[Scores, Scores, str]:
    """Train without one value of a column at a time and answer for it.

    Parameters
    ----------
    dataset : Dataset
    group : str
        The column, one of :data:`KINDS` or what else :func:`podlab.evaluation.splits.plan_splits` takes.
    horizons_s : sequence of float
        That are trained for.
    horizon_s : float
        Seconds observed at which to answer.
    columns, seed, jobs
        As for :func:`podlab.evaluation.evaluate`.

    Returns
    -------
    tuple of (Scores, Scores, str)
        Of the answers, where "unknown" is wrong; of the most probable services; and how it was split, in words.
    """
    plan = plan_splits(dataset.containers, group=group, seed=seed)
    folds = [Fold(dataset, split.train, split.test, group) for split in plan.splits]
    answers = answer_folds(
        folds, group=group, horizons_s=horizons_s, columns=columns, seed=seed, jobs=jobs, progress=None,
        looks_s=(horizon_s,),
    )  # fmt: skip
    tested = [position for split in plan.splits for position in split.test]
    said = [answer for answered in answers for answer in answered[horizon_s]]
    truth, units = list(plan.services[tested]), list(plan.units[tested])
    names = sorted(set(plan.services))
    both = (
        [answer.service for answer in said],
        [next(iter(answer.candidates), None) for answer in said],
    )
    answered, guessed = (
        score(truth, own, units, containers=tested, confidence=[a.confidence for a in said], services=names, seed=seed)
        for own in both
    )
    return answered, guessed, str(plan.description["kind"])


def kinds_of(containers: pd.DataFrame) -> tuple[str, ...]:
    """Name the kinds of which some service has several values, so that one can be left out.

    Of ``profile`` and ``configuration`` the first that all containers have.
    """
    has_profiles = "profile" in containers and containers["profile"].notna().all()
    doubled = "configuration" if has_profiles else "profile"
    return tuple(
        kind
        for kind in KINDS
        if kind in containers
        and kind != doubled
        and containers[kind].notna().all()
        and (containers.drop_duplicates(["service", kind])["service"].value_counts() > 1).sum() > 1
    )
