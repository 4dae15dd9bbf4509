"""Fields of another kind than Telegraf writes, and answers whose parts are of another kind."""

from __future__ import annotations

import pytest

from podlab.errors import InputError, PodlabError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.telegraf import measurements
from tests.faults.influxdb_case import SINCE, UNTIL, fetch_from, pack
from tests.support.influxd import Influxd

FIRST_NS = 1_767_225_600_000_000_000
PLACES = [
    ("kubernetes_pod_container", ",container_name=c", "memory_rss_bytes", "memory_rss_bytes"),
    ("kubernetes_pod_network", "", "rx_bytes", "rx_bytes"),
    ("kubernetes_pod_volume", ",name=data", "used_bytes", "volume_used_bytes"),
]


def write(influxd: Influxd, database: str, measurement: str, tags: str, field: str, value: str) -> InfluxSource:
    """Write a container's points, and one field as somebody else does."""
    pod = "node_name=n,namespace=d,pod_name=p"
    for number in range(3):
        time_ns = FIRST_NS + number * 10**10
        sound = f"kubernetes_pod_container,{pod},container_name=c memory_working_set_bytes=5i,logsfs_used_bytes=1i"
        influxd.write(database, f"{sound} {time_ns}\n{measurement},{pod}{tags} {field}={value} {time_ns}".encode())
    return InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))


@pytest.mark.parametrize(("value", "shown"), [('"many"', "'many'"), ("true", "'True'")])
@pytest.mark.parametrize(("measurement", "tags", "field", "column"), PLACES)
def test_a_field_that_holds_no_numbers_is_named(
    influxd: Influxd, database: str, measurement: str, tags: str, field: str, column: str, value: str, shown: str
) -> None:
    source = write(influxd, database, measurement, tags, field, value)
    with pytest.raises(InputError, match=f"field '{field}' of {measurement} holds {shown}, which is not a number"):
        source.fetch(SINCE, UNTIL)
    source.close()


@pytest.mark.parametrize(("measurement", "tags", "field", "column"), PLACES)
def test_fractions_are_numbers(
    influxd: Influxd, database: str, measurement: str, tags: str, field: str, column: str
) -> None:
    source = write(influxd, database, measurement, tags, field, "7.0")
    assert source.fetch(SINCE, UNTIL)[column].tolist() == [7, 7, 7]
    source.close()


def _answer(time: object, *values: object) -> bytes:
    fields = measurements(("memory_rss_bytes",))[0].fields.values()
    series = {"name": "m", "columns": ["time", *fields], "values": [[time, *(values or [1] * len(fields))]]}
    return pack({"results": [{"series": [series]}]})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_answer("noon"), "its rows are not times and values"),
        (_answer(None), "its rows are not times and values"),
        (_answer(1, *[1] * 40), "its rows have not the columns that it names"),
        (pack({"results": [{"series": {"name": "m"}}]}), "Expected `array`, got `object`"),
        (pack({"results": "none"}), "Expected `array`, got `str`"),
        (pack([1, 2]), "Expected `object`, got `array`"),
    ],
    ids=["time is text", "no time", "more values than columns", "series", "results", "no answer"],
)
def test_answers_of_another_shape_are_refused(answer: bytes, words: str) -> None:
    with pytest.raises(PodlabError, match=f"the answer is not InfluxDB's or broke off: {words}"):
        fetch_from(answer, columns=("memory_rss_bytes",))()
