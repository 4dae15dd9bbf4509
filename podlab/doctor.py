"""What `podlab doctor` checks: installation, model, cluster and rights, the metrics, and the sources not chosen."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import pandas as pd

import podlab
from podlab.config import MetricsSource, Settings
from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY, median_interval_s
from podlab.data.units import format_count
from podlab.errors import PodlabError
from podlab.http import DECODE_ERRORS, one_line
from podlab.kubernetes.client import ApiConnection, connect
from podlab.live import live_source
from podlab.missing_columns import cost_of, missing_families, remedies
from podlab.model import bundle
from podlab.model.bundle import BundleInfo
from podlab.sources.kubelet import KubeletSource


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str  # what was checked
    ok: bool  # whether it is as it should be
    message: str  # what was found
    #: What to do, with the command or the lines of YAML; empty where there is nothing to do.
    hint: str = ""
    needed: bool = True  # whether the watcher cannot work while it is not ``ok``
    details: dict[str, Any] = field(default_factory=dict)  # the same in numbers, for programs
    alternative: bool = False  # whether it is about a source of metrics that was not chosen

    @property
    def verdict(self) -> str:
        """The result in one word, for people."""
        return "ok" if self.ok else "FAILS" if self.needed else "no" if self.alternative else "warns"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "subject": self.subject, "ok": self.ok, "said": self.message, "todo": self.hint, "needed": self.needed,
            "details": self.details, "alternative": self.alternative,
        }  # fmt: skip


def failure(subject: str, error: PodlabError, *, needed: bool = True) -> Finding:
    """Make a finding of what was raised."""
    where = "" if error.where is None else f"{error.where}: "
    return Finding(subject, False, where + error.message, error.hint or "", needed)


_WORKBENCH: Final = ("sklearn", "papermill", "nbconvert", "jupyterlab", "matplotlib", "seaborn")
#: Without any of these no workbench was installed.
_NOTEBOOKS: Final = ("papermill", "nbconvert", "jupyterlab")


def check_installation() -> Finding:
    """Report the Python version, and whether the notebooks can be run; the watcher needs none of that."""
    version = f"podlab {podlab.__version__} on Python {sys.version.split()[0]}"
    missing = [name for name in _WORKBENCH if importlib.util.find_spec(name) is None]
    if set(missing) >= set(_NOTEBOOKS):
        # As in the watcher's image: no workbench was wanted.
        return Finding("installation", True, f"{version}, without the workbench", needed=False)
    if missing:
        return Finding("installation", False, f"{version} without {', '.join(missing)}", "make setup", needed=False)
    return Finding("installation", True, f"{version}, workbench complete", needed=False)


def check_model(settings: Settings) -> tuple[BundleInfo | None, Finding]:
    """Load the model, which checks every digest."""
    try:
        loaded = bundle.load(settings.model_path)
    except PodlabError as error:
        return None, failure("model", error)
    info = loaded.info
    message = f"{settings.model_path}: {format_count(len(info.services), 'service')}, digest {info.digest[:12]}"
    if settings.watch_anomalies and loaded.library is None:
        hint = "fit the model again, or leave watch_anomalies off"
        return info, Finding("model", False, f"{message}, no detectors to look for anomalies with", hint)
    return info, Finding("model", True, message, details={"services": list(info.services), "digest": info.digest})


_CLUSTER_S: Final = 10.0
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_CLUSTER: Final = "Kubernetes API"


class Right(NamedTuple):
    """A right that has to be granted, why, and the manifest with a rule for it."""

    verb: str
    resource: str
    why: str
    manifest: str
    needed: bool = True
    group: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{place}"

    @property
    def rule(self) -> str:
        """The rule of a Role that grants it, YAML on one line."""
        names = f", resourceNames: [{self.name}]" if self.name else ""
        return f'{{apiGroups: ["{self.group}"], resources: [{self.resource}], verbs: [{self.verb}]{names}}}'


class _ReviewStatus(msgspec.Struct):
    allowed: bool = False
    reason: str = ""


class _Review(msgspec.Struct):
    status: _ReviewStatus


def rights_for(settings: Settings) -> Iterator[Right]:
    """List the rights that the watcher needs with these settings."""
    base = "deploy/base/rbac.yaml"
    watched = tuple(name for name in settings.watch_namespaces if name not in settings.watch_excluded_namespaces)
    # One namespace is listed by itself; several are so only by listing all.
    listed = watched if len(watched) == 1 else ("",)
    for verb in ("list", "watch"):
        for namespace in listed:
            yield Right(verb, "pods", "to see who starts", base, namespace=namespace)
    for namespace in watched or ("",):
        if "event" in settings.watch_sinks:
            yield Right("create", "events", "to announce what was found", base, namespace=namespace)
        if "annotation" in settings.watch_sinks:
            annotate = "deploy/overlays/annotate/rbac.yaml"
            yield Right("patch", "pods", "to write onto the pods", annotate, namespace=namespace)
    if settings.watch_pod is not None and watched and settings.watch_pod.namespace not in watched:
        own = settings.watch_pod.namespace
        yield Right(
            "create", "events", "to report on podlab's own pod that no metrics come", base, False, namespace=own
        )
    if settings.watch_lease:
        namespace, _, name = settings.watch_lease.partition("/")
        lease = Right("create", "leases", "to choose who speaks", base, True, "coordination.k8s.io", namespace)
        yield lease
        for verb in ("get", "update"):
            yield lease._replace(verb=verb, name=name)
    kubelet = "deploy/overlays/kubelet/rbac.yaml"
    if settings.metrics_source == MetricsSource.KUBELET:
        yield Right("list", "nodes", "to find the kubelets", kubelet)
        yield Right("get", "nodes/stats", "for metrics", kubelet)
        yield Right("get", "nodes/metrics", "for block I/O, processes, throttling and packets", kubelet, needed=False)
    else:
        yield Right("list", "nodes", "for images' sizes in recordings; never a feature", kubelet, needed=False)


def check_cluster(settings: Settings) -> list[Finding]:
    """Connect to the API server, and check each right by a SelfSubjectAccessReview, which changes nothing."""
    try:
        connection = connect(settings.kubernetes_endpoint, settings.kubernetes_access, timeout_s=_CLUSTER_S)
    except PodlabError as error:
        return [failure(_CLUSTER, error)]
    try:
        findings = [_ask(connection, right) for right in rights_for(settings)]
    except PodlabError as error:
        return [failure(_CLUSTER, error)]
    finally:
        connection.close()
    return [Finding(_CLUSTER, True, f"{connection.host}, by {connection.origin}"), *findings]


def _ask(connection: ApiConnection, right: Right) -> Finding:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource,
        "namespace": right.namespace, "name": right.name,
    }  # fmt: skip
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    answer = connection.request("POST", _REVIEWS, review)
    try:
        status = msgspec.json.decode(answer, type=_Review).status
    except DECODE_ERRORS as error:
        what = f"the answer about rights cannot be read: {one_line(str(error))}"
        raise PodlabError(what, where=connection.host) from None
    details = {"verb": right.verb, "resource": right.resource, "namespace": right.namespace}
    subject = f"right: {right}"
    if status.allowed:
        return Finding(subject, True, f"granted; {right.why}", needed=right.needed, details=details)
    reason = f": {one_line(status.reason)}" if status.reason else ""
    if right.namespace and not right.group:
        # The manifest would grant it in all namespaces.
        hint = f"add to a Role of the user's in namespace {right.namespace}: {right.rule}"
    else:
        hint = f"kubectl apply -f {right.manifest}, or add to the user's role {right.rule}"
    return Finding(subject, False, f"not granted{reason}; {right.why}", hint, right.needed, details)


#: How each source is called.
NAMES: Final[dict[str, str]] = {
    MetricsSource.INFLUXDB: "metrics in InfluxDB",
    MetricsSource.PROMETHEUS: "metrics in Prometheus",
    MetricsSource.KUBELET: "metrics of the kubelets",
}
#: How often kubelets are queried before their samples are checked.
_ROUNDS: Final = 4
#: Samples older than this many intervals and seconds are stale: agents write late, and sometimes miss one.
_STALE_INTERVALS, _STALE_S = 4, 60.0
#: How far a clock may be ahead of ours before it is reported.
_SKEW_S: Final = 30.0
_MOST_CLUSTERS: Final = 3
#: The first sample of a container comes within an interval, and a decision needs some samples.
_DENSE_S: Final = 30.0


def check_metrics(settings: Settings, model: BundleInfo | None, rights: Sequence[Finding] = ()) -> list[Finding]:
    """Fetch what the watcher would fetch now, and check it; rights that are granted are not advised."""
    subject = NAMES.get(settings.metrics_source, f"metrics of {settings.metrics_source}")
    try:
        with closing(live_source(settings)) as source:
            if not source.has_past:
                time.sleep(_ROUNDS * settings.kubelet_interval.total_seconds())
            until = datetime.now(UTC)
            # An agent's clock may run before ours.
            samples = source.fetch(until - settings.fetch_window, until + timedelta(minutes=5))
            failing = dict(source.failures) if isinstance(source, KubeletSource) else {}
            lacking = list(source.without_cadvisor.values()) if isinstance(source, KubeletSource) else []
            name = source.name
    except PodlabError as error:
        return [failure(subject, error)]
    nodes = [
        Finding(f"kubelet of {node}", False, error.message, error.hint or "", needed=False)
        for node, error in sorted(failing.items())
    ]
    fresh = freshness_of(subject, name, samples, until, settings.cluster)
    own = samples[samples["cluster"] == settings.cluster]
    if own.empty:
        return [fresh, *nodes]
    refused = any(not right.ok and right.details.get("resource") == "nodes/metrics" for right in rights)
    # A kubelet may know of another right than the cluster.
    refused |= any("no right" in what for what in lacking)
    used = columns_of(model)
    return [
        fresh,
        *nodes,
        _coverage(settings, own, used, model, may_read_metrics=not refused),
        further_columns(settings.metrics_source, own, used, may_read_metrics=not refused),
    ]


def further_columns(
    source: str, samples: pd.DataFrame, used: Sequence[str], *, may_read_metrics: bool = True
) -> Finding:
    """Report the metrics that the model does not use; a recording keeps them for later."""
    share, absent = missing_shares(samples, [name for name in MEASURED_METRICS if name not in used])
    given = [name for name in share if name not in absent]
    message = f"{len(given)} of {len(share)} that only `podlab collect` keeps"
    if absent:
        message += f"; some are missing of {', '.join(sorted({CATALOGUE[name].family for name in absent}))}"
    hint = remedies(source, absent, may_read_metrics=may_read_metrics)
    return Finding("further columns", True, message, hint, needed=False, details={"given": given})


def columns_of(model: BundleInfo | None) -> tuple[str, ...]:
    """Name the columns that a model uses; without a model those that one would learn from."""
    return FEATURE_METRICS if model is None else tuple(model.manifest["columns"])


def freshness_of(subject: str, name: str, samples: pd.DataFrame, until: datetime, cluster: str) -> Finding:
    """Report how many containers have samples, how often these come, and how old the newest is."""
    others = samples.loc[samples["cluster"] != cluster, "cluster"].unique()
    samples = samples[samples["cluster"] == cluster]
    if samples.empty:
        # The watcher leaves out other clusters' rows.
        message = f"{name}: no rows of cluster {cluster!r}, only of {', '.join(map(repr, others[:_MOST_CLUSTERS]))}"
        return Finding(subject, False, message, f"set cluster to this one's name there: PODLAB_CLUSTER={others[0]}")
    age_s = (until - samples["time"].max()).total_seconds()
    interval_s = median_interval_s(samples)
    interval_s = None if interval_s is None else round(interval_s, 1)
    containers = int(samples.groupby(list(INSTANCE_KEY), dropna=False).ngroups)
    details: dict[str, Any] = {
        "rows": len(samples), "containers": containers, "newest_s": round(age_s, 1), "interval_s": interval_s
    }  # fmt: skip
    often = "seen once" if interval_s is None else f"each {interval_s:g} s"
    old = f"{age_s:.0f} s old" if age_s >= 0 else f"{-age_s:.0f} s ahead of our clock"
    message = f"{name}: {format_count(containers, 'container')} {often}, {len(samples)} rows, the newest {old}"
    if age_s < -_SKEW_S:
        hint = "set the clocks of the nodes and of this machine (NTP)"
        return Finding(subject, False, message, hint, False, details)
    if age_s > max(_STALE_S, _STALE_INTERVALS * (interval_s or 0.0)):
        hint = "see whether the agent still runs, and whether its clock is right"
        return Finding(subject, False, f"{message}: stale", hint, details=details)
    if interval_s is not None and interval_s > _DENSE_S:
        hint = "let the agent measure each 10 s (Telegraf: agent.interval, Prometheus: scrape_interval)"
        return Finding(subject, False, f"{message}: too rare to identify within a minute", hint, False, details)
    return Finding(subject, True, message, details=details)


def missing_shares(samples: pd.DataFrame, columns: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Return the share of rows without each column, and the columns that are missing altogether."""
    share = {name: float(samples[name].isna().mean()) if name in samples else 1.0 for name in columns}
    return share, [name for name, missing in share.items() if missing == 1.0]


