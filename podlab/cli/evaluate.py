"""``podlab evaluate``, and ``podlab run``: notebooks by papermill, and the report of all of them."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from podlab.cli.options import (
    EvaluationGroup,
    Files,
    Form,
    Format,
    Horizons,
    Include,
    Json,
    MostRows,
    Scheduler,
    Settings,
    choose_form,
    parse_horizons_s,
    split_words,
    with_settings,
)
from podlab.cli.output import print_json, print_table, show_progress
from podlab.data import MOST_TRAINING_ROWS
from podlab.errors import InputError, PodlabError

if TYPE_CHECKING:
    import pandas as pd

_NOTEBOOKS = Path("notebooks")


@with_settings("services", "metric_filter", "training_iterations", "training_ratio", "seed")
def evaluate(
    settings: Settings,
    files: Files,
    group: EvaluationGroup = "deployment",
    horizons: Horizons = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Number of cross-validation folds.")] = 5,
    midlife: Annotated[
        str | None,
        typer.Option(
            metavar="60s,300s,...",
            help="Also evaluate windows of this length, at a random time after the first minute.",
            show_default=False,
        ),
    ] = None,
    kubelet_cadence: Annotated[
        bool,
        typer.Option(
            "--kubelet-cadence",
            help="Also evaluate with a sample every 10 to 20 s, as a kubelet measures, instead of those in the files.",
        ),
    ] = False,
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Only measure what labels bring: this model, adapted to some of the containers, on the others.",
        ),
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="1,2,...", help="With --base: labelled deployments of each service.")
    ] = "1,2,5",
    controls: Annotated[
        bool, typer.Option(help="Also train on shuffled labels, which must score at chance level.")
    ] = True,
    most_rows: MostRows = MOST_TRAINING_ROWS,
    include: Include = None,
    scheduler: Scheduler = None,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """Evaluate identification on deployments not used for training.

    Example: podlab evaluate data/recordings/first.parquet --horizons 10s,30s,60s --json

    --group selects what is held out: deployment, profile, site, version, load, or knob:NAME (a column of the
    recording's table of draws).
    """
    from podlab import evaluation
    from podlab.data.catalogue import ALL_COLUMNS
    from podlab.data.draws import find_draws
    from podlab.data.recordings import read_training
    from podlab.data.store.containers import TRAINING_S
    from podlab.evaluation.dataset import features_of, read_dataset
    from podlab.evaluation.metrics import to_records
    from podlab.evaluation.scenarios import KUBELET, MID_RUN, Scenario
    from podlab.evaluation.shift import tabulate_conditions
    from podlab.features.cadence import HOUSEKEEPING_S
    from podlab.identify import Identifier
    from podlab.parallel import use_scheduler

    form = choose_form(form, as_json)
    wanted: dict[str, Any] = {"services": settings.services or None, "seed": settings.seed}
    if base is not None:
        _show_worth_of_labels(base, files, labels, parse_horizons_s(horizons) or (60.0,), group, settings, form)
        return
    # What was drawn stands beside the samples, where only whole deployments can be drawn from.
    draw_by = group if group in ALL_COLUMNS else "deployment"
    columns = features_of(settings.metric_filter)
    horizons_s = parse_horizons_s(horizons) or evaluation.HORIZONS_S
    stretches_s = parse_horizons_s(midlife, where="--midlife") or ()
    # In less time a kubelet may not have measured a container at all.
    sparse_s = [each for each in horizons_s if each > HOUSEKEEPING_S[1]] if kubelet_cadence else []
    if kubelet_cadence and not sparse_s:
        raise InputError("no horizon is longer than 20 s", where="--kubelet-cadence", hint="add one to --horizons")
    asked = [Scenario(MID_RUN, f"{each:g} s", segment_s=each) for each in stretches_s]
    asked += [Scenario(KUBELET, f"{each:g} s", each, kubelet=True) for each in sparse_s]
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
        predictions, about = evaluation.evaluate(
            samples,
            group=group,
            draws=find_draws(files),
            horizons_s=horizons_s,
            folds=folds,
            iterations=settings.training_iterations,
            training_ratio=settings.training_ratio,
            columns=columns,
            controls=controls,
            progress=progress,
            **wanted,
        )
        later: dict[str, pd.DataFrame] = {}
        if asked:
            dataset = read_dataset(samples, wanted["services"])
            plan = evaluation.plan_splits(dataset.containers, folds=folds, seed=settings.seed)
            model = Identifier(columns=columns, seed=settings.seed)
            found = evaluation.cross_validate(dataset, plan, asked, model, seed=settings.seed, progress=progress)
            table = tabulate_conditions(found, asked, seed=settings.seed)
            later = {str(name): own for name, own in table.groupby("group")} if len(table) else {}
    if form is Form.JSON:
        extra = {"midlife": (MID_RUN, stretches_s), "kubelet_cadence": (KUBELET, sparse_s)}
        lines = {name: to_records(later[of]) if of in later else [] for name, (of, some_s) in extra.items() if some_s}
        print_json(evaluation.describe_evaluation(predictions, about) | lines)
        return
    macro = evaluation.score(predictions, ["method", "horizon_s"], seed=settings.seed)
    shown = ["method", "horizon_s", "macro_f1", "macro_f1_low", "macro_f1_high", "n_deployments"]
    print_table(
        ("method", "seconds", "macro-F1", "95 % from", "to", "deployments"),
        macro[shown].itertuples(index=False, name=None),
        title=f"{_split_by(group)}: {about['n_deployments']} deployments of {len(about['services'])} services; "
        f"guessing gives {about['chance']:.3f}",
        form=form,
    )
    if form is not Form.TABLE:
        return
    if about["untested"]:
        print(f"not tested, because there are too few different values of {group}: {', '.join(about['untested'])}")
    titles = {MID_RUN: "segments mid-run", KUBELET: "since start, as a kubelet measures"}
    shown = ["condition", "macro_f1", "macro_f1_low", "macro_f1_high", "n_deployments"]
    for scenarios, title in titles.items():
        if scenarios in later:
            print_table(
                (scenarios, "macro-F1", "95 % from", "to", "deployments"),
                later[scenarios][shown].itertuples(index=False, name=None),
                title=f"{title}, split by deployment",
            )
    for each in stretches_s:
        if MID_RUN not in later or f"{each:g} s" not in set(later[MID_RUN]["condition"]):
            print(f"no container was recorded long enough for a window of {each:g} s mid-run")


def _show_worth_of_labels(
    base: Path, files: list[Path], labels: str, horizons_s: tuple[float, ...], group: str, settings: Settings,
    form: Form,
) -> None:  # fmt: skip
    from podlab.data.recordings import read_training
    from podlab.evaluation.metrics import score, to_records
    from podlab.evaluation.shift import compare_own_labels
    from podlab.model import bundle

    if not (words := split_words(labels)) or not all(word.isdecimal() for word in words):
        raise InputError(f"{labels!r} are no numbers", where="--labels", hint="write 1,2,5")
    identifier = bundle.load(base).identifier
    samples = read_training(files, services=settings.services or None)
    with show_progress("evaluate") as progress:
        predictions = compare_own_labels(
            identifier, samples, [int(word) for word in words],
            horizons_s=horizons_s, draws=settings.training_iterations, group=group, seed=settings.seed,
            progress=progress,
        )  # fmt: skip
    found = score(predictions, ["horizon_s", "labels", "model"], seed=settings.seed)
    columns = ["horizon_s", "labels", "model", "macro_f1", "macro_f1_low", "macro_f1_high", "n_deployments"]
    if form is Form.JSON:
        print_json(to_records(found))
        return
    print_table(
        ("seconds", "labels of each service", "model", "macro-F1", "95 % from", "to", "deployments"),
        found[columns].itertuples(index=False, name=None),
        form=form,
        page="What labels are worth",
    )


def _split_by(group: str) -> str:
    """Say what is never on both sides; a deployment's containers are not, whatever else is asked for."""
    return "split by deployment" if group == "deployment" else f"split by {group}, no deployment divided"


@with_settings()
def run(
    settings: Settings,
    notebook: Annotated[
        Path | None, typer.Argument(metavar="NOTEBOOK", help="The notebook to run.", show_default=False)
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Parameter of the notebook.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of reports: reports, with --quick reports/quick, for one notebook reports/single.",
            show_default=False,
        ),
    ] = None,
    whole_chain: Annotated[
        bool, typer.Option("--all", help="Run all notebooks in order and build the report.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="With --all: use the small recording and reduced settings, as a smoke test.")
    ] = False,
    repeat: Annotated[bool, typer.Option("--repeat", help="With --all: repeat every training_interval.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Only rebuild the report.")] = False,
) -> None:
    """Run a notebook with papermill.

    Parameters are checked first; a page is kept even if a cell fails.

    Settings of PODLAB_* and podlab.toml become parameters of the notebooks that have them.

    Example: podlab run notebooks/03_evaluate.ipynb -p samples=data/recordings/first.parquet -p folds=3
    """
    if (notebook is not None) + whole_chain + report_only != 1 or ((repeat or quick) and not whole_chain):
        raise InputError(
            "give one notebook, or --all (which --quick and --repeat go with), or --report-only", where="podlab run"
        )
    given = _parse(parameters or [])
    if notebook is not None:
        _run_one(notebook, given, out or Path("reports/single"), settings)
    elif whole_chain:
        _run_all(given, out or Path("reports/quick" if quick else "reports"), settings, quick=quick, repeat=repeat)
    else:
        from podlab.notebook.report import build_report

        print(build_report(out or Path("reports")))


def _run_one(notebook: Path, given: dict[str, str], out: Path, settings: Settings) -> None:
    from podlab.notebook.chain import run_single

    with show_progress(notebook.stem) as progress:
        done = run_single(notebook, given, reports_dir=out, settings=settings, progress=progress)
    print(done.html)
    done.raise_if_failed()


def _run_all(given: dict[str, str], out: Path, settings: Settings, *, quick: bool, repeat: bool) -> None:
    from podlab.notebook.chain import train_all

    while True:
        began_s = time.monotonic()
        with show_progress("train") as progress:
            chain = train_all(
                notebooks_dir=_NOTEBOOKS,
                reports_dir=out,
                settings=settings,
                parameters=given,
                quick=quick,
                command=shlex.join(["podlab", *sys.argv[1:]]),
                progress=progress,
            )
        if chain.skipped:
            print(f"nothing changed in {', '.join(chain.skipped)}: not run again", file=sys.stderr)
        for path in (*(done.html for done in chain.runs), *([chain.report] if chain.report else [])):
            print(path)
        try:
            chain.raise_if_failed()
        except PodlabError as error:
            # With --repeat the next round gets its chance: a database may be back by then.
            if not repeat:
                raise
            print(f"podlab: {error}", file=sys.stderr)
        if not repeat:
            return
        time.sleep(max(0.0, began_s + settings.training_interval.total_seconds() - time.monotonic()))


def _parse(given: list[str]) -> dict[str, str]:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{text!r} is not NAME=VALUE", where="-p")
        values[name.strip()] = value
    return values
