"""Commands that train and use models: ``podlab fit``, ``identify`` and ``score``."""

from __future__ import annotations

import enum
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from podlab.cli.options import (
    Files,
    Form,
    Format,
    Group,
    Horizon,
    Horizons,
    Include,
    Json,
    LabelTable,
    MostRows,
    Scheduler,
    Settings,
    choose_form,
    parse_horizons_s,
    split_recordings,
    split_words,
    with_settings,
)
from podlab.cli.output import print_json, print_table, show_progress
from podlab.data import MOST_TRAINING_ROWS
from podlab.data.units import format_count
from podlab.errors import InputError

if TYPE_CHECKING:
    from podlab.detect import DetectorLibrary
    from podlab.detect.recording import RecordingScores
    from podlab.identify import Identifier, Prediction
    from podlab.identify.dataset import Identified
    from podlab.identify.explain import Explanation
    from podlab.importing.labelled_series import Rule
    from podlab.progress import Progress

#: What is printed of containers waits for the file of scores to be complete: so much of it in memory, more on disk.
_MOST_LINES_BYTES = 8_000_000
_LINES_AT_ONCE = 10_000


@with_settings("services", "metric_filter", "seed")
def fit(
    settings: Settings,
    files: Files,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write the model to.", show_default=False)],
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Adapt this model to a few labelled containers, instead of training one.",
            show_default=False,
        ),
    ] = None,
    label_table: LabelTable = None,
    group: Group = "deployment",
    horizons: Horizons = None,
    most_rows: MostRows = MOST_TRAINING_ROWS,
    include: Include = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            "--false-alarms",
            metavar="N",
            min=0.01,
            help="Alarm budget of the detectors: false alarms per container-day.  [default: 1]",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Train a model on labelled recordings.

    With --base, a few labelled containers of a service are enough, and services may be new.

    Recordings of normal events that look like faults (FILE-normal.parquet) are used for the detectors only.

    Example: podlab fit data/recordings/first.parquet --out data/models/first

    Example: podlab fit mine.parquet --base data/models/first --label-table labels.csv --out data/models/own
    """
    from podlab import identify as identification
    from podlab.data.draws import role_of
    from podlab.data.labels import label_by_table, read_label_table
    from podlab.data.recordings import read_training
    from podlab.detect import fit_library
    from podlab.detect.library import FALSE_ALARMS_PER_DAY
    from podlab.evaluation.dataset import features_of
    from podlab.files import refuse_inputs
    from podlab.model import bundle
    from podlab.parallel import use_scheduler

    refuse_inputs(out, [*files, base, label_table])
    bundle.refuse_target(out, out.name)
    table = None if label_table is None else read_label_table(label_table)
    before = None if base is None else bundle.load(base)
    if before is not None and horizons:
        raise InputError("has horizons of its own", where="--base", hint="leave out --horizons")
    if before is not None and false_alarms is not None:
        raise InputError("has detectors of its own", where="--base", hint="leave out --false-alarms")
    wanted: dict[str, Any] = {"services": settings.services or None, "group": group, "seed": settings.seed}
    with use_scheduler(scheduler), show_progress("fit") as progress:
        roles = split_words(include)
        samples = read_training(files, most_rows=most_rows, include=roles, progress=progress, **wanted)
        if table is not None:
            samples = label_by_table(samples, table)
        if before is not None:
            own = {"services": wanted["services"], "group": group, "progress": progress}
            identifier, library = before.identifier.adapt(samples, **own), before.library
        else:
            identifier = identification.fit(
                samples,
                horizons_s=parse_horizons_s(horizons),
                columns=features_of(settings.metric_filter),
                progress=progress,
                **wanted,
            )
            if "normal" not in roles and any(role_of(path) == "normal" for path in files):  # for detectors only
                roles = (*roles, "normal")
                samples = read_training(files, most_rows=most_rows, include=roles, progress=progress, **wanted)
                samples = samples if table is None else label_by_table(samples, table)
            library = fit_library(
                samples, group=group, services=identifier.services, columns=identifier.columns, seed=settings.seed,
                false_alarms_per_day=FALSE_ALARMS_PER_DAY if false_alarms is None else false_alarms,
            )  # fmt: skip
    info = bundle.save(
        identifier, out, name=out.name, recordings=files, scores=identifier.scores, library=library,
        base=None if before is None else before.info,
    )  # fmt: skip
    if as_json:
        print_json(info.to_json())
    else:
        print(f"{out}: model of {format_count(len(info.services), 'service')}, digest {info.digest[:12]}")


class Unit(enum.StrEnum):
    """What gets a line."""

    CONTAINER = "container"
    WORKLOAD = "workload"


@with_settings("model_path")
def identify(
    settings: Settings,
    files: Files,
    by: Annotated[
        Unit, typer.Option(help="A line for each container, or for each workload, whose replicas are judged together.")
    ] = Unit.CONTAINER,
    horizon: Horizon = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show which metrics support the answer and the runner-up.")
    ] = False,
    scheduler: Scheduler = None,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """Identify the service in each container of recordings.

    Example: podlab identify data/recordings/second.parquet --model data/models/first --horizon 60s --json
    """
    from podlab.data.units import parse_duration_s
    from podlab.identify.explain import explain as explain_answers
    from podlab.model import bundle
    from podlab.parallel import use_scheduler

    form = choose_form(form, as_json)
    if explain and (by is Unit.WORKLOAD or form in (Form.CSV, Form.HTML)):
        other = "--by workload" if by is Unit.WORKLOAD else f"--format {form}"
        raise InputError(f"cannot be combined with {other}", where="--explain", hint="leave one of them out")
    horizon_s = None if horizon is None else parse_duration_s(horizon, where="--horizon")
    identifier = bundle.load(settings.model_path).identifier
    with use_scheduler(scheduler):
        if by is Unit.WORKLOAD:
            parts = _identify_all(identifier, files, horizon_s, whole=False)
            _print_workloads(identifier, (answer for part in parts for answer in part.answers), form)
            return
        parts = _identify_all(identifier, files, horizon_s, whole=explain)
        if form in (Form.CSV, Form.HTML):
            _print_predictions([answer for part in parts for answer in part.answers], None, form)
            return
        for part in parts:
            explained = None
            if explain and part.samples is not None:
                explained = explain_answers(
                    identifier, part.samples, part.answers, horizon_s=horizon_s, metrics=part.metrics
                )
            _print_predictions(part.answers, explained, form)


def _identify_all(
    identifier: Identifier, files: list[Path], horizon_s: float | None, *, whole: bool
) -> Iterator[Identified]:
    """Identify the containers of all files at once, then those of each data set piece by piece."""
    from podlab.data.recordings import read_recording
    from podlab.data.store import open_dataset
    from podlab.identify.dataset import Identified, identify_dataset

    plain, folders = split_recordings(files)
    if plain:
        with show_progress("identify"):
            samples = read_recording(plain)
            found = identifier.identify(samples, horizon_s=horizon_s)
        yield Identified(found, samples)
    for folder in folders:
        yield from identify_dataset(identifier, open_dataset(folder), horizon_s=horizon_s, whole=whole)


def _print_workloads(identifier: Identifier, answers: Iterable[Prediction], form: Form) -> None:
    from podlab.identify.workload import group_by_workload, judge_workloads

    found = judge_workloads(group_by_workload(answers), identifier.services)
    if form is Form.JSON:
        for each in found:
            print_json(each.to_json())
        return
    print_table(
        ("namespace", "workload", "container", "replicas", "service", "confidence", "disagreeing"),
        [
            (w.namespace, w.workload, w.container, w.replicas, w.service or "unknown", w.confidence,
             ", ".join(f"{each.pod}: {each.service or 'unknown'}" for each in w.disagreeing))
            for w in found
        ],
        page="Workloads",
        form=form,
    )  # fmt: skip
    _tell_what_unknown_means(w.service is None for w in found)


def _tell_what_unknown_means(unknown: Iterable[bool]) -> None:
    """Say below a table what a confidence beside "unknown" is, if there is one."""
    if any(unknown):
        print(
            "unknown: unlike all services that the model knows; its confidence is the probability of the most probable "
            "service, if it ran one of them",
            file=sys.stderr,
        )


def _print_predictions(
    answers: Sequence[Prediction], explained: Sequence[Explanation | None] | None, form: Form
) -> None:
    if form is Form.JSON:
        for number, answer in enumerate(answers):
            own = None if explained is None else explained[number]
            extra = {} if explained is None else {"explanation": None if own is None else own.to_json()}
            print_json({**answer.to_json(), **extra})
        return
    if explained is not None:
        for answer, own in zip(answers, explained, strict=True):
            print(_in_words(answer, own))
        return
    print_table(
        ("namespace", "pod", "container", "seconds", "service", "confidence", "most similar", "does"),
        [
            (a.namespace, a.pod, a.container, round(a.seconds_observed), a.service or "unknown", a.confidence,
             a.similar[0][0] if a.similar else None, a.behaviour.text if a.behaviour else None)
            for a in answers
        ],
        page="Containers",
        form=form,
    )  # fmt: skip
    _tell_what_unknown_means(a.service is None for a in answers)


def _in_words(answer: Prediction, explanation: Explanation | None) -> str:
    """Write a container's answer and, indented, the reasons."""
    who = "/".join(part for part in (answer.namespace, answer.pod, answer.container) if part)
    if explanation is None:
        return f"{who}: unknown, no metric has a value"
    candidates = f"{explanation.service} {explanation.probability:.2f}, {explanation.runner_up} "
    head = f"{who}: {answer.service or 'unknown'} ({candidates}{explanation.runner_up_probability:.2f})"
    return "\n".join([head, *(f"  {sentence}" for sentence in explanation.words())])


