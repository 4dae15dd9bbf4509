"""Whose certificates are believed, and what each fault of TLS is called."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import urllib3

from podlab.errors import InputError, PodlabError
from podlab.http import API_SERVER, INFLUXDB, HttpClient, explain_tls, trusted_authorities


def names(context: ssl.SSLContext) -> list[str]:
    return [str(dict(part[0] for part in each["subject"])) for each in context.get_ca_certs()]


def test_a_setting_counts_before_the_environment_and_that_before_the_system(certificates: tuple[Path, Path]) -> None:
    _, authority = certificates
    own = names(trusted_authorities(authority, "influxdb_ca_file", {}))
    assert len(own) == 1
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        assert names(trusted_authorities(None, "influxdb_ca_file", {variable: str(authority)})) == own
    ignored = {"SSL_CERT_FILE": "/nowhere.pem"}
    assert names(trusted_authorities(authority, "influxdb_ca_file", ignored)) == own
    both = {"SSL_CERT_FILE": str(authority), "REQUESTS_CA_BUNDLE": "/nowhere.pem"}
    assert names(trusted_authorities(None, "influxdb_ca_file", both)) == own
    assert len(names(trusted_authorities(None, "influxdb_ca_file", {"SSL_CERT_FILE": ""}))) > 20


def test_a_server_is_checked_whoever_is_trusted(certificates: tuple[Path, Path], tmp_path: Path) -> None:
    for environment in ({}, {"SSL_CERT_DIR": str(tmp_path)}, {"SSL_CERT_FILE": str(certificates[1])}):
        context = trusted_authorities(None, "influxdb_ca_file", environment)
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_that_is_not_there_is_told_by_its_variable(variable: str, tmp_path: Path) -> None:
    words = rf"^{variable}: '.*nowhere' cannot be used: No such file .*; unset or correct it, or set prometheus_ca_file"
    with pytest.raises(InputError, match=words):
        trusted_authorities(None, "prometheus_ca_file", {variable: str(tmp_path / "nowhere")})


def test_a_file_without_certificates_is_told_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(InputError, match=r"^SSL_CERT_FILE: .*cannot be used: it holds no certificates"):
        trusted_authorities(None, "influxdb_ca_file", {"SSL_CERT_FILE": str(tmp_path / "empty.pem")})


def test_a_key_log_that_cannot_be_written_is_no_traceback(
    certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    for authority in (None, certificates[1]):
        trusted_authorities(authority, "influxdb_ca_file", {})
    client = HttpClient(API_SERVER, urllib3.PoolManager(), "https://127.0.0.1:1", timeout_s=1.0)
    with pytest.raises((InputError, PodlabError), match=r"^here: .*(refused|No such file)"):
        client.send("GET", "/", where="here")


FAILED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {} (_ssl.c:1006)"


@pytest.mark.parametrize(
    ("message", "what", "hint"),
    [
        (FAILED.format("self-signed certificate"), "InfluxDB is not trusted: self-signed", "set influxdb_ca_file"),
        (FAILED.format("unable to get local issuer certificate"), "is not trusted: unable", "set influxdb_ca_file"),
        (FAILED.format("Hostname mismatch, certificate is not valid for 'db'"), "not trusted", "set influxdb_url"),
        (FAILED.format("IP address mismatch, certificate is not valid for '::1'"), "not trusted", "set influxdb_url"),
        (FAILED.format("certificate has expired"), "is not trusted: certificate has expired", "renew"),
        (FAILED.format("certificate is not yet valid"), "is not trusted", "set the clock"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "does not speak TLS", "write http://"),
        ("[SSL: RECORD_LAYER_FAILURE] record layer failure (_ssl.c:1006)", "does not speak TLS", "write http://"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)",
         "without a client's certificate", "set influxdb_url"),
        ("[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:1006)", "no TLS connection", "check influxdb_url"),
    ],
)  # fmt: skip
def test_each_fault_has_its_own_words(message: str, what: str, hint: str) -> None:
    fault = explain_tls(message, INFLUXDB)
    assert fault is not None
    assert what in fault.message
    assert hint in fault.hint
    assert "_ssl.c" not in fault.message


def test_other_faults_are_none_of_tls() -> None:
    assert explain_tls("[Errno 111] Connection refused", INFLUXDB) is None