def _coverage(
    settings: Settings, samples: pd.DataFrame, columns: Sequence[str], model: BundleInfo | None, *,
    may_read_metrics: bool,
) -> Finding:  # fmt: skip
    """Report which of the model's columns are missing, how much of the others, and what it costs."""
    share, absent = missing_shares(samples, columns)
    cost = cost_of(model, absent)
    details: dict[str, Any] = {
        "missing_share": {name: round(each, 4) for name, each in share.items()},
        "cost": cost.to_json(),
    }
    holes = {name: missing for name, missing in share.items() if 0.05 < missing < 1.0}
    some = "; partly missing: " + ", ".join(f"{name} {each:.0%}" for name, each in holes.items()) if holes else ""
    if not absent:
        return Finding("columns", True, f"all {len(columns)} columns of the model{some}", needed=False, details=details)
    message = f"{len(columns) - len(absent)} of {len(columns)} columns; without {', '.join(absent)}{some}. {cost.words}"
    hint = remedies(settings.metrics_source, absent, may_read_metrics=may_read_metrics)
    # Without any column no container can be identified.
    details["families_without_any"] = missing_families(absent, columns)
    return Finding("columns", False, message, hint, needed=len(absent) == len(columns), details=details)


#: How long a source that is not used may take.
_WAIT_S: Final = 10.0


