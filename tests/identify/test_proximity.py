"""Proximity to services, against counting shared leaves one by one."""

from __future__ import annotations

import numpy as np

from podlab.identify.proximity import service_proximity


def test_same_as_counting_one_by_one() -> None:
    rng = np.random.default_rng(0)
    leaves, known = rng.integers(0, 4, (70, 9)).astype(np.int32), rng.integers(0, 4, (20, 9)).astype(np.int32)
    service = np.sort(rng.choice([0, 1, 3], 20)).astype(np.int16)
    found = service_proximity(leaves, known, service, 4)
    for row in range(70):
        for number in range(4):
            shared = [
                sum(a == b for a, b in zip(leaves[row], known[other], strict=True)) / 9
                for other in range(20)
                if service[other] == number
            ]
            assert abs(found[row, number] - max(shared, default=0.0)) < 1e-6
