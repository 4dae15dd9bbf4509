"""Only a part of the answer comes, and must not pass for containers that ended."""

from __future__ import annotations

import json

from tests.faults.prometheus_case import only_samples, refused
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer


def test_the_connection_breaks(prometheusd: Prometheusd) -> None:
    broken = only_samples(lambda _path, _headers, a: Answer(200, a.body[: len(a.body) // 2], length=len(a.body)))
    refused(prometheusd, broken, r"the answer broke off: .*; try again")


def test_some_of_the_storage_is_away(prometheusd: Prometheusd) -> None:
    # As a VictoriaMetrics cluster says it.
    partial = only_samples(
        lambda _path, _headers, a: Answer(200, json.dumps({**json.loads(a.body), "isPartial": True}).encode())
    )
    refused(prometheusd, partial, "the answer is only a part: some of its storage is away; try again")
