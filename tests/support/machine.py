"""A small series in the form of the Server Machine Dataset with named columns: shares of a machine, and a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

MAPPING = (
    "timestamp=time,cpu_r=cpu_usage_nanocores*1e9,mem_u=memory_rss_bytes*1e9,"
    "eth1_fi=rate:rx_bytes*1e4,eth1_fo=rate:tx_bytes*1e4,label=anomaly"
)


def write_machine(path: Path, *, seconds: int = 120) -> Path:
    """Write normal life, then 20 s in which memory and processor run away."""
    rng = np.random.default_rng(0)
    bad = np.arange(seconds) >= seconds - 20
    frame = pd.DataFrame(
        {
            "timestamp": 1_600_000_000 + np.arange(seconds),
            "cpu_r": np.where(bad, 0.95, 0.02 + rng.normal(0, 0.001, seconds)).clip(0, 1),
            "load_1": rng.random(seconds),
            "mem_u": np.where(bad, 0.05 * np.cumsum(bad), 0.1 + rng.normal(0, 0.001, seconds)),
            "eth1_fi": 0.3 + rng.normal(0, 0.02, seconds),
            "eth1_fo": 0.2 + rng.normal(0, 0.02, seconds),
            "label": bad.astype(int),
        }
    )
    frame.to_csv(path, index=False)
    return path
