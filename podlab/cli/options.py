"""Options that several commands share, and reading what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="Recordings: Parquet or CSV files, or folders of data sets.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ModelFolder = Annotated[
    Path | None,
    typer.Option("--model", metavar="DIR", help="Folder of the model bundle.  [default: setting model_path]"),
]
Services = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Services to train on.  [default: all labelled services]")
]
Group = Annotated[str, typer.Option(metavar="COLUMN", help="Column whose values are kept together in splits.")]
EvaluationGroup = Annotated[
    str,
    typer.Option(
        "--group", metavar="COLUMN", help="What is held out as a whole: deployment, profile, site, knob:NAME, ..."
    ),
]
Horizons = Annotated[
    str | None,
    typer.Option(
        "--horizons", "--horizon", metavar="10s,30s,...", help="Lengths of the start-up windows.", show_default=False
    ),
]
MetricFilter = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="FILTER", help="Name of a metric filter, or columns.  [default: setting metric_filter]"
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Random seed.  [default: 0]")]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="influxdb|prometheus|kubelet|PLUGIN",
        help="Source of the metrics.  [default: setting metrics_source (influxdb)]",
    ),
]
MostRows = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Train on at most N rows of data sets; containers are sampled if there are more."
    ),
]
Include = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE,...",
        help="Also use containers that were recorded for tests: unknown, faults, normal.  [default: none]",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local[:N]", help="Dask scheduler to distribute the work.  [default: none]", show_default=False
    ),
]
InfluxdbUrl = Annotated[str | None, typer.Option(metavar="URL", help="Address of InfluxDB.", show_default=False)]
InfluxdbDatabase = Annotated[str | None, typer.Option(metavar="NAME", help="Database.", show_default=False)]
InfluxdbUser = Annotated[str | None, typer.Option(metavar="NAME", help="User; the password comes from "
                                                  "PODLAB_INFLUXDB_PASSWORD or --influxdb-password-file.",
                                                  show_default=False)]  # fmt: skip
InfluxdbPasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File that contains the password.", show_default=False)
]

PrometheusUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address of the Prometheus API, without /api/v1.", show_default=False),
]


def split_words(text: str | None) -> tuple[str, ...]:
    """Read ``a,b`` as words."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def parse_horizons_s(text: str | None, *, where: str = "--horizons") -> tuple[float, ...] | None:
    """Read ``10s,30s`` as seconds in rising order; None stays None."""
    from podlab.data.units import parse_duration_s

    if text is None:
        return None
    horizons = sorted({parse_duration_s(part, where=where) for part in text.split(",")})
    return tuple(horizons)


def split_recordings(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Tell files from the folders of data sets."""
    from podlab.data.store.files import is_dataset_path

    folders = [path for path in files if is_dataset_path(path)]
    return [path for path in files if path not in folders], folders
