"""``podlab doctor``: what works here, what does not, and what to do about it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import typer

import podlab
from podlab import bundle
from podlab.cli.options import InfluxdbDatabase, InfluxdbPasswordFile, InfluxdbUrl, InfluxdbUser, Json, ModelFolder
from podlab.cli.output import print_json, print_table
from podlab.errors import PodlabError
from podlab.live import cluster_inventory, live_source
from podlab.metrics import FEATURE_METRICS
from podlab.settings import Settings, explicitly_set, load_settings

_WORKBENCH = ("sklearn", "papermill", "nbconvert", "jupyterlab", "matplotlib", "seaborn")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it works, what was seen, and what to do if it does not."""

    subject: str
    ok: bool
    said: str
    todo: str = ""


def doctor(
    model: ModelFolder = None,
    influxdb_url: InfluxdbUrl = None,
    influxdb_database: InfluxdbDatabase = None,
    influxdb_user: InfluxdbUser = None,
    influxdb_password_file: InfluxdbPasswordFile = None,
    as_json: Json = False,
) -> None:
    """Look at the installation, the model, the database and the cluster; exit 1 when something does not work.

    Example: podlab doctor --json
    """
    settings = load_settings(
        model_path=model, influxdb_url=influxdb_url, influxdb_database=influxdb_database, influxdb_user=influxdb_user,
        influxdb_password_file=influxdb_password_file,
    )  # fmt: skip
    findings = [
        _look_at_installation(),
        _try("model", lambda: _look_at_model(settings)),
        _try("metrics in InfluxDB", lambda: _look_at_influxdb(settings)),
        _try("Kubernetes API", lambda: _look_at_cluster(settings)),
    ]
    if as_json:
        chosen = {name: str(value) for name, value in explicitly_set(settings).items()}
        print_json({"findings": [asdict(finding) for finding in findings], "settings": chosen})
    else:
        print_table(
            ("subject", "", "found", "what to do"),
            [(f.subject, "ok" if f.ok else "FAILS", f.said, f.todo) for f in findings],
        )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _try(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, look())
    except PodlabError as error:
        where = "" if error.where is None else f"{error.where}: "
        return Finding(subject, False, where + error.what, error.todo or "")


def _look_at_installation() -> Finding:
    version = f"podlab {podlab.__version__} on Python {sys.version.split()[0]}"
    missing = [name for name in _WORKBENCH if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("installation", False, f"{version} without {', '.join(missing)}", "make setup")
    return Finding("installation", True, f"{version}, workbench complete")


def _look_at_model(settings: Settings) -> str:
    loaded = bundle.load(settings.model_path)
    return f"{settings.model_path}: {len(loaded.identifier.services)} services, digest {loaded.digest[:12]}"


def _look_at_influxdb(settings: Settings) -> str:
    until = datetime.now(UTC)
    with closing(live_source(settings)) as source:
        samples = source.fetch(until - settings.fetch_window, until)
    age_s = (until - samples["time"].max()).total_seconds()
    missing = [name for name in FEATURE_METRICS if name not in samples or samples[name].isna().all()]
    without = f"; without {', '.join(missing)}" if missing else ""
    return f"{len(samples)} rows in the last {settings.fetch_window}, the newest {age_s:.0f} s old{without}"


def _look_at_cluster(settings: Settings) -> str:
    return f"{len(cluster_inventory(settings))} running containers"
