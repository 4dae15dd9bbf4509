"""Detectors learned from synthetic faults: they find a fault never drawn, and go to disk and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.arrays import pack, unpack
from podlab.detect import FaultDetector
from podlab.detect import storage as detectors
from podlab.detect.discriminative import FEATURES, KINDS, fault_evidence
from podlab.detect.signals import SIGNALS, ObservedSignals, observe_rows
from podlab.errors import InputError
from podlab.features.rows import read_rows
from tests.detect.conftest import SERVICES, fault_library, leak
from tests.detect.test_scoring import Donors, own_services, run


def test_every_service_shares_the_forest_and_has_its_own_usual_values() -> None:
    library = fault_library()
    found = [*library.detectors.values(), library.pooled]
    assert sorted(library.detectors) == sorted(SERVICES)
    assert all(isinstance(each, FaultDetector) and each.forest is library.pooled.forest for each in found)
    assert len({each.scaler.location.tobytes() for each in found}) == len(SERVICES) + 1
    assert [each.deployments for each in found] == [7, 7, 7, 21]


def test_a_fault_scores_above_normal_life(samples: pd.DataFrame) -> None:
    rows = read_rows(leak(samples))
    rarity = run(fault_library(), rows, own_services(rows))["rarity"]
    late, early = rows.offset_s > 70, (rows.offset_s > 10) & (rows.offset_s < 58)
    assert np.median(rarity[late]) > np.quantile(rarity[early], 0.99)


def test_a_container_of_an_unknown_service_is_scored_by_the_pooled_detector(samples: pd.DataFrame) -> None:
    rows = read_rows(leak(samples))
    rarity = run(fault_library(), rows, [()] * len(rows.containers))["rarity"]
    assert np.median(rarity[rows.offset_s > 70]) > np.quantile(rarity[(rows.offset_s > 10) & (rows.offset_s < 58)], 0.9)


def test_one_container_alone_scores_as_among_others(samples: pd.DataFrame) -> None:
    rows = read_rows(leak(samples))
    together = run(fault_library(), rows, own_services(rows))
    alone = run(fault_library(), rows, own_services(rows), only=1)
    own = rows.code == 1
    assert alone["rarity"][own] == pytest.approx(together["rarity"][own], abs=1e-9)


def test_judging_all_services_at_once_is_judging_each(samples: pd.DataFrame) -> None:
    rows, library = read_rows(leak(samples)), fault_library()
    seen, service = observe_rows(rows), rows.containers["service"].to_numpy()[rows.code]
    found = [each for each in library.detectors.values() if isinstance(each, FaultDetector)]
    number = np.array([list(library.detectors).index(name) for name in service])
    together = FaultDetector.evidence_by(found, number, seen, rows.offset_s)
    for place, detector in enumerate(found):
        own = number == place
        alone = detector.evidence(seen.take(own), rows.offset_s[own])
        assert np.array_equal(together.total[own], alone.total)
        assert np.array_equal(together.deviations[own], alone.deviations)


def test_what_is_anomalous_stays_so_until_the_score_is_clearly_below_the_threshold(samples: pd.DataFrame) -> None:
    rows = read_rows(leak(samples))
    told = run(fault_library(), rows, own_services(rows))
    above = told["rarity"] > 1
    assert (told["anomaly"][above] == 1).all()
    again = (np.diff(rows.code) == 0) & (told["anomaly"][:-1] == 1) & (told["rarity"][1:] > 0.8)
    assert (told["anomaly"][1:][again] == 1).all()
    first = (np.diff(rows.code) == 0) & (told["anomaly"][:-1] == 0)
    assert (told["anomaly"][1:][first] == above[1:][first]).all()


def test_metrics_that_are_missing_say_nothing(samples: pd.DataFrame) -> None:
    few = samples[[name for name in samples if not name.startswith(("io_", "rx_", "tx_"))]]
    rows = read_rows(few)
    assert np.isfinite(run(fault_library(), rows, own_services(rows))["rarity"]).all()


def test_a_loaded_library_scores_as_the_saved_one(samples: pd.DataFrame) -> None:
    files = detectors.to_files(fault_library())
    loaded = detectors.from_files(files, services=SERVICES, where="model")
    assert detectors.to_files(loaded) == files
    rows = read_rows(leak(samples))
    unknown: list[Donors] = [()] * len(rows.containers)
    for donors in (own_services(rows), unknown):
        saved, read = (run(each, rows, donors) for each in (fault_library(), loaded))
        assert np.array_equal(saved["rarity"], read["rarity"])


@pytest.mark.parametrize(
    ("name", "value"), [("forest.feature", FEATURES), ("forest.right", 0), ("stray", 0.0), ("share", 2.0)]
)
def test_crafted_arrays_are_refused(name: str, value: float) -> None:
    files = detectors.to_files(fault_library())
    arrays = detectors.unpack(files["detectors.npz"], where="model")
    wrong = files | {"detectors.npz": detectors.pack(arrays | {name: np.full_like(arrays[name], value)})}
    with pytest.raises(InputError, match=r"model/detectors\.npz: "):
        detectors.from_files(wrong, services=SERVICES, where="model")


def test_a_library_stored_before_kinds_raised_alarms_loads_and_scores_by_how_unusual_rows_are(
    samples: pd.DataFrame,
) -> None:
    files = detectors.to_files(fault_library())
    arrays = unpack(files["detectors.npz"], where="m")
    files["detectors.npz"] = pack({name: array for name, array in arrays.items() if not name.startswith("odds_")})
    read = detectors.from_files(files, services=SERVICES, where="m")
    rows = read_rows(leak(samples))
    rarity = run(read, rows, own_services(rows))["rarity"]
    assert np.median(rarity[rows.offset_s > 70]) > np.quantile(
        rarity[(rows.offset_s > 10) & (rows.offset_s < 58)], 0.99
    )


def test_what_is_unusual_but_like_no_fault_ranks_below_what_is_like_one() -> None:
    usual_odds = np.stack([np.full(len(KINDS) - 1, -2.0), np.ones(len(KINDS) - 1)])
    seen = ObservedSignals(*(np.zeros((2, len(SIGNALS))) for _ in range(4)))
    shares = np.full((2, len(KINDS)), -2.5)
    shares[:, 0] = -1.0  # neither looks normal
    shares[1, [3, 5, 7]] = -0.5  # but one like three kinds of fault
    odd, fault = fault_evidence(shares, seen, usual_odds)
    assert odd[0] == fault[0]
    assert odd[1] < fault[1]
    detector = fault_library().pooled
    rarity, _ = detector.judge(np.stack([odd, fault]))
    assert rarity[1] > rarity[0] + 1
