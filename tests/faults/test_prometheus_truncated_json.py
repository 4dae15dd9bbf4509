"""JSON that ends anywhere, though the connection was in order."""

from __future__ import annotations

import pytest

from podlab.errors import PodlabError
from podlab.sources.prometheus_client import read_matrix
from tests.faults.prometheus_case import only_samples, refused
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer

BODY = (
    b'{"status":"success","data":{"resultType":"matrix","result":['
    b'{"metric":{"pod":"a"},"values":[[1.5,"2"],[3,"4"]]}]}}'
)


def test_through_a_server(prometheusd: Prometheusd) -> None:
    cut = only_samples(lambda _path, _headers, a: Answer(200, a.body[:-20]))
    refused(prometheusd, cut, "the answer is not Prometheus' or broke off: Input data was truncated")


def test_at_every_byte() -> None:
    assert read_matrix(BODY, where="server").value.tolist() == [2.0, 4.0]
    for end in range(len(BODY)):
        with pytest.raises(PodlabError, match=r"^server: the answer is not Prometheus' or broke off: .+"):
            read_matrix(BODY[:end], where="server")
