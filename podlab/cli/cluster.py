"""Commands on a live cluster and its metrics: ``podlab collect``, ``replay``, ``watch`` and ``doctor``."""

from __future__ import annotations

import enum
import logging
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podlab.cli.options import DATABASES, Form, Format, Json, LabelTable, Settings, choose_form, with_settings
from podlab.cli.output import describe_recording, print_json, print_table, recording_in_words, show_progress
from podlab.data.units import format_count
from podlab.errors import PodlabError

if TYPE_CHECKING:
    import pandas as pd

    from podlab.data.labels import LabelReport

log = logging.getLogger(__name__)

_MOST_NAMES_SHOWN = 10
# A server that takes longer to write a request is ill.
_WRITE_S = 60.0


class TargetName(enum.StrEnum):
    """Where samples can be replayed to."""

    INFLUXDB = "influxdb"
    PROMETHEUS = "prometheus"
    OPENTELEMETRY = "opentelemetry"


class InventoryChoice(enum.StrEnum):
    """Whether the Kubernetes API is asked for what the metrics do not tell."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


@with_settings(
    "metrics_source", "fetch_window", "training_interval", "services", "cluster", *DATABASES, "kubernetes_endpoint",
    "kubernetes_access",
)  # fmt: skip
def collect(
    settings: Settings,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE|FOLDER", help="FILE.parquet or FILE.csv to write, or data set to add to.", show_default=False
        ),
    ],
    rounds: Annotated[
        int, typer.Option(min=1, help="How many times to fetch; Ctrl-C keeps what was fetched so far.")
    ] = 1,
    label_table: LabelTable = None,
    inventory: Annotated[
        InventoryChoice,
        typer.Option(help="Ask the Kubernetes API for uid, start and image; auto: if it is configured."),
    ] = InventoryChoice.AUTO,
    as_json: Json = False,
) -> None:
    """Collect the samples of all containers from a live source.

    Databases return the past; kubelets keep none, so podlab watches them for as long as --since says.

    Example: podlab collect --source influxdb --since 600s --services mysql,nginx --out samples.parquet
    """
    from podlab.data.labels import LabelRules, read_label_table
    from podlab.data.recordings import refuse_recording, write_recording
    from podlab.files import refuse_inputs
    from podlab.kubernetes.inventory import enrich
    from podlab.live import label_samples, live_source
    from podlab.sources.collect import collect as collect_rounds

    refuse_inputs(out, [label_table, *settings.files()])
    # What was collected for ten minutes shall not be lost to a slip of the pen.
    rules = LabelRules(services=settings.services, table=None if label_table is None else read_label_table(label_table))
    refuse_recording(out)
    with show_progress("collect") as progress, closing(live_source(settings)) as live:
        samples = collect_rounds(
            live,
            window=settings.fetch_window,
            rounds=rounds,
            interval=settings.training_interval,
            wait=timedelta(0) if live.has_past else settings.fetch_window,
            progress=progress,
        )
    known = _read_inventory(settings, inventory)
    if known is not None:
        samples = enrich(samples, known)
    report = None
    if "service" not in samples and (settings.services or label_table or known is not None):
        samples, report = label_samples(samples, known, rules)
    write_recording(samples, out)
    _print_summary(samples, report, out, as_json)


@with_settings(*DATABASES)
def replay(
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Recording to play.", show_default=False)],
    to: Annotated[TargetName, typer.Option(help="Kind of database.")] = TargetName.INFLUXDB,
    speed: Annotated[
        float | None,
        typer.Option(metavar="N", help="Replay N times as fast as recorded.  [default: as fast as possible]"),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Shift times so that the last sample is now.")] = False,
    kubelet_cadence: Annotated[
        bool,
        typer.Option(
            "--kubelet-cadence",
            help="Write a sample every 10 to 20 s, as a kubelet measures, instead of those in the file.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a recording into a live database.

    InfluxDB is written as Telegraf would, Prometheus as if it had scraped cAdvisor; "opentelemetry" is Prometheus as
    if OpenTelemetry's kubeletstats receiver had written into it.

    After Ctrl-C, the same command continues where it stopped. Prometheus must take remote writes
    (--web.enable-remote-write-receiver; VictoriaMetrics does) and refuses what is older than what it has.

    Example: podlab replay data/recordings/first.parquet --to influxdb --now
    """
    from podlab.data.recordings import read_recording
    from podlab.features.cadence import at_kubelet_cadence
    from podlab.files import refuse_inputs, shorten_name
    from podlab.live import influx_database, prometheus_api
    from podlab.sources.prometheus_query import CADVISOR, OPENTELEMETRY
    from podlab.sources.replay import replay as write

    state_path = Path(".cache") / f"replay-{shorten_name(file.stem)}.json"
    refuse_inputs(state_path, [file, *settings.files()])
    samples = read_recording([file])
    if kubelet_cadence:
        samples = at_kubelet_cadence(samples).reset_index(drop=True)
    target = influx_database(settings) if to is TargetName.INFLUXDB else prometheus_api(settings, timeout_s=_WRITE_S)
    with show_progress("replay") as progress, closing(target):
        done = write(
            samples,
            target,
            speed=speed,
            now=now,
            dialect=OPENTELEMETRY[0] if to is TargetName.OPENTELEMETRY else CADVISOR,
            state_path=state_path,
            progress=progress,
        )
    summary = {
        "samples": done.samples,
        "points": done.points,
        "resumed_at": done.resumed_at,
        "since": done.since.isoformat(),
        "until": done.until.isoformat(),
    }
    if as_json:
        print_json(summary)
    else:
        counted = f"{format_count(done.samples, 'sample')} ({format_count(done.points, 'point')})"
        print(f"{counted} from {summary['since']} to {summary['until']}")


