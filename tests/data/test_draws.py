from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.draws import draws_file, find_draws, join_draws, knob_words, read_draws
from podlab.errors import InputError
from tests.support.synthetic import draw_design, make_samples


@pytest.fixture(scope="module")
def design() -> tuple[pd.DataFrame, pd.DataFrame]:
    return draw_design(make_samples(("mysql", "nginx"), deployments_per_service=6, seconds=5))


def test_all_roles_of_a_recording_share_one_table() -> None:
    for role in ("", "-unknown", "-faults", "-normal"):
        assert draws_file(Path(f"x/alpha-1{role}.parquet")) == Path("x/alpha-1-draws.csv")


def test_tables_are_found_beside_recordings_and_some_have_none(
    design: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    design[1].to_csv(tmp_path / "r-draws.csv", index=False)
    recordings = [tmp_path / name for name in ("r.parquet", "r-unknown.parquet", "old.parquet")]
    found = find_draws(recordings)
    assert found["deployment"].to_list() == design[1]["deployment"].to_list()
    assert list(find_draws([tmp_path / "old.parquet"])) == ["deployment"]
    assert find_draws([tmp_path / "old.parquet"]).empty


def test_draws_are_joined_by_deployment(design: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    samples, draws = design
    draws = draws.assign(**{"knob:workers": [str(number) for number in range(len(draws))]})
    containers = samples.drop_duplicates("deployment").iloc[::-1].reset_index(drop=True)
    joined = join_draws(containers, draws[draws["deployment"] != "nginx-0"])
    told = joined.set_index("deployment")
    wanted = draws.set_index("deployment")["launcher"]
    assert (told["launcher"].drop("nginx-0") == wanted.drop("nginx-0").reindex(told.index.drop("nginx-0"))).all()
    assert pd.isna(told.loc["nginx-0", "launcher"])
    assert told.loc[told["service"] == "nginx", "knob:engine"].isna().all()
    assert set(told.loc[told["service"] == "mysql", "knob:workers"]) == {"low", "middle", "high"}
    # What the samples tell is left as it is.
    assert joined["site"].equals(containers["site"])


def test_numbers_of_a_knob_are_thirds_within_each_service_and_words_stay() -> None:
    values = pd.Series(["1", "2", "3", "4", "5", "6", "100", "200", "on", None], dtype="str")
    services = pd.Series([*"aaaaaa", "b", "b", "c", "d"])
    told = knob_words(values, services)
    assert told[:9].to_list() == ["low", "low", "middle", "middle", "high", "high", "100", "200", "on"]
    assert pd.isna(told[9])


def test_a_table_without_a_column_is_refused(design: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    path = tmp_path / "r-draws.csv"
    design[1].drop(columns="outcome").to_csv(path, index=False)
    with pytest.raises(InputError, match=r"r-draws\.csv.*'outcome' is missing"):
        read_draws(path)
