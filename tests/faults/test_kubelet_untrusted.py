"""A kubelet whose certificate nobody known has signed gets no token, unless the user says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.sources.kubelet import KubeletClient
from tests.support.certificates import make_certificate
from tests.support.kubelet import TOKEN, Kubelet


def _get(samples: pd.DataFrame, certificate: Path, authority: Path, *, verify: bool) -> tuple[bytes, list[object]]:
    client = KubeletClient(lambda: {"Authorization": f"Bearer {TOKEN}"}, authority=str(authority), verify=verify)
    with Kubelet(samples, "node-0", lambda: samples["time"].max().timestamp(), certificate) as kubelet:
        try:
            return client.get(kubelet.address, "/stats/summary"), list(kubelet.asked)
        except InputError:
            assert not kubelet.asked
            raise
        finally:
            client.close()


def test_it_is_asked_nothing(samples: pd.DataFrame, certificates: tuple[Path, Path], tmp_path: Path) -> None:
    _, stranger = make_certificate(tmp_path)
    with pytest.raises(
        InputError, match=r"the kubelet is not trusted: .*; set kubelet_ca_file .* or kubelet_verify=false"
    ):
        _get(samples, certificates[0], stranger, verify=True)


def test_whoever_does_not_look_is_answered(
    samples: pd.DataFrame, certificates: tuple[Path, Path], tmp_path: Path
) -> None:
    _, stranger = make_certificate(tmp_path)
    answer, asked = _get(samples, certificates[0], stranger, verify=False)
    assert answer.startswith(b'{"node"')
    assert asked == [("get", "nodes/stats")]
