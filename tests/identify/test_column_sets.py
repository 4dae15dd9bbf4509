"""Column sets: the model that suits what a source gives, and none that rests on what it lacks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, ORIGINAL_METRICS
from podlab.errors import InputError
from podlab.features.windows import series_of
from podlab.identify import Identifier
from podlab.identify.selection import COLUMN_SETS, closest_set, smaller_sets
from podlab.identify.storage import from_files, to_files
from tests.support.synthetic import make_samples

#: All series of a set are equally important.
ALL = {
    name: dict.fromkeys(series_of(tuple(columns)), 1.0)
    for name, columns in {"": FEATURE_METRICS, **smaller_sets(FEATURE_METRICS)}.items()
}


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "redis", "mysql"), deployments_per_service=4, seconds=30)


@pytest.fixture(scope="module")
def identifier(samples: pd.DataFrame) -> Identifier:
    return Identifier(horizons_s=[10], jobs=1).fit(samples)


@pytest.mark.parametrize("name", COLUMN_SETS)
def test_a_source_of_such_columns_gets_the_model_of_that_set(name: str) -> None:
    assert closest_set(COLUMN_SETS[name], ALL) == name
    assert closest_set(FEATURE_METRICS, ALL) == ""


def test_no_volume_swap_or_limit_is_no_reason_for_a_smaller_set() -> None:
    usual = [name for name in FEATURE_METRICS if not name.startswith(("volume", "memory_swap", "cpu_periods"))]
    assert closest_set(usual, ALL) == ""
    assert closest_set([name for name in ORIGINAL_METRICS if name != "volume_used_bytes"], ALL) == "original"


def test_a_few_columns_more_or_less_go_to_the_nearest_set() -> None:
    assert closest_set([*ORIGINAL_METRICS, "sockets"], ALL) == "original"
    assert closest_set([name for name in FEATURE_METRICS if name != "logsfs_used_bytes"], ALL) == ""
    assert closest_set(["cpu_usage_nanocores", "memory_working_set_bytes"], ALL) == "cpu-memory"


def test_the_model_of_all_columns_does_without_what_it_hardly_uses() -> None:
    network = [name for name in FEATURE_METRICS if CATALOGUE[name].family == "network"]
    others = [name for name in FEATURE_METRICS if name not in network]
    hardly = {name: value / 100 if name in network else value for name, value in ALL[""].items()}
    assert closest_set(others, ALL | {"": hardly}) == ""


def test_a_set_is_a_real_part_of_the_columns_and_there_once() -> None:
    assert smaller_sets(("cpu_usage_nanocores",)) == {}
    # Both CPU columns give one series.
    assert smaller_sets(("cpu_usage_nanocores", "cpu_usage_core_nanoseconds")) == {}
    original = smaller_sets(ORIGINAL_METRICS)
    assert list(original) == ["prometheus", "kubelet", "cpu-memory-network", "cpu-memory"]
    assert not any(CATALOGUE[name].family == "io" for name in original["kubelet"])


def test_samples_of_fewer_columns_are_identified_by_the_model_that_learned_from_those(
    samples: pd.DataFrame, identifier: Identifier
) -> None:
    kept = [name for name in ORIGINAL_METRICS if CATALOGUE[name].family in ("cpu", "memory")]
    few = samples.drop(columns=[name for name in ORIGINAL_METRICS if name in samples and name not in kept])
    alone = identifier.reduced["cpu-memory"]
    assert set(alone.columns) == set(kept)
    pd.testing.assert_frame_equal(identifier.predict_proba(few), alone.predict_proba(few))
    assert identifier.identify(few) != identifier.identify(samples)


def test_they_come_back_from_files(samples: pd.DataFrame, identifier: Identifier) -> None:
    files = to_files(identifier)
    again = from_files(files, where="model")
    assert list(again.reduced) == list(identifier.reduced) != []
    few = samples.drop(columns=["rx_bytes", "tx_bytes"])
    assert again.identify(few) == identifier.identify(few)
    assert to_files(again) == files


def test_a_set_is_read_when_samples_need_it_and_checked_then(samples: pd.DataFrame, identifier: Identifier) -> None:
    files = {**to_files(identifier), "cpu-memory.calibration.npz": b"no arrays"}
    again = from_files(files, where="model")
    assert again.identify(samples) == identifier.identify(samples)
    kept = [name for name in ORIGINAL_METRICS if CATALOGUE[name].family in ("cpu", "memory", "network")]
    few = samples.drop(columns=[name for name in ORIGINAL_METRICS if name in samples and name not in kept])
    assert again.identify(few) == identifier.identify(few)
    with pytest.raises(InputError, match=r"^model/cpu-memory/calibration.npz: "):
        again.identify(few.drop(columns=["rx_bytes", "tx_bytes"]))


def test_a_part_of_another_model_is_refused(samples: pd.DataFrame, identifier: Identifier) -> None:
    other = Identifier(services=["nginx", "redis"], horizons_s=[10], jobs=1).fit(samples)
    name = next(iter(identifier.reduced))
    strange = {file: content for file, content in to_files(other).items() if file.startswith(f"{name}.")}
    with pytest.raises(InputError, match=f"its part '{name}' is of another"):
        from_files({**to_files(identifier), **strange}, where="model")


def test_without_column_sets_there_is_one_model(samples: pd.DataFrame) -> None:
    fitted = Identifier(column_sets=False, horizons_s=[10], jobs=1).fit(samples)
    assert fitted.reduced == {}
    assert np.isfinite(fitted.predict_proba(samples).to_numpy()).all()