def check_alternatives(settings: Settings, model: BundleInfo | None) -> list[Finding]:
    """Check each other source briefly; none of them is needed.

    A database is checked if its address was given, kubelets if the API server is reached. They are queried once.
    """
    found = (
        _check_alternative(settings, source, model) for source in MetricsSource if source != settings.metrics_source
    )
    return [replace(each, needed=False, alternative=True) for findings in found for each in findings]


def _check_alternative(settings: Settings, source: MetricsSource, model: BundleInfo | None) -> Iterator[Finding]:
    subject = f"instead: {NAMES[source]}"
    other = settings.model_copy(update={"metrics_source": source})
    if source is MetricsSource.KUBELET:
        cluster, *rights = check_cluster(other)
        if not cluster.ok:
            return
        refused = [right for right in rights if right.needed and not right.ok and "nodes" in right.details["resource"]]
        if refused:
            message = "not granted: " + ", ".join(right.subject.removeprefix("right: ") for right in refused)
            yield Finding(subject, False, message, "kubectl apply -f deploy/overlays/kubelet/rbac.yaml")
            return
    elif f"{source}_url" not in settings.model_fields_set:
        return
    try:
        with closing(live_source(other, timeout_s=_WAIT_S, columns=columns_of(model))) as live:
            until = datetime.now(UTC)
            samples = live.fetch(until - settings.fetch_window, until + timedelta(minutes=5))
            fresh = freshness_of(subject, live.name, samples, until, settings.cluster)
    except PodlabError as error:
        yield failure(subject, error)
        return
    share, absent = missing_shares(samples, columns_of(model))
    without = f" (without {', '.join(absent)})" if absent else ""
    yield replace(
        fresh,
        message=f"{fresh.message}; {len(share) - len(absent)} of {len(share)} columns{without}",
        hint=f"to use it: PODLAB_METRICS_SOURCE={source}" if fresh.ok else fresh.hint,
        details=fresh.details | {"missing_share": {name: round(each, 4) for name, each in share.items()}},
    )


def examine(settings: Settings) -> list[Finding]:
    """Check all that the settings refer to, in the order of what a watcher needs, then the other sources of metrics.

    Nothing is changed anywhere. The watcher cannot work if a finding that is ``needed`` is not ``ok``.
    """
    model, finding = check_model(settings)
    cluster = check_cluster(settings)
    return [
        check_installation(), finding, *cluster, *check_metrics(settings, model, cluster),
        *check_alternatives(settings, model),
    ]  # fmt: skip
