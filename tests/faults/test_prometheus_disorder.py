"""Samples that come twice, out of order, or with another value at the same instant."""

from __future__ import annotations

import json
import random

import pandas as pd

from tests.faults.prometheus_case import fetch, only_samples, spoiled
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer


def test_twice_and_shuffled_gives_the_same(prometheusd: Prometheusd) -> None:
    rng = random.Random(0)

    def disorder(_path: str, _headers: dict[str, str], answer: Answer) -> Answer:
        body = json.loads(answer.body)
        for series in body["data"]["result"]:
            series["values"] = [value for value in series["values"] for _ in range(2)]
            rng.shuffle(series["values"])
        body["data"]["result"] *= 2
        rng.shuffle(body["data"]["result"])
        return Answer(200, json.dumps(body).encode())

    with spoiled(prometheusd, only_samples(disorder)) as (proxy, samples, labels):
        spoilt, sound = fetch(proxy.url, samples, labels), fetch(prometheusd.url, samples, labels)
        assert len(sound) == len(samples)
        pd.testing.assert_frame_equal(spoilt, sound)


def test_values_that_are_no_numbers_are_missing(prometheusd: Prometheusd) -> None:
    def spoil(_path: str, _headers: dict[str, str], answer: Answer) -> Answer:
        body = json.loads(answer.body)
        for series in body["data"]["result"]:
            if series["metric"]["__name__"] == "container_memory_rss":
                for value, text in zip(series["values"], ("NaN", "+Inf", "-Inf", "-1", "1e300"), strict=False):
                    value[1] = text
        return Answer(200, json.dumps(body).encode())

    with spoiled(prometheusd, only_samples(spoil)) as (proxy, samples, labels):
        got = fetch(proxy.url, samples, labels)
        assert got["memory_rss_bytes"].isna().tolist() == [True] * 5 + [False] * (len(samples) - 5)
        assert got["rx_bytes"].tolist() == samples["rx_bytes"].tolist()
