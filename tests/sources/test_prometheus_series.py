"""Whose a series is, across versions of Kubernetes and ways of scraping, and what is summed."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.data.catalogue import CATALOGUE, PrometheusPlace
from podlab.sources.prometheus_client import RawSeries
from podlab.sources.prometheus_series import (
    Owned,
    choose_scrapers,
    claim_of,
    container_of,
    make_points,
    pod_of,
    uid_in,
)

UID = "577dee3a-0f95-4a6f-8c64-c72c45d5bb88"
NEW = {"namespace": "shop", "pod": "web-1", "container": "main", "id": "/kubepods/x"}


def raw_series(series: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> RawSeries:
    number = [n for n, (_, values) in enumerate(series) for _ in values]
    flat = [value for _, values in series for value in values]
    return RawSeries(
        [labels for labels, _ in series], np.array(number, np.int64),
        np.array([ms for ms, _ in flat], np.int64), np.array([v for _, v in flat], np.float64),
    )  # fmt: skip


def points_of(series: list, place: PrometheusPlace) -> list[tuple[int, int, float]]:
    points = make_points(Owned.of(raw_series(series), container_of, "local"), place, {})
    return list(zip(points.owner.tolist(), points.time_ms.tolist(), points.value.tolist(), strict=True))


@pytest.mark.parametrize(
    "labels",
    [
        NEW,
        {"namespace": "shop", "pod_name": "web-1", "container_name": "main", "id": "/kubepods/x"},
        NEW | {"pod_name": "web-1", "container_name": "main"},
        NEW | {"pod": "scraper", "namespace": "monitoring", "container": "kubelet",
               "exported_pod": "web-1", "exported_namespace": "shop", "exported_container": "main"},
    ],
    ids=["1.16 and later", "before 1.14", "1.14 and 1.15", "labels not honoured"],
)  # fmt: skip
def test_a_container_is_known_by_any_versions_labels(labels: dict[str, str]) -> None:
    assert container_of(labels, "local") == ("local", "shop", "web-1", "main", "/kubepods/x")
    assert pod_of(labels, "local") == ("local", "shop", "web-1")


@pytest.mark.parametrize(
    "labels",
    [NEW | {"container": ""}, NEW | {"container": "POD"}, {"id": "/system.slice/docker.service"}, {"id": "/"}],
    ids=["the pod's cgroup", "pause", "a system's service", "the node"],
)
def test_what_is_no_container_is_left_out(labels: dict[str, str]) -> None:
    assert container_of(labels, "local") is None


def test_a_label_names_the_cluster() -> None:
    assert container_of(NEW | {"cluster": "east"}, "local") == ("east", "shop", "web-1", "main", "/kubepods/x")
    assert claim_of({"namespace": "shop", "persistentvolumeclaim": "data"}, "local") == ("local", "shop", "data")


SCRAPE = {"job": "cadvisor", "namespace": "monitoring", "pod": "cadvisor-x", "container": "cadvisor"}
OTHER = {"job": "kubelet"}


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        (SCRAPE | {"exported_namespace": "shop", "exported_pod": "web-1", "exported_container": "main"},
         ("local", "shop", "web-1", "main", "")),
        (SCRAPE | {"exported_namespace": "shop", "exported_pod": "web-1", "id": "/kubepods/pod1"}, None),
        (SCRAPE | {"id": "/system.slice"}, None),
        (OTHER | {"namespace": "shop", "pod": "web-2", "container": "main"}, ("local", "shop", "web-2", "main", "")),
        (OTHER | {"namespace": "monitoring", "pod": "cadvisor-x", "container": "cadvisor"},
         ("local", "monitoring", "cadvisor-x", "cadvisor", "")),
    ],
    ids=["its own", "a pod's cgroup", "a system's slice", "another job", "the target, by another job"],
)  # fmt: skip
def test_the_name_of_a_scrapes_target_is_no_series_own(labels: dict[str, str], owner: tuple[str, ...] | None) -> None:
    own = SCRAPE | {"exported_pod": "a", "exported_container": "b", "exported_namespace": "c"}
    owned = Owned.of(raw_series([(own, []), (labels, [])]), container_of, "local")
    assert owned.owners == [("local", "c", "a", "b", ""), owner]


def test_a_target_without_a_container_leaves_the_containers_label() -> None:
    labels = {"job": "a", "namespace": "monitoring", "pod": "x", "exported_namespace": "shop", "exported_pod": "web-1"}
    owned = Owned.of(raw_series([(labels | {"container": "main"}, []), (labels, [])]), container_of, "local")
    assert owned.owners == [("local", "shop", "web-1", "main", ""), None]


@pytest.mark.parametrize(
    ("cgroup", "uid"),
    [
        (f"/kubepods/burstable/pod{UID}/0a1b", UID),
        (f"/kubepods/pod{UID}", UID),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/"
         "cri-containerd-0a1b.scope", UID),
        (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice", UID),
        ("/kubepods/burstable/pod0123456789abcdef0123456789abcdef/0a1b", None),
        ("/docker/0a1b", None),
    ],
    ids=["cgroupfs", "cgroupfs, the pod", "systemd", "systemd, the pod", "static pod", "docker"],
)  # fmt: skip
def test_the_uid_is_read_from_the_cgroup(cgroup: str, uid: str | None) -> None:
    assert uid_in(cgroup) == uid


def test_processors_are_summed_unless_their_total_is_there() -> None:
    place = CATALOGUE["cpu_usage_core_nanoseconds"].prometheus
    assert place is not None
    cores = [(NEW | {"cpu": f"cpu{n:02}"}, [(0, 1.0), (10, 2.0 + n)]) for n in range(3)]
    assert points_of(cores, place) == [(0, 0, 3e9), (0, 10, 9e9)]
    assert points_of([*cores, (NEW | {"cpu": "total"}, [(0, 5.0)])], place) == [(0, 0, 5e9)]


def test_the_kinds_of_page_faults_are_not_mixed() -> None:
    series = [
        (NEW | {"scope": scope, label: kind}, [(0, value)])
        for label, scope, kind, value in (
            ("failure_type", "container", "pgfault", 1.0),
            ("failure_type", "container", "pgmajfault", 2.0),
            ("failure_type", "hierarchy", "pgfault", 4.0),
        )
    ]
    minor, major = (CATALOGUE[c].prometheus for c in ("memory_page_faults", "memory_major_page_faults"))
    assert minor is not None
    assert major is not None
    assert points_of(series, minor) == [(0, 0, 1.0)]
    assert points_of(series, major) == [(0, 0, 2.0)]
    older = [(NEW | {"scope": "container", "type": "pgfault"}, [(0, 8.0)])]
    assert points_of(older, minor) == [(0, 0, 8.0)]


VALUES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99).map(float)), max_size=6)
DEVICES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["main", "side"]), VALUES), max_size=6)


@given(DEVICES)
def test_parts_are_summed_and_repeated_instants_counted_once(drawn: list) -> None:
    place = PrometheusPlace("fs", part="device", scale=2.0)
    series = [(NEW | {"device": device, "container": c}, values) for device, c, values in drawn]
    naive: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for device, container, values in drawn:
        for ms, value in values:
            naive[container, ms].setdefault(device, value)
    numbers: dict = {}
    points = make_points(Owned.of(raw_series(series), container_of, "local"), place, numbers)
    names = {number: owner[3] for owner, number in numbers.items()}
    order = list(zip(points.owner.tolist(), points.time_ms.tolist(), strict=True))
    assert order == sorted(set(order))
    got = {(names[o], ms): value for (o, ms), value in zip(order, points.value.tolist(), strict=True)}
    assert got == {key: 2.0 * sum(parts.values()) for key, parts in naive.items()}


SPANS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["main", "side"]), st.integers(0, 20), st.integers(1, 5)),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each[:2],
)


@given(SPANS)
def test_of_several_scrapers_no_two_are_taken_for_one_time(drawn: list) -> None:
    series = [
        (NEW | {"container": c, "job": job}, [(begin + n, 1.0) for n in range(length)])
        for job, c, begin, length in drawn
    ]
    owned = Owned.of(raw_series(series), container_of, "local")
    kept = choose_scrapers({"m": owned})["m"]
    taken = [drawn[n] for n, owner in enumerate(kept.owners) if owner is not None]
    total = {job: sum(length for j, _, _, length in drawn if j == job) for job, _, _, _ in drawn}
    for container in {c for _, c, _, _ in drawn}:
        spans = sorted((begin, begin + length) for _, c, begin, length in taken if c == container)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
        rivals = {job: total[job] for job, c, _, _ in drawn if c == container}
        best = min(rivals, key=lambda job: (-rivals[job], job))
        assert any(job == best and c == container for job, c, _, _ in taken)