def _read_inventory(settings: Settings, choice: InventoryChoice) -> pd.DataFrame | None:
    """List what runs in the cluster, or return None where that is not wanted or, if left open, not possible."""
    from podlab.live import cluster_inventory

    if choice is InventoryChoice.NO:
        return None
    try:
        return cluster_inventory(settings)
    except PodlabError as error:
        if choice is InventoryChoice.YES:
            raise
        log.info("no inventory of the cluster: %s", error)
        return None


def _print_summary(samples: pd.DataFrame, report: LabelReport | None, out: Path, as_json: bool) -> None:
    from podlab.data.labels import names_image

    labels = {} if report is None else {
        "labelled": int(report.service.notna().sum()),
        "ambiguous": _names_of(report.ambiguous),
        "unlabelled": _names_of(report.unlabelled),
    }  # fmt: skip
    summary = describe_recording(samples, out)
    if as_json:
        print_json({**summary, **labels})
        return
    print(recording_in_words(summary))
    if report is not None:
        print(f"{format_count(report.service.notna().sum(), 'container')} labelled")
        for title, rows in (("ambiguous", report.ambiguous), ("unlabelled", report.unlabelled)):
            shown = rows[:_MOST_NAMES_SHOWN]
            for name, image in zip(_names_of(shown), shown.reindex(columns=["image"])["image"], strict=True):
                lost = isinstance(image, str) and not names_image(image)
                print(f"{title}: {name}" + " (the image is told by its digest only)" * lost)
            if len(rows) > _MOST_NAMES_SHOWN:
                print(f"{title}: ... and {len(rows) - _MOST_NAMES_SHOWN} more; --json lists them")


def _names_of(containers: pd.DataFrame) -> list[str]:
    parts = containers[["namespace", "pod", "container"]].fillna("-")
    return ["/".join(row) for row in parts.itertuples(index=False, name=None)]


@with_settings("model_path", "metrics_source", *DATABASES, "watch_sinks", "watch_listen")
def watch(
    settings: Settings,
    once: Annotated[bool, typer.Option("--once", help="Identify what is running now, then exit.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print results; change nothing in the cluster.")
    ] = False,
) -> None:
    """Identify each new container of a cluster and publish results.

    Runs until SIGTERM or Ctrl-C. Writes one JSON object per line: results, and messages about itself.

    Example: podlab watch --model data/models/first --dry-run
    """
    from podlab.watcher.app import watch as run

    run(settings, once=once, dry_run=dry_run)


@with_settings("model_path", "metrics_source", *DATABASES)
def doctor(settings: Settings, form: Format = Form.TABLE, as_json: Json = False) -> None:
    """Check the model, the cluster, permissions and the metrics.

    The exit code is 1 if the watcher could not work. Nothing is changed anywhere. Warnings do not affect the exit code.
    Kubelets keep no past: they are queried four times, which takes 20 s. Other sources that are set up, and kubelets of
    a cluster that can be reached, are checked briefly ("instead") and do not affect the exit code either.

    Example: podlab doctor --source kubelet --json
    """
    from podlab.config import explicitly_set
    from podlab.doctor import examine

    with show_progress("doctor"):
        findings = examine(settings)
    works = all(finding.ok for finding in findings if finding.needed)
    form = choose_form(form, as_json)
    if form is Form.JSON:
        chosen = {name: str(value) for name, value in explicitly_set(settings).items()}
        print_json({"works": works, "findings": [finding.to_json() for finding in findings], "settings": chosen})
    else:
        print_table(
            ("subject", "", "found", "what to do"),
            [(each.subject, each.verdict, each.message, each.hint) for each in findings],
            form=form,
            page="What podlab found",
        )
    if not works:
        raise typer.Exit(1)
