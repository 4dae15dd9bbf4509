"""Times as databases and languages write them, and errors in words of podlab's own."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from tests.importing.conftest import CPU, Import


def times(bring: Import, *written: str, **how: str) -> list[pd.Timestamp]:
    rows = "".join(f'p{n},"{text}",1\n' for n, text in enumerate(written))
    return bring("pod,time,cpu\n" + rows, columns=[CPU], time={"column": "time", **how}).samples["time"].tolist()


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2024-10-27 02:59:50+02", "00:59:50"),
        ("2024-10-27 02:59:50.25-03:30", "06:29:50.25"),
        ("2024-10-27T02:59:50+0200", "00:59:50"),
        ("2024-10-27 02:59:50 +02", "00:59:50"),
        ("2024-10-27 02:59:50 UTC", "02:59:50"),
        ("2024-10-27 02:59:50z", "02:59:50"),
        ("2024-10-27 02:59:50,5 GMT", "02:59:50.5"),
        ("2024-10-27 02:59:50.123456789 +0000 UTC", "02:59:50.123456789"),
        ("2024-10-27 02:59:50.5 +0200 CEST m=+12.345", "00:59:50.5"),
        ("2024-10-27 02:59:50 -0300 -03", "05:59:50"),
        ("2024-10-27t02:59:50z", "02:59:50"),
        ("2024-10-27T02:59:50+02:00[Europe/Vienna]", "00:59:50"),
        ("2024-10-27T02:59:50Z[Etc/UTC]", "02:59:50"),
    ],
)
def test_offsets_as_they_are_written(bring: Import, written: str, utc: str) -> None:
    assert times(bring, written) == [pd.Timestamp(f"2024-10-27T{utc}Z")]
    assert times(bring, "2024-10-27T00:00:00Z", written)[1] == pd.Timestamp(f"2024-10-27T{utc}Z")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.datetimes(pd.Timestamp("2001-01-01"), pd.Timestamp("2099-01-01")), st.integers(-12, 14)),
                min_size=1, max_size=4))  # fmt: skip
def test_hours_alone_are_an_offset(bring: Import, moments: list[tuple[pd.Timestamp, int]]) -> None:
    written = [f"{moment:%Y-%m-%d %H:%M:%S.%f}{hours:+03d}" for moment, hours in moments]
    utc = [pd.Timestamp(moment, tz="UTC") - pd.Timedelta(hours=hours) for moment, hours in moments]
    assert times(bring, *written) == utc


@pytest.mark.parametrize("written", ["20261027T025950Z", "20261027T025950+0000", "2026-10-27T0259Z"])
def test_a_zone_counts_where_nothing_parts_the_figures(bring: Import, written: str) -> None:
    minute = pd.Timestamp("2026-10-27T02:59Z")
    assert [time.floor("min") for time in times(bring, written)] == [minute]
    assert [time.floor("min") for time in times(bring, written, zone="Europe/Vienna")] == [minute]


def test_a_date_alone_has_no_zone(bring: Import) -> None:
    with pytest.raises(InputError, match="has times without a zone"):
        times(bring, "2026-10-27")


def test_a_pattern_takes_offsets_of_hours(bring: Import) -> None:
    assert times(bring, "01.03.2026 11:00+01", format="%d.%m.%Y %H:%M%z") == [pd.Timestamp("2026-03-01T10:00:00Z")]


@pytest.mark.parametrize(
    ("written", "how", "words"),
    [
        (["2026-03-01T10:00:00Z", "2026-03-01T10:00:00"], {}, "column 'time' has times with and without a zone"),
        (["2026-03-01 10:00:00 CET"], {"zone": "UTC"}, "line 2: '2026-03-01 10:00:00 CET' is not a time of ISO 8601"),
        (["2026-03-01T10:00:00Z", "yesterday"], {}, "column 'time', line 3: 'yesterday' is not a time of ISO 8601"),
        (["02/03/2014 10:00"], {}, "say how it is written: time.format = '%d.%m.%Y %H:%M:%S', for example"),
        (["2.3.14"], {"format": "%d.%m.%Y"}, "line 2: '2.3.14' is not a time, or not written as '%d.%m.%Y'; others"),
        (["2.3.14"], {"format": "%Q"}, "time.format: '%Q' is not a pattern"),
        (["", "2026-03-01T10:00:00Z"], {}, "line 2: the time is missing"),
    ],
)
def test_what_is_no_time_is_told_in_whole_sentences(
    bring: Import, written: list[str], how: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        times(bring, *written, **how)
    assert words in str(caught.value)
    assert not any(word in str(caught.value) for word in ("utc=", "to_datetime", "pandas", "might want"))
