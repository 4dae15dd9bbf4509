"""``podlab fit``, ``podlab identify`` and ``podlab models``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from podlab.cli.options import (
    Files,
    Group,
    Horizons,
    Include,
    Json,
    MetricFilter,
    ModelFolder,
    MostRows,
    Scheduler,
    Seed,
    Services,
    parse_horizons_s,
    split_recordings,
    split_words,
)
from podlab.cli.output import print_json, print_table, show_progress
from podlab.data import MOST_TRAINING_ROWS

if TYPE_CHECKING:
    from podlab.identify import Identifier, Prediction
    from podlab.identify.dataset import Identified
    from podlab.identify.explain import Explanation

models = typer.Typer(help="List, show, verify and promote model bundles.", no_args_is_help=True)


def fit(
    files: Files,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the bundle to write.", show_default=False)],
    services: Services = None,
    group: Group = "deployment",
    horizons: Horizons = None,
    metrics: MetricFilter = None,
    most_rows: MostRows = MOST_TRAINING_ROWS,
    include: Include = None,
    seed: Seed = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Train a model on labelled recordings and write its bundle.

    Example: podlab fit data/recordings/first.parquet --out data/models/first
    """
    from podlab import identify as identification
    from podlab.config import load_settings
    from podlab.data.recordings import read_training
    from podlab.detect import fit_library
    from podlab.evaluation.dataset import features_of
    from podlab.files import refuse_inputs
    from podlab.model import bundle
    from podlab.parallel import use_scheduler

    settings = load_settings(services=services, metric_filter=metrics, seed=seed)
    refuse_inputs(out, files)
    bundle.refuse_target(out, out.name)
    wanted: dict[str, Any] = {"services": settings.services or None, "group": group, "seed": settings.seed}
    with use_scheduler(scheduler), show_progress("fit") as progress:
        samples = read_training(files, most_rows=most_rows, include=split_words(include), progress=progress, **wanted)
        identifier = identification.fit(
            samples,
            horizons_s=parse_horizons_s(horizons),
            columns=features_of(settings.metric_filter),
            progress=progress,
            **wanted,
        )
    library = fit_library(
        samples, group=group, services=identifier.services, columns=identifier.columns, seed=settings.seed
    )
    info = bundle.save(identifier, out, name=out.name, recordings=files, scores=identifier.scores, library=library)
    if as_json:
        print_json(info.to_json())
    else:
        print(f"{out}: model of {len(info.services)} services, digest {info.digest[:12]}")


