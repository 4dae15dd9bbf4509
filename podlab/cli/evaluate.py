"""``podlab evaluate``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from podlab.cli.options import (
    Files,
    Group,
    Horizons,
    Json,
    MetricFilter,
    MostRows,
    Scheduler,
    Seed,
    Services,
    parse_horizons_s,
)
from podlab.cli.output import print_json, print_table, show_progress
from podlab.parallel import use_scheduler
from podlab.settings import load_settings
from podlab.telemetry.recording import MOST_TRAINING_ROWS, read_training


def evaluate(
    files: Files,
    services: Services = None,
    group: Group = "deployment",
    horizons: Horizons = None,
    metrics: MetricFilter = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Parts that the deployments are split into.")] = 5,
    training_iterations: Annotated[
        int | None, typer.Option("--iterations", min=1, help="Random splits to average.  [default: 1]")
    ] = None,
    training_ratio: Annotated[
        float | None, typer.Option(help="Share of deployments to train on, instead of folds.", show_default=False)
    ] = None,
    controls: Annotated[bool, typer.Option(help="Also train on shuffled labels, which must give chance.")] = True,
    most_rows: MostRows = MOST_TRAINING_ROWS,
    seed: Seed = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Score identification honestly: on deployments that training never saw.

    Example: podlab evaluate data/recordings/first.parquet --horizons 10s,30s,60s --json
    """
    from podlab import evaluation
    from podlab.evaluation.filters import features_of

    settings = load_settings(
        services=services,
        metric_filter=metrics,
        training_iterations=training_iterations,
        training_ratio=training_ratio,
        seed=seed,
    )
    wanted: dict[str, Any] = {"services": settings.services or None, "group": group, "seed": settings.seed}
    horizons_s = parse_horizons_s(horizons) or evaluation.HORIZONS_S
    with use_scheduler(scheduler), show_progress("evaluate") as progress:
        # No row after the longest horizon is looked at.
        samples = read_training(files, most_rows=most_rows, head_s=max(horizons_s), progress=progress, **wanted)
        result = evaluation.evaluate(
            samples,
            horizons_s=horizons_s,
            folds=folds,
            iterations=settings.training_iterations,
            training_ratio=settings.training_ratio,
            columns=features_of(settings.metric_filter),
            controls=controls,
            progress=progress,
            **wanted,
        )
    if as_json:
        print_json(result.to_json())
        return
    scores = result.to_frame()
    macro = scores[(scores["score"] == "macro_f1") & (scores["containers"] == "all")]
    print_table(
        ("who", "seconds", "macro-F1", "95 % from", "to", "deployments"),
        macro[["who", "horizon_s", "value", "low", "high", "n_deployments"]].itertuples(index=False, name=None),
        title=f"split by {group}: {result.n_deployments} deployments of {len(result.services)} services; "
        f"guessing gives {result.chance:.3f}",
    )
    if result.untested:
        print(f"not tested, with too few different values of {group}: {', '.join(result.untested)}")
