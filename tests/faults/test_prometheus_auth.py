"""Credentials that are missing, wrong or expired, and servers that are not to be trusted."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.prometheus_client import PrometheusApi
from tests.faults.prometheus_case import fetch, refused, spoiled
from tests.support.certificates import make_certificate
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer, Tamper

SECRET = "hunter2 'ä\":/@%?#"
WORDS = r"the server refuses {}: token is expired; check prometheus_token, or prometheus_user .* may have expired"


def ask_for(header: str, value: str) -> Tamper:
    def tamper(_path: str, headers: dict[str, str], _answer: Answer) -> Answer | None:
        return None if headers.get(header) == value else Answer(401, b"token is expired\n")

    return tamper


def test_the_right_ones_are_taken(prometheusd: Prometheusd) -> None:
    basic = "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()
    for header, value, options in (
        ("authorization", basic, {"user": "reader", "password": SECRET}),
        ("authorization", "Bearer hunter2", {"token": "hunter2"}),
        ("x-scope-orgid", "shop", {"tenant": "shop"}),
    ):
        with spoiled(prometheusd, ask_for(header, value)) as (proxy, samples, labels):
            assert len(fetch(proxy.url, samples, labels, **options)) == len(samples)


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({}, "a visitor without login"),
        ({"user": "reader", "password": SECRET}, "user 'reader'"),
        ({"token": "hunter2"}, "a token"),
    ],
)
def test_wrong_ones_are_refused_without_being_told(prometheusd: Prometheusd, options: dict, who: str) -> None:
    error = refused(prometheusd, ask_for("authorization", "Bearer other"), WORDS.format(who), **options)
    assert isinstance(error, InputError)
    assert "hunter2" not in str(error)


def test_a_token_that_expires_between_two_rounds(prometheusd: Prometheusd) -> None:
    valid = ["Bearer first"]

    def tamper(_path: str, headers: dict[str, str], _answer: Answer) -> Answer | None:
        return None if headers.get("authorization") in valid else Answer(403, b"token is expired\n")

    with spoiled(prometheusd, tamper) as (proxy, samples, labels):
        source = PrometheusSource(PrometheusApi(proxy.url, token="first"), labels=labels)
        assert len(source.fetch(samples["time"].min(), samples["time"].max())) == len(samples) - 1
        valid.clear()
        with pytest.raises(InputError, match=WORDS.format("a token")):
            source.fetch(samples["time"].min(), samples["time"].max())


def test_an_authority_must_be_known(prometheusd: Prometheusd, tmp_path: Path) -> None:
    certificate, authority = make_certificate(tmp_path)
    with spoiled(prometheusd, lambda *_: None, certificate=certificate) as (proxy, samples, labels):
        with pytest.raises(InputError, match=r"Prometheus is not trusted: .*set prometheus_ca_file"):
            fetch(proxy.url, samples, labels)
        assert proxy.requests == []
        assert len(fetch(proxy.url, samples, labels, ca_file=authority)) == len(samples)


def test_a_file_without_certificates(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name, words in (("empty.pem", "cannot be used"), ("nowhere.pem", "No such file")):
        with pytest.raises(InputError, match=rf"prometheus_ca_file .*{name}: .*{words}|{name}: cannot be used"):
            PrometheusApi("https://127.0.0.1:1", ca_file=tmp_path / name)
