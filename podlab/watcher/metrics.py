"""What the watcher tells Prometheus of itself."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS: Final = (10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)


class Metrics:
    """The watcher's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.decisions = Counter(
            "podlab_decisions", "Decisions by service and kind of announcement.", ["service", "kind"], registry=own
        )
        self.seconds_to_decision = Histogram(
            "podlab_seconds_to_decision", "From meeting a container to deciding on it.", buckets=_SECONDS, registry=own
        )
        self.containers = Gauge(
            "podlab_containers",
            "Containers: not started, waiting for a decision, decided, unknown.",
            ["state"],
            registry=own,
        )
        self.anomalies = Counter(
            "podlab_anomalies", "Announcements of anomalies by service and kind.", ["service", "kind"], registry=own
        )
        self.scored_containers = Gauge(
            "podlab_scored_containers",
            "Containers by how they are watched: warming-up, watching, anomalous, unknown.",
            ["state"],
            registry=own,
        )
        self.scoring_lag_seconds = Gauge(
            "podlab_scoring_lag_seconds",
            "Age of the median container's last scored sample; NaN: none is.",
            registry=own,
        )
        self.announcements_waiting = Gauge(
            "podlab_announcements_waiting", "Announcements that some sink has not taken yet.", registry=own
        )
        self.lag_seconds = Gauge(
            "podlab_lag_seconds",
            "Age of the newest sample of a container waited for; NaN: there is none.",
            registry=own,
        )
        self.history_rows = Gauge("podlab_history_rows", "Samples kept.", registry=own)
        self.errors = Counter("podlab_errors", "Errors by what they came from.", ["part"], registry=own)
        self.tick_seconds = Histogram(
            "podlab_tick_seconds",
            "How long a round took.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=own,
        )
        self.last_tick = Gauge("podlab_last_tick_timestamp_seconds", "When the last round ended.", registry=own)
        self.leader = Gauge("podlab_leader", "1 where this watcher announces.", registry=own)
        self.model = Gauge("podlab_model_info", "1 for the model in use.", ["model"], registry=own)
        self.model_refused = Gauge(
            "podlab_model_refused", "1 while the model's folder holds no sound bundle.", registry=own
        )
        self.watch_synced = Gauge("podlab_watch_synced", "1 once the pods were listed.", registry=own)
        self.watch_contact = Gauge(
            "podlab_watch_contact_age_seconds", "Since the API server was last heard.", registry=own
        )
        self.watch_requests = Gauge(
            "podlab_watch_requests", "Lists, watches and errors so far.", ["what"], registry=own
        )

    def text(self) -> bytes:
        """Write them as Prometheus reads them."""
        return generate_latest(self.registry)
