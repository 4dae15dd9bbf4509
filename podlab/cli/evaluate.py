"""``podlab evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from podlab.cli.options import (
    EvaluationGroup,
    Files,
    Horizons,
    Include,
    Json,
    MetricFilter,
    MostRows,
    Scheduler,
    Seed,
    Services,
    parse_horizons_s,
    split_words,
)
from podlab.cli.output import print_json, print_table, show_progress
from podlab.data import MOST_TRAINING_ROWS

if TYPE_CHECKING:
    from podlab.evaluation.shift import Conditions


def evaluate(
    files: Files,
    services: Services = None,
    group: EvaluationGroup = "deployment",
    horizons: Horizons = None,
    metrics: MetricFilter = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Number of cross-validation folds.")] = 5,
    training_iterations: Annotated[
        int | None, typer.Option("--iterations", min=1, help="Number of random splits to average.  [default: 1]")
    ] = None,
    training_ratio: Annotated[
        float | None,
        typer.Option(help="Share of deployments to train on, instead of cross-validation.", show_default=False),
    ] = None,
    midlife: Annotated[
        str | None,
        typer.Option(
            metavar="60s,300s,...",
            help="Also evaluate windows of this length, at a random time after the first minute.",
            show_default=False,
        ),
    ] = None,
    controls: Annotated[
        bool, typer.Option(help="Also train on shuffled labels, which must score at chance level.")
    ] = True,
    most_rows: MostRows = MOST_TRAINING_ROWS,
    include: Include = None,
    seed: Seed = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Evaluate identification on deployments that were not used for training.

    Example: podlab evaluate data/recordings/first.parquet --horizons 10s,30s,60s --json

    --group selects what is held out: deployment, profile, site, version, load, or knob:NAME (a column of the
    recording's table of draws).
    """
    from podlab import evaluation
    from podlab.config import load_settings
    from podlab.data.catalogue import ALL_COLUMNS
    from podlab.data.draws import find_draws
    from podlab.data.recordings import read_training
    from podlab.data.store.sample import TRAINING_S
    from podlab.evaluation.dataset import features_of
    from podlab.evaluation.scenarios import MID_RUN, Scenario
    from podlab.evaluation.shift import score_conditions
    from podlab.parallel import use_scheduler

    settings = load_settings(
        services=services,
        metric_filter=metrics,
        training_iterations=training_iterations,
        training_ratio=training_ratio,
        seed=seed,
    )
    wanted: dict[str, Any] = {"services": settings.services or None, "seed": settings.seed}
    # What was drawn stands beside the samples, where only whole deployments can be drawn from.
    draw_by = group if group in ALL_COLUMNS else "deployment"
    horizons_s = parse_horizons_s(horizons) or evaluation.HORIZONS_S
    stretches_s = parse_horizons_s(midlife, where="--midlife") or ()
    with use_scheduler(scheduler), show_progress("evaluate") as progress:
        # No row after the longest horizon is looked at, unless mid-run is asked for.
        head_s = TRAINING_S if stretches_s else max(horizons_s)
        samples = read_training(
            files,
            most_rows=most_rows,
            head_s=head_s,
            group=draw_by,
            include=split_words(include),
            progress=progress,
            **wanted,
        )
        result = evaluation.evaluate(
            samples,
            group=group,
            draws=find_draws(files),
            horizons_s=horizons_s,
            folds=folds,
            iterations=settings.training_iterations,
            training_ratio=settings.training_ratio,
            columns=features_of(settings.metric_filter),
            controls=controls,
            progress=progress,
            **wanted,
        )
        later = None
        if stretches_s:
            later = score_conditions(
                samples,
                scenarios=[Scenario(MID_RUN, f"{each:g} s", segment_s=each) for each in stretches_s],
                services=wanted["services"], columns=features_of(settings.metric_filter), folds=folds,
                seed=settings.seed, progress=progress,
            )  # fmt: skip
    if as_json:
        print_json(result.to_json() | ({} if later is None else {"midlife": later.to_json()["conditions"]}))
        return
    scores = result.to_frame()
    macro = scores[scores["containers"] == "all"]
    columns = ["method", "horizon_s", "macro_f1", "macro_f1_low", "macro_f1_high", "n_deployments"]
    print_table(
        ("method", "seconds", "macro-F1", "95 % from", "to", "deployments"),
        macro[columns].itertuples(index=False, name=None),
        title=f"{_split_by(group)}: {result.n_deployments} deployments of {len(result.services)} services; "
        f"guessing gives {result.chance:.3f}",
    )
    if result.untested:
        print(f"not tested, because there are too few different values of {group}: {', '.join(result.untested)}")
    if later is not None:
        _tell_midlife(later, stretches_s)


def _split_by(group: str) -> str:
    """Say what is never on both sides; a deployment's containers are not, whatever else is asked for."""
    return "split by deployment" if group == "deployment" else f"split by {group}, no deployment divided"


def _tell_midlife(later: Conditions, stretches_s: Sequence[float]) -> None:
    if not later.table.empty:
        columns = ["condition", "macro_f1", "macro_f1_low", "macro_f1_high", "n_deployments"]
        print_table(
            ("mid-run", "macro-F1", "95 % from", "to", "deployments"),
            later.table[columns].itertuples(index=False, name=None),
            title="segments mid-run, split by deployment",
        )
    shown = set() if later.table.empty else set(later.table["condition"])
    for each in stretches_s:
        if f"{each:g} s" not in shown:
            print(f"no container was recorded long enough for a window of {each:g} s mid-run")
