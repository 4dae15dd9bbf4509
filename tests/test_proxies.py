"""Which proxy stands before an address: every usual form of the variables, and one clear line for the others."""

from __future__ import annotations

import pytest

from podlab.errors import InputError
from podlab.proxies import find_proxy

PROXY = "http://proxy.example.org:3128"
FAR = "http://metrics.example.org:8086"


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        (FAR, {}, None),
        (FAR, {"HTTP_PROXY": PROXY}, ("HTTP_PROXY", PROXY)),
        (FAR, {"http_proxy": PROXY}, ("http_proxy", PROXY)),
        (FAR, {"http_proxy": "", "HTTP_PROXY": PROXY}, None),
        (FAR, {"HTTPS_PROXY": PROXY}, None),
        (FAR, {"ALL_PROXY": PROXY}, ("ALL_PROXY", PROXY)),
        (FAR, {"HTTP_PROXY": PROXY, "ALL_PROXY": "socks5://other:1"}, ("HTTP_PROXY", PROXY)),
        (FAR, {"HTTP_PROXY": "proxy.example.org:3128"}, ("HTTP_PROXY", PROXY)),
        (FAR.replace("http", "https"), {"HTTPS_PROXY": PROXY}, ("HTTPS_PROXY", PROXY)),
    ],
)
def test_the_scheme_decides_which_variable_counts(
    url: str, environment: dict[str, str], expected: tuple[str, str] | None
) -> None:
    assert find_proxy(url, environment) == expected


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("metrics.example.org", "example.org"),
        ("metrics.example.org", ".example.org"),
        ("metrics.example.org", "*.example.org"),
        ("metrics.example.org", "other, METRICS.example.org"),
        ("metrics.example.org", "other metrics.example.org."),
        ("metrics.example.org", "metrics.example.org:8086"),
        ("metrics.example.org", "http://metrics.example.org"),
        ("metrics.example.org", "fd12:3456::/32,[::1],*"),
        ("10.1.2.3", "10.0.0.0/8,fd12:3456::/32"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3:8086"),
        ("[fd12:3456::7]", "fd12:3456::/32"),
        ("[fd12:3456::7]", "[fd12:3456::7]"),
        ("[fd12:3456::7]", "[fd12:3456::7]:8086"),
        ("[fd12:3456::7]", "fd12:3456:0::7"),
    ],
)
def test_hosts_of_no_proxy_are_asked_directly(host: str, no_proxy: str) -> None:
    assert find_proxy(f"http://{host}:8086", {"HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("metrics.example.org", "ample.org"),
        ("metrics.example.org", "metrics.example.org:9090"),
        ("metrics.example.org", ",, /16,[,:80,10.0.0.0/99"),
        ("metrics.example.org", "10.0.0.0/8"),
        ("10.1.2.3", "10.2.0.0/16"),
        ("[fd12:3456::7]", "[fd12:3456::7]:9090"),
    ],
)
def test_no_other_host_is(host: str, no_proxy: str) -> None:
    assert find_proxy(f"http://{host}:8086", {"HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}) is not None


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "influxdb", "influxdb.podlab.svc",
     "kubernetes.default.svc.cluster.local"],
)  # fmt: skip
@pytest.mark.parametrize("proxy", [PROXY, "socks5://127.0.0.1:1080", "socks://127.0.0.1:7890/", "http://proxy:port"])
def test_this_machine_and_this_cluster_are_asked_directly(host: str, proxy: str) -> None:
    assert find_proxy(f"http://{host}:8086", {"ALL_PROXY": proxy, "HTTP_PROXY": proxy}) is None


@pytest.mark.parametrize(
    "proxy", ["socks5://me:hunter2@proxy:1080", "socks://proxy", "http://me:hunter2@:3128", "http://proxy:port",
              "http://proxy:99999", "http://a b", "http://[::1", "ftp://proxy"],
)  # fmt: skip
def test_what_is_no_http_proxy_is_told_by_its_variable(proxy: str) -> None:
    with pytest.raises(InputError, match=r"^ALL_PROXY: .*or add metrics.example.org to NO_PROXY") as error:
        find_proxy(FAR, {"ALL_PROXY": proxy})
    assert "hunter2" not in str(error.value)
