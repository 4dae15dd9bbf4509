"""What a container does is said in one line, and miners are told from other work that needs nothing but CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import FEATURE_METRICS
from podlab.data.recordings import read_recording
from podlab.features.rows import read_rows
from podlab.identify.behaviour import Behaviour, behaviours_of, learn_weights, miner_scores
from tests.support.synthetic import make_miner

ROOT = Path(__file__).parents[2]
#: Busy by themselves as miners are.
HARD = ("build-job", "checksums", "compiler", "compression", "image-encoder", "model-training", "numpy-batch",
        "video-encoder")  # fmt: skip


def describe(samples: pd.DataFrame) -> Behaviour | None:
    [found] = behaviours_of(read_rows(samples))
    return found


def test_a_miner_is_described_and_scored() -> None:
    found = describe(make_miner(seconds=300))
    assert found is not None
    assert found.text == "like a miner: one core steadily, no disk, little even traffic, 20 MB of memory, since 5 min"
    assert found.miner_score > 0.9
    ramping = describe(make_miner(seconds=300, ramp=True))
    assert ramping is not None
    assert ", rising, " in ramping.text
    assert ramping.is_miner_like


@pytest.mark.parametrize(
    "changed", [{"tx_bytes": 0}, {"memory_page_faults": 30_000, "kernel": 0.15}, {"kernel": 0.5}, {"cores": 0.01}]
)
def test_who_is_silent_maps_memory_asks_the_kernel_or_hardly_works_does_not_mine(changed: dict[str, float]) -> None:
    found = describe(make_miner(seconds=300, **changed))
    assert found is not None
    assert found.miner_score < 0.5


def test_nothing_is_said_too_early_or_of_what_is_not_measured() -> None:
    assert describe(make_miner(seconds=15)) is None
    early = describe(make_miner(seconds=60))
    assert early is not None
    assert early.to_json()["miner_score"] is None
    samples = make_miner(seconds=300)
    kubelet = [name for name in samples if name in FEATURE_METRICS and not name.startswith(("cpu_usage", "memory_w"))]
    found = describe(samples.drop(columns=kubelet))
    assert found is not None
    assert found.text == "one core steadily, 20 MB of memory, since 5 min"
    assert not found.is_miner_like


def test_a_slower_agent_sees_the_same() -> None:
    samples = make_miner(seconds=300)
    fine, coarse = describe(samples), describe(samples.iloc[::15].reset_index(drop=True))
    assert fine is not None
    assert coarse is not None
    assert coarse.miner_score == pytest.approx(fine.miner_score, abs=0.05)


def test_recorded_miners_score_above_the_hard_negatives_and_the_weights_can_be_learned_again() -> None:
    samples = read_recording([ROOT / "data/recordings/alpha-1-unknown.parquet"])
    rows = read_rows(samples)
    service = rows.containers["service"]
    found = behaviours_of(rows)
    assert None not in found
    known = [each for each in found if each is not None]
    scores = miner_scores(known)
    miner, hard = service.str.startswith("miner").to_numpy(), service.isin(HARD).to_numpy()
    assert (miner.sum(), hard.sum()) == (5, 20)
    assert np.mean(scores[miner][:, None] > scores[hard]) > 0.95
    assert (scores[hard] < 0.9).all()
    learned = miner_scores(known, learn_weights(known, service, HARD))
    assert np.mean(learned[miner][:, None] > learned[hard]) > 0.95
