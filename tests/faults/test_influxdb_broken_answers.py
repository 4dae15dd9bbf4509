"""The server, or something else at its address, answers with what is no good answer."""

from __future__ import annotations

import msgspec
import pytest

from podlab.errors import InputError, PodlabError
from tests.faults.influxdb_case import OK, fetch_from, pack


def test_an_error_in_the_body_of_a_success() -> None:
    with pytest.raises(InputError, match="InfluxDB refuses the statement: shard 7 is gone"):
        fetch_from(pack({"results": [{"statement_id": 0, "error": "shard 7 is gone"}]}))()


def test_an_error_beside_the_results() -> None:
    with pytest.raises(PodlabError, match=r"max-concurrent-queries limit exceeded; try again later"):
        fetch_from(pack({"error": "max-concurrent-queries limit exceeded"}))()


def test_an_answer_that_breaks_off() -> None:
    whole = pack({"results": [{"series": [{"name": "m", "columns": ["time"], "values": [[1]] * 100}]}]})
    with pytest.raises(PodlabError, match=r"the answer broke off: .*; try again"):
        fetch_from(whole[:-20])()


def test_an_answer_that_is_shorter_than_its_structure() -> None:
    body = msgspec.msgpack.encode({"results": [{"series": []}]})[:-1]
    with pytest.raises(PodlabError, match="the answer is not InfluxDB's or broke off"):
        fetch_from(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)()


def test_rows_left_out_even_for_one_second() -> None:
    partial = {"results": [{"partial": True, "series": [{"name": "m", "columns": ["time"], "values": []}]}]}
    with pytest.raises(PodlabError, match=r"even .* s of kubernetes_pod_container are too much for one answer"):
        fetch_from(pack(partial))()


def test_something_else_listens_there() -> None:
    page = b"<html>Welcome</html>"
    with pytest.raises(PodlabError, match=r"check that it is InfluxDB"):
        fetch_from(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)()


def test_a_server_that_fails() -> None:
    with pytest.raises(PodlabError, match="InfluxDB failed with 503: shutting down; try again"):
        fetch_from(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 13\r\n\r\nshutting down")()


def test_a_server_whose_memory_is_too_small_for_even_one_second() -> None:
    with pytest.raises(PodlabError, match=r"out of memory; raise the server's limit"):
        fetch_from(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 13\r\n\r\nout of memory")()
