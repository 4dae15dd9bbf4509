"""What the watcher's parts share: clock, options, metrics, the reloadable model, the stop signal, memory."""

from __future__ import annotations

import ctypes
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from math import inf, nan
from pathlib import Path
from typing import Final

import pyarrow as pa
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from podlab import __version__
from podlab.config import Settings
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.labels import claim_aliases
from podlab.detect import DetectorLibrary
from podlab.errors import InputError, PodlabError
from podlab.identify.claims import MISMATCH_RATE
from podlab.identify.early import TriggerPolicy
from podlab.identify.identifier import Identifier
from podlab.model import bundle

log = logging.getLogger(__name__)

#: Decide at the first prediction, and give up at once without one.
_ONE_CHECK: Final = TriggerPolicy(consecutive=1, timeout_s=1e-9)
#: Buckets of the time to a decision, and of a round's.
_SECONDS: Final = (1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
_ROUND_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: These show which rows an agent wrote without values, whatever else a model reads.
_CPU_AND_MEMORY: Final = tuple(name for name in ORIGINAL_METRICS if CATALOGUE[name].family in ("cpu", "memory"))
# mallopt(3), from malloc.h of glibc.
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class Clock:
    """The source of time."""

    now: Callable[[], float] = time.time  # seconds since 1970
    steady: Callable[[], float] = time.monotonic  # seconds that never go back


@dataclass(frozen=True)
class WatcherOptions:
    """What the watcher's round depends on; :meth:`from_settings` is the one place that reads the settings for it."""

    #: The cluster's name; rows of other clusters in the same database are ignored.
    cluster: str = "local"
    policy: TriggerPolicy = field(default_factory=TriggerPolicy)  # when something is decided
    interval_s: float = 10.0  # from one round to the next
    #: This long after its first sight, an identified container is not checked any more, and an unknown one only every
    #: ``settle_s``.
    settle_s: float = 600.0
    window_s: float = 600.0  # how far back samples are fetched
    #: After this long a round sends no further queries, so that a slow database does not make the watcher look stuck;
    #: the remaining containers are queried in the next round.
    fetch_budget_s: float = 60.0
    #: Most announcements per second. A watcher that is new in a large cluster has something to announce of all
    #: containers at once, and the API server has other work.
    announcements_per_s: float = 100.0
    anomalies: bool = False  # whether to score the samples of all containers
    claims: bool = True  # whether to check what containers claim to be
    aliases: dict[str, str] = field(default_factory=claim_aliases)  # other names of services, for claims
    mismatch_rate: float = MISMATCH_RATE  # share of the mismatches that may be false
    all_pods: bool = False  # whether all pods of the cluster are watched, so that queries need not name them

    @classmethod
    def from_settings(cls, settings: Settings, *, once: bool = False, dry_run: bool = False) -> WatcherOptions:
        """Read the settings; ``once`` decides at the first check, and announces everything without a limit."""
        return cls(
            cluster=settings.cluster,
            policy=_ONE_CHECK if once else TriggerPolicy(timeout_s=settings.metrics_timeout.total_seconds()),
            interval_s=settings.watch_interval.total_seconds(),
            window_s=settings.fetch_window.total_seconds(),
            fetch_budget_s=inf if once else cls.fetch_budget_s,
            announcements_per_s=inf if once or dry_run else cls.announcements_per_s,
            anomalies=settings.watch_anomalies and not once,
            claims=settings.watch_claims and not once,
            aliases=claim_aliases(settings.aliases_file),
            mismatch_rate=settings.mismatch_rate,
            all_pods=not (settings.watch_namespaces or settings.watch_excluded_namespaces or settings.watch_selector),
        )


class Metrics:
    """The metrics that the watcher exports, in a registry of their own, named after Prometheus' conventions."""

    def __init__(self) -> None:
        # Series ..._created would double all counters, and nothing reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        own = self.registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"podlab_{name}", text, labels, registry=own)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"podlab_{name}", text, labels, registry=own)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"podlab_{name}", text, buckets=buckets, registry=own)

        ProcessCollector(registry=own)
        gauge("build_info", "1 for the version of podlab.", "version").labels(__version__).set(1)
        self.decisions = counter("decisions", "Decisions by service and kind of announcement.", "service", "kind")
        self.decision_seconds = histogram("decision_seconds", "From meeting a container to deciding on it.", _SECONDS)
        about = "Containers: not started, waiting for a decision, decided, unknown."
        self.containers = gauge("containers", about, "state")
        about = "Containers by the service that they are identified as; unknown: as none."
        self.identified_containers = gauge("identified_containers", about, "service")
        about = "Workloads, judged with all their replicas: agreeing, disagreeing, unknown, waiting for a decision."
        self.workloads = gauge("workloads", about, "state")
        about = (
            "Replicas that are identified as something else than their workload; the 100 workloads with most of them."
        )
        self.disagreeing_replicas = gauge("workload_disagreeing_replicas", about, "namespace", "workload", "container")
        about = "Workloads by whether they behave like what they claim to be: consistent, mismatch, cannot tell."
        self.claims = gauge("claims", about, "verdict")
        about = "1 for each workload that does not; the 100 clearest ones."
        self.mismatch = gauge("claim_mismatch", about, "namespace", "workload", "container", "claim")
        about = "Miner score of each workload that works like a miner; the 100 highest."
        self.miner_like = gauge("miner_like", about, "namespace", "workload", "container")
        self.anomalies = counter("anomalies", "Announcements of anomalies by service and kind.", "service", "kind")
        about = "Containers by how they are watched: warming-up, watching, anomalous, unknown."
        self.scored_containers = gauge("scored_containers", about, "state")
        about = "Age of the median container's last scored sample; NaN: none is."
        self.scoring_lag_seconds = gauge("scoring_lag_seconds", about)
        self.scoring_lag_seconds.set(nan)
        about = "Announcements that some sink has not taken yet."
        self.announcements_waiting = gauge("announcements_waiting", about)
        about = "Age of the newest sample of a container waited for; NaN: there is none."
        self.lag_seconds = gauge("lag_seconds", about)
        self.source_healthy = gauge("source_healthy", "0 while no metrics come of any container.")
        self.history_rows = gauge("history_rows", "Samples kept.")
        self.errors = counter("errors", "Errors by what they came from.", "part")
        self.tick_seconds = histogram("tick_seconds", "How long a round took.", _ROUND_SECONDS)
        self.last_tick = gauge("last_tick_timestamp_seconds", "When the last round ended.")
        self.leader = gauge("leader", "1 where this watcher announces.")
        self.model = gauge("model_info", "1 for the model in use.", "model")
        self.model_refused = gauge("model_refused", "1 while the model's folder holds no sound bundle.")
        self.watch_synced = gauge("watch_synced", "1 once the pods were listed.")
        self.watch_contact = gauge("watch_contact_timestamp_seconds", "When the API server was last heard.")
        self._watch_requests = counter("watch_requests", "Lists, watches and errors of both.", "what")
        self._counted: dict[str, int] = {}

    def count_watch_requests(self, what: str, count: int) -> None:
        """Raise a counter of requests to what another part has counted so far."""
        self._watch_requests.labels(what).inc(count - self._counted.get(what, 0))
        self._counted[what] = count

    def text(self) -> bytes:
        """Write them in Prometheus' text format."""
        return generate_latest(self.registry)


class ReloadableModel:
    """The last valid bundle of a folder, replaced while the watcher runs when the folder changes.

    Raises InputError if the folder holds no valid bundle at the start.

    Parameters
    ----------
    folder : Path
        The bundle; a mounted volume or ConfigMap may replace it at any time.
    key_file : Path, optional
        A public key; only bundles that it signed are used.
    """

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        self.folder = folder
        self._key_file = key_file
        #: Why the folder's present content is not in use; None when it is.
        self.refused: str | None = None
        self._signature = _signature(folder, key_file)
        self._bundle = bundle.load(folder, key_file=key_file)

    @property
    def identifier(self) -> Identifier:
        """The model in use."""
        return self._bundle.identifier

    @property
    def library(self) -> DetectorLibrary | None:
        """Its detectors, if any."""
        return self._bundle.library

    @property
    def name(self) -> str:
        """``name@digest`` of the model in use."""
        return self._bundle.identifier.model

    def metrics(self, *, anomalies: bool) -> tuple[str, ...]:
        """Name the metrics to fetch for it, in the catalogue's order; with ``anomalies`` for its detectors as well."""
        used = {*self.identifier.columns, *_CPU_AND_MEMORY}
        if anomalies and self.library is not None:
            used |= {*self.library.metrics}
        return tuple(name for name in MEASURED_METRICS if name in used)

    def refresh(self) -> bool:
        """Load the folder again if it or the key changed; return whether another model is in use from now on.

        A bundle that is not complete (yet) is refused and the old one stays; the next change is looked at again.
        """
        signature = _signature(self.folder, self._key_file)
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            new = bundle.load(self.folder, key_file=self._key_file)
        except (InputError, OSError) as error:
            self.refused = str(error)
            log.warning("the new model is refused, %s goes on: %s", self.name, error)
            return False
        self.refused = None
        if new.digest == self._bundle.digest:
            return False
        old, self._bundle = self.name, new
        log.info("model %s takes the place of %s", self.name, old)
        return True


def _signature(folder: Path, key_file: Path | None) -> tuple[tuple[object, ...], ...]:
    """Summarise a folder and a key cheaply: it differs after any change."""
    try:
        stats = [(path.name, path.stat()) for path in (*sorted(folder.iterdir()), *([key_file] if key_file else []))]
    except OSError as error:
        return ((error.errno,),)
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


class SourceHealth:
    """Detects that the source of metrics fails, or has nothing of any container, for longer than agents take.

    Parameters
    ----------
    grace_s : float
        How long nothing may come before it is reported.
    report : callable, optional
        Called with the reason, once per outage; raises PodlabError if it cannot report now.
    """

    def __init__(self, grace_s: float, report: Callable[[str], None] | None = None) -> None:
        #: Why no metrics come, once that has lasted; None while they do.
        self.trouble: str | None = None
        self._grace_s = grace_s
        self._report = report
        self._since_s: float | None = None
        self._reported = False

    def lasts(self, steady_s: float) -> bool:
        """Whether nothing has come for the whole grace period, this moment included."""
        return steady_s - (steady_s if self._since_s is None else self._since_s) >= self._grace_s

    def note(self, reason: str | None, steady_s: float) -> None:
        """Note the result of a round of queries.

        ``reason`` is why nothing came for any container, None where something came; ``steady_s`` is now, on the steady
        clock.
        """
        if reason is None:
            if self.trouble is not None:
                log.info("metrics come again")
            self._since_s, self.trouble, self._reported = None, None, False
            return
        if self._since_s is None:
            self._since_s = steady_s
        if not self.lasts(steady_s):
            return
        if self.trouble is None:
            log.warning("no metrics come, and nothing is said of single containers until they do: %s", reason)
        self.trouble = reason
        if self._report is not None and not self._reported:
            try:
                self._report(reason)
            except PodlabError as error:
                log.debug("that no metrics come cannot be reported now: %s", error)
            else:
                self._reported = True


class StopRequested(Exception):  # noqa: N818
    """The watcher is to stop, and its present work may be left undone."""


class StopSignal:
    """SIGTERM and Ctrl-C: the round ends where nothing is lost, a wait for the database at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._interruptible = False

    def proceed(self) -> bool:
        """Whether to go on."""
        return not self.event.is_set()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark work that may be broken off anywhere."""
        self._interruptible = True
        try:
            if self.event.is_set():
                raise StopRequested
            yield
        finally:
            self._interruptible = False

    def handle(self, number: int, frame: object) -> None:
        """Stop; a signal handler."""
        self.event.set()
        if self._interruptible:
            raise StopRequested

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to the signals; only the main thread may."""
        before = {number: signal.signal(number, self.handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stay_small() -> None:
    """Allocate all memory from one place, so that freed memory is reused, and large pieces go back at once.

    By default Arrow keeps a pool of its own and glibc one per thread, and glibc keeps ever larger freed pieces.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    library = _c_library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library can (glibc); it takes a millisecond."""
    library = _c_library()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None
