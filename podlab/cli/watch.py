"""``podlab watch``."""

from __future__ import annotations

from typing import Annotated

import typer

from podlab.cli.options import (
    InfluxdbDatabase,
    InfluxdbPasswordFile,
    InfluxdbUrl,
    InfluxdbUser,
    ModelFolder,
    PrometheusUrl,
    Source,
)


def watch(
    model: ModelFolder = None,
    source: Source = None,
    influxdb_url: InfluxdbUrl = None,
    influxdb_database: InfluxdbDatabase = None,
    influxdb_user: InfluxdbUser = None,
    influxdb_password_file: InfluxdbPasswordFile = None,
    prometheus_url: PrometheusUrl = None,
    sinks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Where to publish: log, event, annotation, influxdb, or a plugin's name.  "
            "[default: setting watch_sinks]",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where to serve metrics, probes and the status page.  [default: setting watch_listen]",
            show_default=False,
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Identify what is running now, then exit.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print results; change nothing in the cluster.")
    ] = False,
) -> None:
    """Identify each new container of a cluster and publish the result. Runs until SIGTERM or Ctrl-C.

    Writes one JSON object a line: announcements, and what it has to say about itself.

    Example: podlab watch --model data/models/default --dry-run
    """
    from podlab.config import load_settings
    from podlab.watcher.app import watch as run

    settings = load_settings(
        model_path=model, influxdb_url=influxdb_url, influxdb_database=influxdb_database, influxdb_user=influxdb_user,
        influxdb_password_file=influxdb_password_file, watch_sinks=sinks, watch_listen=listen, metrics_source=source,
        prometheus_url=prometheus_url,
    )  # fmt: skip
    run(settings, once=once, dry_run=dry_run)
