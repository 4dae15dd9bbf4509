"""``podlab collect`` and ``podlab replay``."""

from __future__ import annotations

import enum
import logging
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podlab.cli.options import (
    InfluxdbDatabase,
    InfluxdbPasswordFile,
    InfluxdbUrl,
    InfluxdbUser,
    Json,
    PrometheusUrl,
    Services,
    Source,
)
from podlab.cli.output import print_json, show_progress
from podlab.errors import PodlabError

if TYPE_CHECKING:
    import pandas as pd

    from podlab.config import Settings
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


def collect(
    out: Annotated[
        Path,
        typer.Option(metavar="FILE|FOLDER", help="Parquet file to write, or data set to add to.", show_default=False),
    ],
    source: Source = None,
    since: Annotated[
        str | None, typer.Option(metavar="600s", help="How far back to fetch.  [default: setting fetch_window (600s)]")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="How many times to fetch; Ctrl-C keeps what was fetched so far.")
    ] = 1,
    interval: Annotated[
        str | None, typer.Option(metavar="60s", help="Time between rounds.  [default: setting training_interval (60s)]")
    ] = None,
    services: Services = None,
    label_table: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table that maps pods to services.", show_default=False)
    ] = None,
    inventory: Annotated[
        InventoryChoice,
        typer.Option(help="Ask the Kubernetes API for uid, start and image; auto: if it is configured."),
    ] = InventoryChoice.AUTO,
    cluster: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the cluster.  [default: local]")] = None,
    influxdb_url: InfluxdbUrl = None,
    influxdb_database: InfluxdbDatabase = None,
    influxdb_user: InfluxdbUser = None,
    influxdb_password_file: InfluxdbPasswordFile = None,
    prometheus_url: PrometheusUrl = None,
    kubernetes_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the Kubernetes API.", show_default=False)
    ] = None,
    kubernetes_access: Annotated[
        str | None, typer.Option(metavar="auto|inside|outside", help="How to reach it.  [default: auto]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Collect the samples of all containers from a live source into a recording.

    Databases are asked for the past; kubelets keep none, so they are watched for as long as --since says.

    Example: podlab collect --source influxdb --since 600s --services mysql,nginx --out samples.parquet
    """
    from podlab.config import load_settings
    from podlab.data.labels import LabelRules, read_label_table
    from podlab.data.recordings import write_recording
    from podlab.data.store.files import url_of
    from podlab.files import refuse_inputs, refuse_unwritable
    from podlab.kubernetes.inventory import enrich
    from podlab.live import label_samples, live_source
    from podlab.sources.collect import collect as collect_rounds

    settings = load_settings(
        fetch_window=since, training_interval=interval, services=services, cluster=cluster, influxdb_url=influxdb_url,
        influxdb_database=influxdb_database, influxdb_user=influxdb_user, kubernetes_endpoint=kubernetes_endpoint,
        influxdb_password_file=influxdb_password_file, kubernetes_access=kubernetes_access, metrics_source=source,
        prometheus_url=prometheus_url,
    )  # fmt: skip
    refuse_inputs(out, [label_table, *settings.files()])
    # What was collected for ten minutes shall not be lost to a slip of the pen.
    rules = LabelRules(services=settings.services, table=None if label_table is None else read_label_table(label_table))
    if url_of(out) is None:
        refuse_unwritable(out)
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
    _tell(samples, report, out, as_json)


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Recording to play.", show_default=False)],
    to: Annotated[TargetName, typer.Option(help="Kind of database.")] = TargetName.INFLUXDB,
    speed: Annotated[
        float | None,
        typer.Option(metavar="N", help="Replay N times as fast as recorded.  [default: as fast as possible]"),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Shift times so that the last sample is now.")] = False,
    influxdb_url: InfluxdbUrl = None,
    influxdb_database: InfluxdbDatabase = None,
    influxdb_user: InfluxdbUser = None,
    influxdb_password_file: InfluxdbPasswordFile = None,
    prometheus_url: PrometheusUrl = None,
    as_json: Json = False,
) -> None:
    """Write a recording into a live database: InfluxDB as Telegraf would, Prometheus as if it had scraped cAdvisor.

    "opentelemetry" is Prometheus as if OpenTelemetry's kubeletstats receiver had written into it.

    After Ctrl-C, the same command continues where it stopped. Prometheus must take remote writes
    (--web.enable-remote-write-receiver; VictoriaMetrics does) and refuses what is older than what it has.

    Example: podlab replay data/recordings/first.parquet --to influxdb --now
    """
    from podlab.config import load_settings
    from podlab.data.recordings import read_recording
    from podlab.files import refuse_inputs, shorten_name
    from podlab.live import prometheus_api, writable_database
    from podlab.sources.prometheus_query import CADVISOR, OPENTELEMETRY
    from podlab.sources.replay import replay as write

    settings = load_settings(
        influxdb_url=influxdb_url, influxdb_database=influxdb_database, influxdb_user=influxdb_user,
        influxdb_password_file=influxdb_password_file, prometheus_url=prometheus_url,
    )  # fmt: skip
    state_path = Path(".cache") / f"replay-{shorten_name(file.stem)}.json"
    refuse_inputs(state_path, [file, *settings.files()])
    samples = read_recording([file])
    target = writable_database(settings) if to is TargetName.INFLUXDB else prometheus_api(settings, timeout_s=_WRITE_S)
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
    told = {
        "samples": done.samples,
        "points": done.points,
        "resumed_at": done.resumed_at,
        "since": done.since.isoformat(),
        "until": done.until.isoformat(),
    }
    if as_json:
        print_json(told)
    else:
        print(f"{done.samples} samples ({done.points} points) from {told['since']} to {told['until']}")


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


def _tell(samples: pd.DataFrame, report: LabelReport | None, out: Path, as_json: bool) -> None:
    from podlab.data.deployments import names_image
    from podlab.data.samples import INSTANCE_KEY

    labels = {} if report is None else {
        "labelled": int(report.service.notna().sum()),
        "ambiguous": _names_of(report.ambiguous),
        "unlabelled": _names_of(report.unlabelled),
    }  # fmt: skip
    told = {
        "file": str(out),
        "rows": len(samples),
        "containers": int(samples.groupby(list(INSTANCE_KEY), dropna=False).ngroups),
        "since": samples["time"].min().isoformat(),
        "until": samples["time"].max().isoformat(),
        **labels,
    }
    if as_json:
        print_json(told)
        return
    print(f"{out}: {told['rows']} rows of {told['containers']} containers, {told['since']} to {told['until']}")
    if report is not None:
        print(f"{report.service.notna().sum()} containers labelled")
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
