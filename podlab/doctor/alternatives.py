"""The sources of metrics that were not chosen and could be: those that are set up, and kubelets that may be asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from podlab.config import MetricsSource, Settings
from podlab.doctor.finding import Finding, failure
from podlab.doctor.metrics import NAMES, columns_of, freshness_of, missing_shares
from podlab.doctor.rights import look_at_cluster
from podlab.errors import PodlabError
from podlab.live import live_source
from podlab.model.bundle import BundleInfo

#: Nobody waits long for what is not used.
_WAIT_S: Final = 10.0


def look_at_alternatives(settings: Settings, model: BundleInfo | None) -> list[Finding]:
    """Look briefly at each other source; none of them is needed.

    A database is looked at where its address was given, kubelets where the API server is reached. They are asked once.
    """
    found = (_look(settings, source, model) for source in MetricsSource if source != settings.metrics_source)
    return [replace(each, needed=False, alternative=True) for findings in found for each in findings]


def _look(settings: Settings, source: MetricsSource, model: BundleInfo | None) -> Iterator[Finding]:
    subject = f"instead: {NAMES[source]}"
    other = settings.model_copy(update={"metrics_source": source})
    if source is MetricsSource.KUBELET:
        cluster, *rights = look_at_cluster(other)
        if not cluster.ok:
            return
        refused = [right for right in rights if right.needed and not right.ok and "nodes" in right.details["resource"]]
        if refused:
            said = "not granted: " + ", ".join(right.subject.removeprefix("right: ") for right in refused)
            yield Finding(subject, False, said, "kubectl apply -f deploy/overlays/kubelet/rbac.yaml")
            return
    elif f"{source}_url" not in settings.model_fields_set:
        return
    try:
        with closing(live_source(other, timeout_s=_WAIT_S)) as live:
            until = datetime.now(UTC)
            samples = live.fetch(until - settings.fetch_window, until + timedelta(minutes=5))
            fresh = freshness_of(subject, live.name, samples, until, settings.cluster)
    except PodlabError as error:
        yield failure(subject, error)
        return
    share = missing_shares(samples, columns_of(model))
    absent = [name for name, missing in share.items() if missing == 1.0]
    without = f" (without {', '.join(absent)})" if absent else ""
    yield replace(
        fresh,
        said=f"{fresh.said}; {len(share) - len(absent)} of {len(share)} columns{without}",
        todo=f"to use it: PODLAB_METRICS_SOURCE={source}" if fresh.ok else fresh.todo,
        details=fresh.details | {"missing_share": {name: round(each, 4) for name, each in share.items()}},
    )
