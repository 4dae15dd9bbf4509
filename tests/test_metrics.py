"""The catalogue's promises to those who write sources and features."""

from __future__ import annotations

from pathlib import Path

from podlab.data.catalogue import AGES, ALL_COLUMNS, CATALOGUE, IDENTITY, LABELS, MEASURED_METRICS, ORIGINAL_METRICS


def test_columns_are_named_once() -> None:
    assert len(ALL_COLUMNS) == len(set(ALL_COLUMNS)) == len(IDENTITY) + len(CATALOGUE) + len(AGES) + len(LABELS)


def test_identity_labels_ages_and_image_size_are_no_features() -> None:
    assert ORIGINAL_METRICS
    assert set(ORIGINAL_METRICS) <= set(MEASURED_METRICS)
    assert not set(MEASURED_METRICS) & {*IDENTITY, *LABELS, *AGES.values(), "image_size_bytes"}


def test_network_and_volume_are_counted_per_pod() -> None:
    for metric in CATALOGUE.values():
        assert (metric.per == "pod") == (metric.family in ("network", "volume")), metric.name


def test_units_are_part_of_the_name() -> None:
    for metric in CATALOGUE.values():
        if metric.unit == "bytes":
            assert metric.name.endswith("_bytes")
        if metric.unit == "ns":
            assert metric.name.endswith("_nanoseconds")


def test_every_metric_but_the_images_size_is_told_by_some_source() -> None:
    for name in MEASURED_METRICS:
        metric = CATALOGUE[name]
        assert metric.influxdb or metric.kubelet or metric.prometheus, name


def test_the_documentation_names_every_column_and_where_it_is() -> None:
    lines = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    assert list(rows) == [*MEASURED_METRICS, *AGES.values()]
    for name in MEASURED_METRICS:
        metric = CATALOGUE[name]
        assert f"| {metric.unit} | {metric.family} |" in rows[name]
        places = [
            metric.kubelet,
            metric.prometheus and metric.prometheus.name,
            metric.influxdb and metric.influxdb[1],
            metric.opentelemetry and metric.opentelemetry.name,
        ]
        assert all(place in rows[name] for place in places if place)
