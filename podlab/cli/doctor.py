"""``podlab doctor``: what works here, what does not, and what to do about it."""

from __future__ import annotations

import typer

from podlab.cli.options import (
    InfluxdbDatabase,
    InfluxdbPasswordFile,
    InfluxdbUrl,
    InfluxdbUser,
    Json,
    ModelFolder,
    PrometheusUrl,
    Source,
)
from podlab.cli.output import print_json, print_table


def doctor(
    model: ModelFolder = None,
    source: Source = None,
    influxdb_url: InfluxdbUrl = None,
    influxdb_database: InfluxdbDatabase = None,
    influxdb_user: InfluxdbUser = None,
    influxdb_password_file: InfluxdbPasswordFile = None,
    prometheus_url: PrometheusUrl = None,
    as_json: Json = False,
) -> None:
    """Check the model, the cluster, each permission and the metrics; exit with 1 if the watcher could not work.

    Nothing is changed anywhere. What only warns is no reason for the watcher not to work. Kubelets keep no past: they
    are asked four times first, which takes 20 s. Other sources that are set up, and kubelets of a cluster that can be
    reached, are looked at briefly ("instead"); they decide nothing.

    Example: podlab doctor --source kubelet --json
    """
    from podlab.config import explicitly_set, load_settings
    from podlab.doctor import examine

    settings = load_settings(
        model_path=model, metrics_source=source, influxdb_url=influxdb_url, influxdb_database=influxdb_database,
        influxdb_user=influxdb_user, influxdb_password_file=influxdb_password_file,
        prometheus_url=prometheus_url,
    )  # fmt: skip
    findings = examine(settings)
    works = all(finding.ok for finding in findings if finding.needed)
    if as_json:
        chosen = {name: str(value) for name, value in explicitly_set(settings).items()}
        print_json({"works": works, "findings": [finding.to_json() for finding in findings], "settings": chosen})
    else:
        print_table(
            ("subject", "", "found", "what to do"),
            [(each.subject, each.verdict, each.message, each.hint) for each in findings],
        )
    if not works:
        raise typer.Exit(1)
