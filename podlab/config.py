"""Every knob of podlab, typed, in one place.

A setting comes from the command line, else from the environment (``PODLAB_`` and the name in capitals), else from
``podlab.toml`` in the working folder, else from the default here. An unknown name is refused wherever it stands.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from podlab.data.units import format_duration, parse_duration_s
from podlab.errors import InputError
from podlab.files import decode_text, read_toml, refuse_device
from podlab.plugins import SINKS, SOURCES
from podlab.secret_text import clean_password, clean_token

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_POD = re.compile(r"(?P<namespace>[^/]+)/(?P<name>[a-z0-9][a-z0-9.-]{0,252})/(?P<uid>[A-Za-z0-9-]{1,64})")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _read_duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=parse_duration_s(str(value)))
    except InputError as error:
        raise ValueError(str(error)) from error


def _read_names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_namespaces(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid name of a namespace; write whole names with commas between them")
    return value


def _read_pod(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value or None
    found = _POD.fullmatch(value)
    if found is None or not _NAMESPACE.fullmatch(found["namespace"]):
        raise ValueError(f"{value!r} is not a pod; write namespace/name/uid")
    return PodName(**found.groupdict())


def _read_labels(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    for label, equals, _ in pairs:
        if not equals or not _LABEL_NAME.fullmatch(label.strip()):
            raise ValueError(f"{label.strip()!r} is not a label and its value, such as cluster=east")
    return tuple((label.strip(), text.strip()) for label, _, text in pairs)


def _check_url(value: str) -> str:
    value = value.strip()
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("holds a user or password; give them by settings of their own")
    if parts.query or parts.fragment:
        raise ValueError(
            "holds more than an address, behind '?' or '#'; give user and password by settings of their own"
        )
    try:
        sound = parts.port != 0 and bool(parts.hostname.encode("idna")) and value.isprintable()
    except ValueError:  # of the port, which is read only here, or of the name
        sound = False
    if not sound:
        raise ValueError("has a port or a host's name that is none")
    return value.rstrip("/")


def _read_nothing(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value


def _check_header_text(value: str | None) -> str | None:
    if value is not None and not (value.isascii() and value.isprintable()):
        raise ValueError("holds a character that cannot be sent, such as a line end or a letter beyond ASCII")
    return value


def _check_sinks(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(SINKS.check(name) for name in names)


class PodName(NamedTuple):
    """Which pod: a pod made anew under the same name has another uid."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return "/".join(self)


#: The watcher's own pod; outside a cluster it has none.
OwnPod = Annotated[PodName | None, NoDecode, BeforeValidator(_read_pod), PlainSerializer(str, return_type=str)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(lambda value: format_duration(value.total_seconds()), return_type=str),
]
#: Pairs of a label and its value.
LabelPairs = Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_read_labels)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_names)]
#: An API server finds nothing in a namespace that cannot be, and says nothing either.
Namespaces = Annotated[Names, AfterValidator(_check_namespaces)]
Sinks = Annotated[Names, AfterValidator(_check_sinks)]
Url = Annotated[str, AfterValidator(_check_url)]
#: An environment has no way to say "none" but an empty text.
Text = Annotated[str | None, BeforeValidator(_read_nothing)]
#: What is sent in a header as it is.
HeaderText = Annotated[Text, AfterValidator(_check_header_text)]
File = Annotated[Path | None, BeforeValidator(_read_nothing)]