@with_settings("model_path")
def score(
    settings: Settings,
    files: Files,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Scores to write: FILE.parquet or FILE.csv.", show_default=False)
    ],
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping",
            "--map",
            metavar="GIVEN=COLUMN,...",
            help="Read CSV series of other formats: which columns are time, anomaly and metrics; "
            "*FACTOR changes units, rate: makes a counter of a rate.",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """Score how anomalous each sample is.

    Uses the detector of the identified service. Every container is identified from its own first seconds; nothing of a
    sample's future is used for its score.

    Example: podlab score data/recordings/second-faults.parquet --model data/models/first --out scores.parquet

    Example: podlab score docs/import/machine-1.csv --model data/models/first --mapping
    "timestamp=time,cpu_r=cpu_usage_nanocores*1e9,eth1_fi=rate:rx_bytes*1e4,label=anomaly" --out scores.csv
    """
    from podlab.files import atomic_file, refuse_inputs, table_format
    from podlab.importing.labelled_series import parse_mapping
    from podlab.model import bundle
    from podlab.parallel import use_scheduler

    form = choose_form(form, as_json)
    refuse_inputs(out, [*files, settings.model_path])
    as_csv = table_format(out) == "csv"
    loaded = bundle.load(settings.model_path)
    if loaded.library is None:
        raise InputError("has no detectors", where=str(settings.model_path), hint="fit the model again")
    scorings = (
        _score_all(files, loaded.identifier, loaded.library)
        if mapping is None
        else _score_series(files, parse_mapping(mapping), loaded.identifier, loaded.library)
    )
    with tempfile.SpooledTemporaryFile(max_size=_MOST_LINES_BYTES, mode="w+", encoding="utf-8") as lines:
        with use_scheduler(scheduler), show_progress("score") as progress, atomic_file(out) as temporary:
            _write(scorings, temporary, lines, as_csv=as_csv, progress=progress)
        lines.seek(0)
        containers = (json.loads(line) for line in lines)
        if form is Form.JSON:
            for line in containers:
                print_json(line)
            return
        columns = ("namespace", "pod", "container", "service", "samples")
        while some := list(islice(containers, _LINES_AT_ONCE if form is Form.TABLE else None)):
            print_table(
                (*columns, "alarms"),
                [(*(line[name] for name in columns), len(line["alarms"])) for line in some],
                form=form,
                page="Scores",
            )