def identify(
    files: Files,
    model: ModelFolder = None,
    horizon: Annotated[
        str | None,
        typer.Option(
            "--horizon",
            "--horizons",
            metavar="60s",
            help="Use only this much after each container's start.  [default: all rows]",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show which metrics support the answer and the runner-up.")
    ] = False,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Identify the service in each container of recordings.

    Example: podlab identify data/recordings/first.parquet --model data/models/default --horizon 60s --json
    """
    from podlab.config import load_settings
    from podlab.data.units import parse_duration_s
    from podlab.identify.explain import explain as explain_answers
    from podlab.model import bundle
    from podlab.parallel import use_scheduler

    settings = load_settings(model_path=model)
    horizon_s = None if horizon is None else parse_duration_s(horizon, where="--horizon")
    identifier = bundle.load(settings.model_path).identifier
    with use_scheduler(scheduler):
        for part in _identify_all(identifier, files, horizon_s, whole=explain):
            explained = None
            if explain and part.samples is not None:
                explained = explain_answers(
                    identifier, part.samples, part.answers, horizon_s=horizon_s, metrics=part.metrics
                )
            _tell(part.answers, explained, as_json)


def _identify_all(
    identifier: Identifier, files: list[Path], horizon_s: float | None, *, whole: bool
) -> Iterator[Identified]:
    """Identify the containers of all files at once, then those of each data set piece by piece."""
    from podlab.data.recordings import read_recording
    from podlab.data.store import open_dataset
    from podlab.identify.dataset import Identified, identify_dataset

    plain, folders = split_recordings(files)
    if plain:
        samples = read_recording(plain)
        yield Identified(identifier.identify(samples, horizon_s=horizon_s), samples)
    for folder in folders:
        yield from identify_dataset(identifier, open_dataset(folder), horizon_s=horizon_s, whole=whole)


def _tell(answers: Sequence[Prediction], explained: Sequence[Explanation | None] | None, as_json: bool) -> None:
    if as_json:
        for number, answer in enumerate(answers):
            extra = {} if explained is None else {"explanation": _plain(explained[number])}
            print_json({**answer.to_json(), **extra})
        return
    if explained is not None:
        for answer, own in zip(answers, explained, strict=True):
            print(_in_words(answer, own))
        return
    print_table(
        ("namespace", "pod", "container", "seconds", "service", "confidence", "most similar"),
        [
            (a.namespace, a.pod, a.container, round(a.seconds_observed), a.service or "unknown", a.confidence,
             a.similar[0][0] if a.similar else None)
            for a in answers
        ],
    )  # fmt: skip


def _plain(explanation: Explanation | None) -> dict[str, object] | None:
    return None if explanation is None else explanation.to_json()


def _in_words(answer: Prediction, explanation: Explanation | None) -> str:
    """Write a container's answer and, indented, the reasons."""
    who = "/".join(part for part in (answer.namespace, answer.pod, answer.container) if part)
    if explanation is None:
        return f"{who}: unknown, no metric has a value"
    candidates = f"{explanation.service} {explanation.probability:.2f}, {explanation.runner_up} "
    head = f"{who}: {answer.service or 'unknown'} ({candidates}{explanation.runner_up_probability:.2f})"
    return "\n".join([head, *(f"  {sentence}" for sentence in explanation.words())])


@models.command("list")
def list_models(
    root: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder that contains the bundles.")] = Path(
        "data/models"
    ),
    as_json: Json = False,
) -> None:
    """List the model bundles in a folder.

    Example: podlab models list
    """
    from podlab.model import bundle

    found = bundle.list_models(root)
    if as_json:
        print_json([info.to_json() for info in found])
        return
    print_table(
        ("name", "digest", "created", "services"),
        [(info.name, info.digest[:12], info.created, ", ".join(info.services)) for info in found],
    )


@models.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A bundle's folder.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show a bundle's model card (with --json its manifest).

    Example: podlab models show data/models/default
    """
    from podlab.model import bundle

    info = bundle.verify(folder)
    if as_json:
        print_json(info.manifest)
    else:
        print(info.card)


@models.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A bundle's folder.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Check every digest of a bundle, and that it loads.

    Example: podlab models verify data/models/default
    """
    from podlab.model import bundle

    loaded = bundle.load(folder)
    if as_json:
        print_json({"folder": str(folder), "digest": loaded.digest, "valid": True})
    else:
        print(f"{folder}: valid, digest {loaded.digest}")


@models.command()
def promote(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle to use.", show_default=False)],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder in use.  [default: setting model_path]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a model and make it the one in use; the previous one is kept as NAME-previous.

    A watcher that uses the folder takes the new model over while it runs.

    Example: podlab models promote data/models/mine
    """
    from podlab.config import load_settings
    from podlab.model.bundle import PREVIOUS
    from podlab.model.bundle import promote as promote_bundle

    target = load_settings(model_path=to).model_path
    info, before = promote_bundle(folder, target)
    if as_json:
        print_json({"folder": str(target), "digest": info.digest, "before": None if before is None else before.digest})
        return
    print(f"{target}: now {info.name}, digest {info.digest}")
    if before is not None and before.digest != info.digest:
        print(f"{target}{PREVIOUS}: {before.name}, digest {before.digest}, used before")
