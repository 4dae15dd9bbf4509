"""Answers that break off, are no JSON, are of something else, or are a server's fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import PodlabError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

FAULTS = {
    "truncated JSON": (Fault(cut_at=200, announce_all=False), "the response to list pods cannot be read: "),
    "broken connection": (Fault(cut_at=200), "the answer broke off: "),
    "empty": (Fault(body=b""), "the response to list pods cannot be read"),
    "a login page": (Fault(body=b"<html>Log in</html>"), "cannot be read: .*; check that this address is a Kubernetes"),
    "another kind": (Fault(body=b'{"kind": "APIVersions"}'), "cannot be read: .*items"),
    "not UTF-8": (
        Fault(body=b'{"items": [{"metadata": {"name": "\xff"}}]}'),
        "the response to list pods cannot be read",
    ),
    "500": (
        Fault(500, b'{"kind": "Status", "message": "etcd\\n is away"}'),
        r"failed to list pods .*\(500\): etcd is away",
    ),
    "502 of a proxy": (Fault(502, b"<html>Bad gateway</html>"), r"failed to list pods .*\(502\); try again later"),
    "429": (Fault(429, b"{}", {"Retry-After": "3600"}), r"failed to list pods .*\(429\)"),
    "404": (Fault(404, b"404 page not found"), r"no such path \(404\); give the address of a Kubernetes"),
    "redirect": (Fault(302, b"", {"Location": "http://127.0.0.1:1/"}), r"failed to list pods .*\(302\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_is_one_clear_line_after_one_request(tmp_path: Path, fault: str) -> None:
    answer, words = FAULTS[fault]
    with KubeApi() as api:
        api.add_user("hush-hush")
        api.store.put("pods", make_pod("web"))
        api.faults.append(answer)
        connection = connect(kubeconfig=api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush"))
        with pytest.raises(PodlabError, match=words) as error:
            read_inventory(connection)
        assert str(error.value).startswith(f"{api.url}: ")
        assert "\n" not in str(error.value)
        assert "hush" not in str(error.value)
        assert len(api.requests) == 1
