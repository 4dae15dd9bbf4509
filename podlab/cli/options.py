"""Options that several commands share: those that change a setting, and others."""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, get_type_hints

import typer

from podlab.errors import InputError

if TYPE_CHECKING:
    from podlab.config import Settings as Settings
else:
    # It takes long to load, which nothing may before it is known which command it is.
    Settings = object

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="Recordings: Parquet or CSV files, or folders of data sets.", show_default=False
    ),
]


class Form(enum.StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
#: Of commands that report; they take ``--json`` as well.
Format = Annotated[
    Form, typer.Option("--format", help="How to print; html is one page that sorts and filters, json is as --json.")
]


def choose_form(form: Form, as_json: bool) -> Form:
    """Give the form that ``--format`` or ``--json`` asks for.

    Raises
    ------
    InputError
        If they ask for two.
    """
    if as_json and form not in (Form.TABLE, Form.JSON):
        raise InputError(f"--format {form.value} and --json are two forms", hint="give one of them")
    return Form.JSON if as_json else form


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
Horizon = Annotated[
    str | None,
    typer.Option(
        "--horizon",
        "--horizons",
        metavar="60s",
        help="Use only this much after each container's start.  [default: all rows]",
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
LabelTable = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Table that maps pods to services.", show_default=False),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local[:N]", help="Dask scheduler to distribute the work.  [default: none]", show_default=False
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Random seed.  [default: 0]")]


class _Setting(NamedTuple):
    """How a setting is shown as an option."""

    option: str
    metavar: str | None
    help: str
    kind: type = str
    least: int | None = None
    most: int | None = None


_SETTINGS: Final = {
    "model_path": _Setting("model", "FOLDER", "Folder of the model.  [default: setting model_path]", Path),
    "metrics_source": _Setting(
        "source", "influxdb|prometheus|kubelet|PLUGIN",
        "Source of the metrics.  [default: setting metrics_source (influxdb)]",
    ),
    "fetch_window": _Setting("since", "600s", "How far back to fetch.  [default: setting fetch_window (600s)]"),
    "training_interval": _Setting(
        "interval", "60s", "Time between rounds.  [default: setting training_interval (60s)]"
    ),
    "services": _Setting("services", "A,B,...", "Services to train on.  [default: all labelled services]"),
    "metric_filter": _Setting(
        "metrics", "FILTER", "Name of a metric filter, or columns.  [default: setting metric_filter]"
    ),
    "training_iterations": _Setting(
        "iterations", None, "Number of random splits to average.  [default: 1]", int, 1
    ),
    "training_ratio": _Setting(
        "training_ratio", None, "Share of deployments to train on, instead of cross-validation.", float
    ),
    "seed": _Setting("seed", None, "Random seed.  [default: 0]", int, 0, 2**32 - 1),
    "cluster": _Setting("cluster", "NAME", "Name of the cluster.  [default: local]"),
    "influxdb_url": _Setting("influxdb_url", "URL", "Address of InfluxDB."),
    "influxdb_database": _Setting("influxdb_database", "NAME", "Database."),
    "influxdb_user": _Setting(
        "influxdb_user", "NAME",
        "User; the password comes from PODLAB_INFLUXDB_PASSWORD or --influxdb-password-file.",
    ),
    "influxdb_password_file": _Setting("influxdb_password_file", "FILE", "File that contains the password.", Path),
    "prometheus_url": _Setting("prometheus_url", "URL", "Address of the Prometheus API, without /api/v1."),
    "kubernetes_endpoint": _Setting("kubernetes_endpoint", "URL", "Address of the Kubernetes API."),
    "kubernetes_access": _Setting("kubernetes_access", "auto|inside|outside", "How to reach it.  [default: auto]"),
    "aliases_file": _Setting("aliases_file", "TOML", "File with further names of services.  [default: none]", Path),
    "mismatch_rate": _Setting(
        "mismatch_rate", None, "Share of the mismatches that may be false.  [default: setting mismatch_rate (0.05)]",
        float,
    ),
    "watch_sinks": _Setting(
        "sinks", "A,B,...",
        "Where to publish: log, event, annotation, influxdb, or a plugin's name.  [default: setting watch_sinks]",
    ),
    "watch_listen": _Setting(
        "listen", "HOST:PORT",
        "Where to serve metrics, probes and the status page.  [default: setting watch_listen]",
    ),
}  # fmt: skip
#: Where databases are, and who asks them.
DATABASES: Final = ("influxdb_url", "influxdb_database", "influxdb_user", "influxdb_password_file", "prometheus_url")


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these settings.

    The command is called with all settings as ``settings``: those of the options that were given, and the others from
    the environment, the file and the defaults.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            from podlab.config import load_settings

            settings = load_settings(**{name: given.pop(_SETTINGS[name].option) for name in names})
            command(settings=settings, **given)

        hints = get_type_hints(command, include_extras=True)
        own = [
            each.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, each in inspect.signature(command).parameters.items()
            if name != "settings"
        ]
        options = [_as_parameter(_SETTINGS[name]) for name in names]
        # Arguments and options that are needed come first, and what all commands have last.
        first = [each for each in own if each.default is inspect.Parameter.empty]
        parameters = [*first, *options, *(each for each in own if each not in first)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def _as_parameter(setting: _Setting) -> inspect.Parameter:
    option = typer.Option(
        f"--{setting.option.replace('_', '-')}", metavar=setting.metavar, help=setting.help,
        min=setting.least, max=setting.most,
    )  # fmt: skip
    annotation: Any = Annotated[setting.kind | None, option]
    return inspect.Parameter(setting.option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def split_words(text: str | None) -> tuple[str, ...]:
    """Read ``a,b`` as words."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def parse_horizons_s(text: str | None, *, where: str = "--horizons") -> tuple[float, ...] | None:
    """Read ``10s,30s`` as seconds in rising order; None stays None."""
    from podlab.data.units import parse_duration_s

    if text is None:
        return None
    return tuple(sorted({parse_duration_s(part, where=where) for part in text.split(",")}))


def split_recordings(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Tell files from the folders of data sets."""
    from podlab.data.store.files import is_dataset_path

    folders = [path for path in files if is_dataset_path(path)]
    return [path for path in files if path not in folders], folders
