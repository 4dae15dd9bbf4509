"""No identity reaches the model: who a container is, where and when it runs changes neither training nor answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, IDENTITY, LABELS
from podlab.identify import Identifier, fit
from podlab.identify.storage import to_files
from tests.support.synthetic import make_samples

_LABELS = ("version", "variant", "site", "profile", "role")
#: Each name is one container's in the table, so that it can be dealt to another.
_TEXTS = ("cluster", "node", "namespace", "container", "image")


def _dressed(samples: pd.DataFrame) -> pd.DataFrame:
    """Let every text and the image's size name the service, as they would in a cluster."""
    service = samples["service"]
    named = {name: pd.array(service + f"-{name}", dtype="str") for name in _TEXTS}
    size = service.map({name: 10**8 * (n + 1) for n, name in enumerate(sorted(service.unique()))})
    return samples.assign(**named, image_size_bytes=size.astype("int64"), **_labels(service))


def _labels(service: pd.Series) -> dict[str, pd.Series]:
    """Let what is known of a deployment name the service as well."""
    return {
        "version": service + "-1",
        "variant": service,
        "site": service + "-site",
        "profile": service + "-profile",
        "role": service,
    }


def _deal(samples: pd.DataFrame) -> pd.DataFrame:
    """Deal what names a container to other containers."""
    pods = samples["pod"].unique()
    dealt = dict(zip(pods, np.random.default_rng(1).permutation(pods), strict=True))
    first = samples.drop_duplicates("pod").set_index("pod")
    other = samples["pod"].map(dealt)
    names = [*_TEXTS, "image_size_bytes", *_LABELS]
    return samples.assign(**{name: other.map(first[name]).astype(samples[name].dtype) for name in names})


def _rename(samples: pd.DataFrame) -> pd.DataFrame:
    """Give pods other names and uids."""
    number = pd.Series(pd.factorize(samples["pod"])[0], index=samples.index)
    name = ("other-" + (7 * number % 101).astype(str)).astype("str")
    return samples.assign(pod=name, pod_uid=name)


def _postpone(samples: pd.DataFrame) -> pd.DataFrame:
    """Let each container run at another time, by hours of its own."""
    later = pd.to_timedelta(pd.factorize(samples["pod"])[0] * 7919, unit="s")
    return samples.assign(time=samples["time"] + later, started_at=samples["started_at"] + later)


def _forget(samples: pd.DataFrame) -> pd.DataFrame:
    """Leave out all that may be missing; of sites only the number counts, for how sure answers may be."""
    nowhere = samples.assign(namespace=pd.array([None] * len(samples), dtype="str"), site=samples["site"].map(hash))
    return nowhere.drop(columns=["node", "image", "image_size_bytes", *(set(_LABELS) - {"site"})])


CHANGES = (_deal, _rename, _postpone, _forget)


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return _dressed(make_samples(("nginx", "redis"), deployments_per_service=3, seconds=15))


@pytest.mark.parametrize("change", CHANGES)
def test_training_is_blind_to_identity(small: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    assert to_files(fit(change(small), jobs=1)) == to_files(fit(small, jobs=1))


@pytest.mark.parametrize("change", CHANGES)
def test_answers_are_blind_to_identity(
    identifier: Identifier, others: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    dressed = _dressed(others)
    before, after = (identifier.identify(table, horizon_s=30.0) for table in (dressed, change(dressed)))
    assert len({answer.service for answer in before}) > 1
    told = [
        [
            (answer.candidates, answer.novelty, answer.similar, answer.prediction_set, answer.seconds_observed)
            for answer in own
        ]
        for own in (before, after)
    ]
    assert told[0] == told[1]


def test_every_column_that_names_somebody_is_changed_here(small: pd.DataFrame) -> None:
    """A new identity column must be thought of here as well; the service and its deployment are what is learned."""
    changed: set[str] = set()
    for change in CHANGES:
        after = change(small)
        changed |= {name for name in small if name not in after or not after[name].equals(small[name])}
    constants = {name for name, metric in CATALOGUE.items() if metric.kind == "constant"}
    learned = {"service", "deployment", "anomaly", "anomaly_kind"}
    assert changed == ({*IDENTITY, *LABELS} - learned) | constants
