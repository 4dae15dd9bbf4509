"""Series of other formats become samples by a mapping, and mistakes in it are one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.telemetry.series import parse_mapping, read_series
from tests.support.machine import MAPPING, write_machine


def test_a_public_format_is_read(tmp_path: Path) -> None:
    samples = read_series(write_machine(tmp_path / "machine-1.csv", seconds=50), parse_mapping(MAPPING))
    assert len(samples) == 50
    assert samples["pod"].unique().tolist() == ["machine-1"]
    assert samples["cpu_usage_nanocores"].between(0, 1e9).all()
    assert samples["rx_bytes"].dtype == "Int64"
    assert np.diff(samples["rx_bytes"].astype(int)) == pytest.approx(3000, abs=1500)  # a rate became a counter
    assert samples["anomaly"].sum() == 20
    assert samples["time"].diff().dropna().eq(pd.Timedelta(seconds=1)).all()


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("cpu", "'cpu' is no mapping"),
        ("cpu=cpu_usage_nanocores", "no column is mapped to time"),
        ("t=time,x=temperature", "'temperature' is no metric"),
        ("t=time,x=rate:memory_rss_bytes", "is no counter"),
        ("t=time,x=memory_rss_bytes*1e", "'1e' is no number"),
    ],
)
def test_mistakes_in_a_mapping_are_told(mapping: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_mapping(mapping)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("t,x\nsoon,1\n", "row 1: 'soon' is no time"),
        ("t,y\n1,1\n", "column 'x' is missing; it has t, y"),
        ("", "is no CSV file"),
    ],
)
def test_files_that_do_not_fit_are_told(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_series(path, parse_mapping("t=time,x=memory_rss_bytes"))
    with pytest.raises(InputError, match="no such file"):
        read_series(tmp_path / "none.csv", parse_mapping("t=time,x=memory_rss_bytes"))
