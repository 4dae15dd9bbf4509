"""Decisions in a watcher's log, compared with the truth over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from podlab.errors import InputError

#: Outcomes of a container at some moment, the best first. *Unknown* is a known service that was given up on; a service
#: that no model was trained on is right if it is called unknown.
OUTCOMES: Final = ("right", "wrong", "unknown", "no metrics", "waiting")
#: Events of the log's lines that announce a decision; all other lines are about the watcher itself.
_KINDS: Final = ("identified", "revised", "unknown", "no-metrics")
_CONTAINER: Final = ["cluster", "namespace", "pod", "pod_uid", "container", "started_at"]
_NAME: Final = ["namespace", "pod", "container"]


def read_decisions(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the decisions from logs of ``podlab watch``, as ``kubectl logs`` gives them.

    Raises InputError if a file cannot be read, a decision in it is incomplete, or there is none at all.

    Parameters
    ----------
    paths : sequence of Path
        Files of JSON lines, of one watcher or several. Lines that are no JSON objects are ignored: a container's log
        contains its standard error as well.

    Returns
    -------
    DataFrame
        A row for each decision in order of time: cluster, namespace, pod, pod_uid, container, started_at,
        decided_at, seconds (from start to decision), kind, service (missing: unknown), confidence, seconds_observed,
        revisions, reason and model. A decision announced by two watchers is there once.
    """
    found = []
    for path in paths:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                found += [_read_line(line, f"{path}:{number}") for number, line in enumerate(file, 1)]
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    rows = [row for row in found if row is not None]
    if not rows:
        where = ", ".join(str(path) for path in paths) or "decisions"
        what = "holds no decision"
        raise InputError(what, where=where, hint="give the log of podlab watch, where the sink log is on")
    frame = pd.DataFrame(rows)
    for name in ("started_at", "decided_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    # Clocks of nodes differ; a decision before the start is one at the start.
    frame["seconds"] = (frame["decided_at"] - frame["started_at"]).dt.total_seconds().clip(lower=0.0)
    frame = frame.sort_values("decided_at", kind="stable").drop_duplicates("id", ignore_index=True)
    return frame.drop(columns="id").astype({"service": "str", "model": "str"})


def _read_line(line: str, where: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("event") not in _KINDS:
        return None
    try:
        always = {name: event[name] for name in [*_CONTAINER, "id", "decided_at", "service", "confidence", "revisions"]}
    except KeyError as error:
        raise InputError(f"a decision without {error}", where=where, hint="give the log of podlab watch") from error
    seen = {name: event.get(name) for name in ("reason", "seconds_observed", "model")}
    return {**always, **seen, "kind": event["event"]}


def join_truth(decisions: pd.DataFrame, samples: pd.DataFrame, unknown: Sequence[str] = ()) -> pd.DataFrame:
    """Add the truth to each decision.

    Raises InputError if no container has both a decision and a truth.

    Parameters
    ----------
    decisions : DataFrame
        From :func:`read_decisions`.
    samples : DataFrame
        A samples table with ``service``; containers are matched by namespace, pod and name.
    unknown : sequence of str
        Services that the watcher's model was not trained on.

    Returns
    -------
    DataFrame
        Decisions on containers whose truth is known, with ``truth`` and ``outcome``, one of :data:`OUTCOMES`.
    """
    labelled = samples.dropna(subset="service") if "service" in samples else samples.head(0).assign(service=None)
    truth = labelled.drop_duplicates([*_NAME, "service"])
    # A name of two services has no truth.
    truth = truth.drop_duplicates(_NAME, keep=False).rename(columns={"service": "truth"})
    found = decisions.merge(truth[[*_NAME, "truth"]], on=_NAME)
    if found.empty:
        what = "no container has both a decision and a truth"
        raise InputError(what, where="samples", hint="give labelled samples of the containers that the watcher watched")
    is_unknown = found["truth"].isin(list(unknown))
    right = (found["service"] == found["truth"]) | (is_unknown & found["service"].isna())
    named, unseen = found["service"].notna(), found["kind"] == "no-metrics"
    found["outcome"] = np.select([unseen, right, named], ["no metrics", "right", "wrong"], "unknown")
    return found


def last_decisions(compared: pd.DataFrame) -> pd.DataFrame:
    """Keep the last decision on each container, with ``first_s``, the time of its first one."""
    grouped = compared.groupby(_CONTAINER, dropna=False, sort=False)
    return grouped.tail(1).assign(first_s=grouped["seconds"].transform("min")).reset_index(drop=True)


def outcomes_over_time(compared: pd.DataFrame, *, step_s: float = 1.0) -> pd.DataFrame:
    """Give the outcomes of all containers over time.

    Parameters
    ----------
    compared : DataFrame
        From :func:`join_truth`.
    step_s : float
        Time between two moments.

    Returns
    -------
    DataFrame
        A row for each moment: ``seconds`` since the start, and the share of containers with each of :data:`OUTCOMES`.
        All containers count until the time of the latest decision.
    """
    at_s = np.arange(0.0, compared["seconds"].max() + 2 * step_s, step_s)
    outcomes = [
        np.array(["waiting", *own["outcome"]], dtype=object)[np.searchsorted(own["seconds"], at_s, side="right")]
        for _, own in compared.groupby(_CONTAINER, dropna=False)
    ]
    shares = {outcome: np.mean([own == outcome for own in outcomes], axis=0) for outcome in OUTCOMES}
    return pd.DataFrame({"seconds": at_s, **shares})