PREFIX = "PODLAB_"
FILE_NAME = "podlab.toml"
#: Options of the command line that are not called like their setting.
_OPTIONS = {
    "fetch_window": "--since",
    "metric_filter": "--metrics",
    "metrics_source": "--source",
    "model_path": "--model",
    "training_interval": "--interval",
    "training_iterations": "--iterations",
    "watch_listen": "--listen",
    "watch_sinks": "--sinks",
}
# Kubernetes puts these into every pod's environment where a Service is named podlab or podlab-something.
_SERVICE_LINK = re.compile(r"PODLAB_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


class _TomlFile(TomlConfigSettingsSource):
    """podlab.toml, with a byte order mark or without one."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return read_toml(file_path)


class MetricsSource(enum.StrEnum):
    """podlab's own sources of metrics; installed packages may bring others (:data:`podlab.plugins.SOURCES`)."""

    INFLUXDB = "influxdb"
    PROMETHEUS = "prometheus"
    KUBELET = "kubelet"


def _check_source(name: str) -> str:
    return MetricsSource(name) if name in list(MetricsSource) else SOURCES.check(name)


SourceName = Annotated[str, AfterValidator(_check_source)]


class Settings(BaseSettings):
    """All settings; the descriptions are the help of the command line and of the table in docs/settings.md."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=FILE_NAME, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    training_interval: Duration = Field(
        timedelta(seconds=60), description="time from one training to the next, where training is repeated"
    )
    fetch_window: Duration = Field(timedelta(seconds=600), description="how far back metrics are fetched")
    services: Names = Field((), description="services to learn, comma-separated; empty: all that are labelled")
    training_iterations: int = Field(1, ge=1, le=1000, description="how many random splits an evaluation averages")
    training_ratio: float | None = Field(
        None, gt=0, lt=1, description="share of deployments trained on; empty: five-fold cross-validation"
    )
    learning_curve_samples: int = Field(
        200, ge=1, le=100_000, description="the curve over training samples goes from 1 to this many"
    )
    metrics_timeout: Duration = Field(
        timedelta(seconds=120), description="how long to wait for metrics before giving up"
    )
    model_path: Path = Field(Path("data/models/default"), description="folder of the model")
    model_key_file: File = Field(
        None, description="public key, PEM; the watcher uses only models that it signed; empty: any model"
    )
    metric_filter: str = Field(
        "only-numbers-no-image-size", description="metrics to learn from: a filter's name or a list of columns"
    )
    metrics_source: SourceName = Field(
        MetricsSource.INFLUXDB,
        description=f"where the metrics of a live cluster are: {', '.join(MetricsSource)}, or a plugin's name",
    )
    influxdb_url: Url = Field("http://localhost:8086", description="address of InfluxDB")
    influxdb_user: Text = Field(None, description="user of InfluxDB; empty: no login")
    influxdb_password: SecretStr | None = Field(
        None, description="password of InfluxDB; only from the environment, never from the command line or a file"
    )
    influxdb_password_file: File = Field(
        None, description="file that holds the password of InfluxDB, such as a mounted Secret"
    )
    influxdb_token: SecretStr | None = Field(
        None, description="token of InfluxDB 2 or 3, instead of user and password; only from the environment"
    )
    influxdb_token_file: File = Field(None, description="file that holds the token of InfluxDB 2 or 3")
    influxdb_ca_file: File = Field(
        None, description="file of the certificates that sign InfluxDB's own; empty: the system's"
    )
    influxdb_database: str = Field(
        "telegraf",
        min_length=1,
        description="database that Telegraf writes into; or database/policy, where not into its default policy",
    )
    prometheus_url: Url = Field(
        "http://localhost:9090",
        description="what stands before /api/v1 of Prometheus, Thanos, Mimir (.../prometheus) or VictoriaMetrics",
    )
    prometheus_user: Text = Field(None, description="user of Prometheus; empty: no login")
    prometheus_password: SecretStr | None = Field(None, description="password of Prometheus; only from the environment")
    prometheus_password_file: File = Field(None, description="file that holds the password of Prometheus")
    prometheus_token: SecretStr | None = Field(
        None, description="bearer token of Prometheus, instead of user and password; only from the environment"
    )
    prometheus_token_file: File = Field(
        None, description="file that holds the bearer token of Prometheus, such as a service account's"
    )
    prometheus_ca_file: File = Field(
        None, description="file of the certificates that sign Prometheus' own; empty: the system's"
    )
    prometheus_tenant: HeaderText = Field(
        None, description="whose metrics, where one server keeps several tenants' (Mimir)"
    )
    prometheus_labels: LabelPairs = Field(
        (), description="only series with these labels, comma-separated, such as cluster=east,prometheus=main"
    )
    kubelet_interval: Duration = Field(
        timedelta(seconds=5), description="from one question to the next, where the kubelets are the source"
    )
    kubelet_ca_file: File = Field(
        None, description="file of the certificates that sign the kubelets' own; empty: the cluster's"
    )
    kubelet_verify: bool = Field(
        True, description="whether a kubelet's certificate is checked before it gets the token"
    )
    kubernetes_endpoint: Url | None = Field(
        None, description="address of the Kubernetes API; empty: from kubeconfig or the pod's surroundings"
    )
    kubernetes_access: Literal["auto", "inside", "outside"] = Field(
        "auto", description="inside: the pod's service account; outside: kubeconfig; auto: whichever is there"
    )
    cluster: str = Field("local", min_length=1, description="name of this cluster in samples and answers")
    aliases_file: File = Field(
        None, description="TOML file with further names of services in images and labels, by which claims are checked"
    )
    mismatch_rate: float = Field(
        0.05, gt=0, lt=1, description="share of the reported mismatches of claims that may be false, over the fleet"
    )
    watch_interval: Duration = Field(timedelta(seconds=10), description="from one round of the watcher to the next")
    watch_namespaces: Namespaces = Field((), description="namespaces to watch, comma-separated; empty: all")
    watch_excluded_namespaces: Namespaces = Field((), description="namespaces to leave out, comma-separated")
    watch_selector: Text = Field(None, description="only pods with these labels, as for kubectl --selector")
    watch_sinks: Sinks = Field(
        ("log", "event"),
        description="where the watcher announces, comma-separated: log, event (on the pod), annotation (and label of "
        "the pod), influxdb (a measurement), or a plugin's name",
    )
    watch_anomalies: bool = Field(
        False,
        description="whether the watcher also scores all samples of all containers and tells of anomalies; "
        "expect false alarms",
    )
    watch_claims: bool = Field(
        True, description="whether the watcher tells of workloads that do not behave like what they claim to be"
    )
    watch_listen: Text = Field(
        "127.0.0.1:8080",
        description="where the watcher serves /metrics, /containers, probes and a page; empty: nowhere",
    )
    watch_state: File = Field(
        None, description="file that keeps over a restart what was announced; empty: only Kubernetes' events do, 1 h"
    )
    watch_lease: Text = Field(
        None, description="namespace/name of the Lease by which one of several watchers announces; empty: one watcher"
    )
    watch_pod: OwnPod = Field(
        None,
        description="namespace/name/uid of the watcher's own pod: gets an Event where no container has metrics, and "
        "podlab's pods beside it are left out; empty: it runs in no pod",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: command line, environment, file."""
        return init_settings, env_settings, _TomlFile(settings_cls)

    def files(self) -> list[Path]:
        """List the files of secrets and certificates that settings name; they are read, never written."""
        named = (getattr(self, name) for name in sorted(type(self).model_fields) if name.endswith("_file"))
        return [path for path in named if path is not None]

    def secret(self, name: str) -> str | None:
        """Read a secret from wherever it was given: the setting of that name, or the file that ``name_file`` names.

        Blanks and line ends around it are no part of it: many a Secret is made by ``echo``. Raises InputError if the
        file cannot be read, or what was given is no such secret.
        """
        given: SecretStr | None = getattr(self, name)
        path: Path | None = getattr(self, f"{name}_file")
        # An environment has no way to say "none" but an empty text.
        if given is not None and given.get_secret_value().strip():
            text, where = given.get_secret_value(), PREFIX + name.upper()
        elif path is not None:
            text, where = _read_secret(path, name), f"{name}_file {path}"
        else:
            return None
        return (clean_token if name.endswith("_token") else clean_password)(text, where=where)


def _read_secret(path: Path, name: str) -> str:
    refuse_device(path)
    try:
        return decode_text(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        what = f"cannot read the {name.rpartition('_')[2]}: {reason}"
        # The fault of a text quotes the bytes; and what is no path may be the secret itself.
        is_path = path.is_absolute() or path.exists() or (len(path.parts) > 1 and path.parent.exists())
        raise InputError(what, where=f"{name}_file {path}" if is_path else f"{name}_file") from None


def load_settings(**command_line: Any) -> Settings:
    """Gather the settings from all their sources; those of the command line that are ``None`` were not given.

    Raises InputError if a name is unknown, a value is no good, the file is not TOML, or a secret stands in the file.
    """
    _check_environment(os.environ)
    _check_file(Path(FILE_NAME))
    given = {name: value for name, value in command_line.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as errors:
        first = errors.errors()[0]
        name = str(first["loc"][0])
        what = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        hint = f"settings are {', '.join(Settings.model_fields)}" if first["type"] == "extra_forbidden" else None
        raise InputError(what, where=_origin(name, given), hint=hint) from None


def explicitly_set(settings: Settings) -> dict[str, object]:
    """Return the settings that came from somewhere else than the defaults, secrets left out."""
    return {name: getattr(settings, name) for name in sorted(settings.model_fields_set) if not is_secret(name)}


def is_secret(name: str) -> bool:
    """Tell whether the value of a setting must never be shown."""
    return name.endswith(("_password", "_token"))


def _check_environment(environment: Mapping[str, str]) -> None:
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in Settings.model_fields and not _SERVICE_LINK.fullmatch(variable):
            raise InputError("unknown setting", where=variable, hint=f"settings are {', '.join(Settings.model_fields)}")


def _check_file(path: Path) -> None:
    for name in read_toml(path) if path.exists() else {}:
        if is_secret(name):
            what = f"{name} must not stand in a file that gets shared"
            raise InputError(what, where=str(path), hint=f"set {PREFIX}{name.upper()} or {name}_file")


def _origin(name: str, given: Mapping[str, object]) -> str:
    if name in given:
        return _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    variable = PREFIX + name.upper()
    return variable if variable in os.environ else f"{FILE_NAME}: {name}"
