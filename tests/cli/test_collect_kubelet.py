"""`podlab collect --source kubelet` against the test API server and kubelets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.recordings import read_recording
from tests.support.command import Call
from tests.support.kubeapi import KubeApi
from tests.support.kubelet import METRICS, STATS, running_kubelets
from tests.support.kubeobjects import make_node
from tests.support.synthetic import make_samples
from tests.support.watch_process import begin_now, run_pods
from tests.support.watching import starting_together

TOKEN = "t0ken-of-the-collector"


def test_it_samples_for_as_long_as_it_is_told(
    call: Call, certificates: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = starting_together(make_samples(("nginx", "redis"), deployments_per_service=1, seconds=60))
    lives = begin_now(samples.assign(started_at=samples["started_at"].dt.as_unit("ns")), 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODLAB_KUBELET_CA_FILE", str(certificates[1]))
    monkeypatch.setenv("PODLAB_KUBELET_INTERVAL", "200ms")
    with KubeApi() as api, running_kubelets(lives, certificates, {TOKEN: {STATS, METRICS}}) as kubelets:
        api.add_user(TOKEN)
        monkeypatch.setenv("KUBECONFIG", str(api.write_kubeconfig(tmp_path / "kubeconfig", TOKEN)))
        run_pods(api, lives)
        for kubelet in kubelets:
            api.store.put("nodes", make_node(kubelet.node, address=(kubelet.address.host, kubelet.address.port)))
        answer = call("collect", "--source", "kubelet", "--since", "3s", "--out", "got.parquet", "--json")
    assert answer.exit_code == 0, answer.err
    assert answer.lines[0]["containers"] == 2
    got = read_recording([tmp_path / "got.parquet"])
    assert got.groupby("pod").size().between(2, 5).all()
    # A row's time is the Summary's whole second where the answer with milliseconds came only after the next sample.
    told = pd.concat(lives.assign(time=lives["time"].dt.floor(unit)) for unit in ("ms", "s"))
    both = got.merge(told.drop_duplicates(["pod", "time"], keep="last"), on=["pod", "time"])
    assert len(both) == len(got)
    assert (both["rx_bytes_x"] == both["rx_bytes_y"]).all()
    assert (got["time"] - got["started_at"] > pd.Timedelta("5s")).all()
    assert TOKEN not in answer.out + answer.err
