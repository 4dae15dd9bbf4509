"""Which unlabelled containers to label next, the most informative first.

A container is worth a label if the model is unsure of it, and if it is unlike those that are labelled already: the
doubt counts times the square root of one minus the forest proximity to the nearest labelled or chosen one (uncertainty
and diversity, Settles 2009, "Active Learning Literature Survey", sections 3.1 and 3.6). On new sites it was ahead of
random choice, of doubt alone and of covering all doubt (facility location).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CONTAINER_KEY
from podlab.errors import InputError
from podlab.features.features import feature_matrix
from podlab.features.rows import Rows, metrics_to_read, observation_spans, read_rows
from podlab.features.windows import make_windows
from podlab.identify.classifier import ForestModel, service_proximity
from podlab.identify.identifier import Identifier

#: A confident answer takes the doubt away, half of it where the container is unlike all known ones.
_TRUST = {True: 1.0, False: 0.5}


def choose_to_label(
    identifier: Identifier, samples: pd.DataFrame, number: int = 10, *, horizon_s: float | None = None
) -> pd.DataFrame:
    """Choose the containers whose labels would teach a model most.

    Parameters
    ----------
    identifier : Identifier
        The model to improve.
    samples : DataFrame
        A checked samples table. Containers with a value in the column ``service`` are labelled: they, and what
        resembles them, need no other label.
    number : int
        How many to choose at most.
    horizon_s : float, optional
        Use only rows in [start, start + horizon); by default all.

    Returns
    -------
    DataFrame
        The chosen containers, most informative first: ``cluster, namespace, pod, pod_uid, container``;
        ``seconds_observed``; ``candidates``, the three most probable services, and ``confidence`` in the first;
        ``known``, whether the model takes it for a known service; ``stands_for``, how many unlabelled containers
        resemble this one most of the chosen, itself included.

    Raises
    ------
    InputError
        If no container is unlabelled, none shows a value of the model's columns, or ``number`` is not positive.
    """
    if number < 1:
        raise InputError("choose at least one container", where="number")
    rows = read_rows(samples, metrics=metrics_to_read(identifier.columns))
    answers = identifier.identify(rows, horizon_s=horizon_s)
    labelled = np.zeros(len(answers), dtype=bool)
    if "service" in rows.containers:
        labelled = rows.containers["service"].notna().to_numpy(dtype=bool)
    left = np.array([bool(answer.candidates) for answer in answers]) & ~labelled
    if not left.any():
        raise InputError("no container is left to label", hint="give containers without a service")
    doubt = np.array([1.0 - _TRUST[answer.known] * answer.confidence for answer in answers])
    leaves = container_leaves(identifier, rows)
    labels = np.zeros(int(labelled.sum()), dtype=np.int16)
    near = service_proximity(leaves, leaves[labelled], labels, 1)[:, 0]
    chosen, shared = list[int](), []
    while len(chosen) < number and left.any():
        best = int(np.where(left, doubt * np.sqrt(1.0 - near), -1.0).argmax())
        left[best] = False
        chosen.append(best)
        shared.append((leaves == leaves[best]).mean(axis=1))
        near = np.maximum(near, shared[-1])
    nearest = np.argmax(shared, axis=0)
    resembles = np.bincount(nearest[~labelled], minlength=len(chosen))
    found = [answers[number] for number in chosen]
    return pd.DataFrame([{name: getattr(each, name) for name in CONTAINER_KEY} for each in found]).assign(
        seconds_observed=[each.seconds_observed for each in found],
        candidates=pd.Series([tuple(each.candidates)[:3] for each in found], dtype=object),
        confidence=[each.confidence for each in found],
        known=[each.known for each in found],
        stands_for=resembles,
    )


def container_leaves(identifier: Identifier, rows: Rows) -> NDArray[np.int32]:
    """Find the leaves of all containers (n, n_trees) in a window that most of them show; one each without a forest."""
    identifier = identifier.for_columns([name for name in rows.metrics if rows.valid[name].any()])
    spans = observation_spans(rows)
    starts = [window for window in identifier.windows if window.kind == "startup"]
    steady = [window for window in identifier.windows if window.kind == "steady"]
    begin_s = np.zeros(len(rows.containers))
    if starts and (spans.start_observed.mean() >= 0.5 or not steady):
        until_s = np.nanmedian(spans.until_s)
        window = next((each for each in starts[::-1] if each.length_s <= until_s * 1.02), starts[0])
    else:
        window, begin_s = steady[0], np.nan_to_num(spans.first_s)
    model = identifier.horizon_models[window.name]
    cells = make_windows(rows, horizon_s=window.length_s, begin_s=begin_s, columns=identifier.columns)
    X, _ = feature_matrix(cells, identifier.features)
    return model.forest.leaves(X) if isinstance(model, ForestModel) else np.arange(len(X), dtype=np.int32)[:, None]
