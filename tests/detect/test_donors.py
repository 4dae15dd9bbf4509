"""Whose detectors watch a container follows from what was decided of it."""

from __future__ import annotations

import pytest

from podlab.detect import source_detectors_of_decision

Shares = list[tuple[str, float]]


@pytest.mark.parametrize(
    ("service", "candidates", "similar", "donors"),
    [
        ("redis", [("redis", 0.97), ("nginx", 0.03)], [("redis", 0.9)], [("redis", 0.97)]),
        ("redis", [("redis", 0.7), ("memcached", 0.25), ("nginx", 0.05)], [], [("redis", 0.7), ("memcached", 0.25)]),
        ("redis", [("nginx", 0.9), ("redis", 0.1)], [], [("nginx", 0.9), ("redis", 0.1)]),
        ("redis", [], [], [("redis", 1.0)]),  # decided before a restart
        ("redis", [("nginx", 0.9)], [], [("redis", 1.0)]),
        ("redis", [("redis", 0.6), ("valkey", 0.2), ("nginx", 0.19)], [], [("redis", 0.6), ("valkey", 0.2)]),
        (None, [("redis", 0.9)], [("redis", 0.3)], []),
        (None, [], [("redis", 0.8), ("valkey", 0.79)], [("redis", 0.8)]),
        (None, [], [("redis", 0.9), ("memcached", 0.85), ("nginx", 0.1)], [("redis", 0.9), ("memcached", 0.85)]),
    ],
)  # fmt: skip
def test_the_service_decided_on_and_who_is_near(
    service: str | None, candidates: Shares, similar: Shares, donors: Shares
) -> None:
    assert list(source_detectors_of_decision(service, candidates, similar)) == donors