def _score_all(files: list[Path], identifier: Identifier, library: DetectorLibrary) -> Iterator[RecordingScores]:
    """Score all files at once, then each data set piece by piece."""
    from podlab.data.recordings import read_recording
    from podlab.data.store import open_dataset
    from podlab.detect.recording import score_dataset, score_recording

    plain, folders = split_recordings(files)
    if plain:
        yield score_recording(read_recording(plain), identifier, library)
    for folder in folders:
        yield from score_dataset(open_dataset(folder), identifier, library)


def _score_series(
    files: list[Path], rules: tuple[Rule, ...], identifier: Identifier, library: DetectorLibrary
) -> Iterator[RecordingScores]:
    """Score series of another format, one after the other."""
    from podlab.detect.recording import score_recording
    from podlab.importing.labelled_series import read_series

    for path in files:
        yield score_recording(read_series(path, rules), identifier, library)


def _write(
    scorings: Iterator[RecordingScores], path: Path, lines: IO[str], *, as_csv: bool, progress: Progress
) -> None:
    """Write scores as they come, and what is printed of each container as a line of JSON."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    writer: Any = None
    try:
        containers = 0
        for scoring in scorings:
            containers += len(scoring.containers)
            progress(0, 0, format_count(containers, "container"))
            table = pa.Table.from_pandas(scoring.table, preserve_index=False)
            if writer is None:
                writer = (
                    pyarrow.csv.CSVWriter(path, table.schema)
                    if as_csv
                    else pq.ParquetWriter(path, table.schema, compression="zstd")
                )
            writer.write_table(table)
            lines.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines_of(scoring))
    finally:
        if writer is not None:
            writer.close()


def _lines_of(scoring: RecordingScores) -> list[dict[str, object]]:
    """Tell of each container what it is and when it was strange."""
    import pyarrow as pa

    from podlab.data.catalogue import CONTAINER_KEY

    last_row = [*(scoring.first_row[1:] - 1).tolist(), len(scoring.table) - 1]
    return [
        {
            **dict(zip(CONTAINER_KEY, who, strict=True)),
            "service": service,
            "samples": last - first + 1,
            "alarms": [alarm.to_json() for alarm in alarms],
        }
        for who, service, first, last, alarms in zip(
            zip(*(pa.array(scoring.containers[name]).to_pylist() for name in CONTAINER_KEY), strict=True),
            pa.array(scoring.table["service"].iloc[last_row]).to_pylist(),
            scoring.first_row.tolist(),
            last_row,
            scoring.alarms,
            strict=True,
        )
    ]
