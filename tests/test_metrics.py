"""The catalogue's promises to those who write sources and features."""

from __future__ import annotations

from podlab.metrics import ALL_COLUMNS, CATALOGUE, FEATURE_METRICS, IDENTITY, LABELS


def test_columns_are_named_once() -> None:
    assert len(ALL_COLUMNS) == len(set(ALL_COLUMNS)) == len(IDENTITY) + len(CATALOGUE) + len(LABELS)


def test_identity_labels_and_image_size_are_no_features() -> None:
    assert FEATURE_METRICS
    assert not set(FEATURE_METRICS) & {*IDENTITY, *LABELS, "image_size_bytes"}


def test_network_and_volume_are_counted_per_pod() -> None:
    assert {m.name for m in CATALOGUE.values() if m.per == "pod"} == {"rx_bytes", "tx_bytes", "volume_used_bytes"}


def test_units_are_part_of_the_name() -> None:
    for metric in CATALOGUE.values():
        if metric.unit == "bytes":
            assert metric.name.endswith("_bytes")
        if metric.unit == "ns":
            assert metric.name.endswith("_nanoseconds")
