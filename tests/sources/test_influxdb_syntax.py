"""Line protocol: what is written is what the server reads, whatever the characters."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.sources.influxdb_client import InfluxDatabase, format_fields, format_tags, read_series
from tests.support.influxd import Influxd

ODD = st.sampled_from(list("\\\\\\,= \"'\t\r#$%üß日🙂a"))
TAG = st.text(ODD | st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=12).filter(
    lambda text: not text.endswith("\\")
)
TEXT = st.text(ODD | st.just("\n") | st.characters(codec="utf-8"), max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=st.lists(st.tuples(TAG, TEXT, INT64, st.booleans()), min_size=1, max_size=60))
def test_the_server_gives_back_what_was_written(
    influxd: Influxd, database: str, points: list[tuple[str, str, int, bool]]
) -> None:
    target = InfluxDatabase(influxd.url, database, *influxd.admin)
    lines = [
        f"m{format_tags({'one': tag, 'two': 'end'}, where='x')}"
        f" {format_fields({'n': n, 'text': text, 'number': number, 'flag': flag})} {n + 1}"
        for n, (tag, text, number, flag) in enumerate(points)
    ]
    target.write("\n".join(lines).encode())
    got = {
        row[1]: (series.tags["one"], row[2], row[3], row[4])
        for series in read_series(target.query('SELECT n, text, number, flag FROM m GROUP BY "one", "two"'), where="x")
        for row in series.rows
        if series.tags["two"] == "end"
    }
    influxd.statement("DROP MEASUREMENT m", db=database)
    assert got == dict(enumerate(points))


def test_tags_without_a_value_are_left_out() -> None:
    assert format_tags({"b": "1", "a": "", "c": "x y"}, where="x") == r",b=1,c=x\ y"


@pytest.mark.parametrize("value", ["a\\", "\\", "a\nb"])
def test_what_cannot_be_a_tag_is_refused(value: str) -> None:
    with pytest.raises(InputError, match=r"a\.parquet: pod .* cannot be stored in InfluxDB"):
        format_tags({"pod": value}, where="a.parquet")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integers_of_more_than_64_bits_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        format_fields({"n": value})
