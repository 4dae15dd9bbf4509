"""Services are told by table, Kubernetes label, image and pod name, and never guessed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.labels import ALIASES, LabelReport, LabelRules, apply_labels, label_containers
from podlab.data.samples import check_samples
from podlab.errors import InputError

NAME = "app.kubernetes.io/name"
SERVICES = ("mysql", "nginx", "apache", "postgres")


def containers(*rows: dict[str, Any]) -> pd.DataFrame:
    default = {
        "cluster": "local",
        "namespace": "shop",
        "pod": "x",
        "container": "main",
        "image": None,
        "pod_labels": {},
    }
    return pd.DataFrame([default | row for row in rows])


def label(row: dict[str, Any], rules: LabelRules) -> tuple[Any, Any]:
    report = label_containers(containers(row), rules)
    service, how = report.service.iloc[0], report.how.iloc[0]
    return (None, None) if pd.isna(service) else (service, how)


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"pod": "shop-mysql-0"}, ("mysql", "pod name")),
        ({"pod": "SHOP-MySQL-0"}, ("mysql", "pod name")),
        ({"pod": "shop-mariadb-0"}, ("mysql", "pod name")),
        ({"pod": "pgpostgresqlpg"}, ("postgres", "pod name")),
        ({"pod": "x", "image": "docker.io/library/httpd:2.4@sha256:00"}, ("apache", "image")),
        ({"pod": "x", "image": "registry:5000/team/nginx"}, ("nginx", "image")),
        ({"pod": "x", "image": "nginx-exporter"}, (None, None)),
        ({"pod": "mysql-0", "image": "nginx"}, ("nginx", "image")),
        ({"pod": "mysql-0", "image": "nginx", "pod_labels": {NAME: "PostgreSQL"}}, ("postgres", "kubernetes label")),
        ({"pod": "mysql-0", "pod_labels": {NAME: "wordpress"}}, ("mysql", "pod name")),
        ({"pod": "mysql-0", "pod_labels": None}, ("mysql", "pod name")),
        ({"pod": "redis-0", "image": "redis"}, (None, None)),
    ],
)
def test_the_first_rule_that_knows_a_service_decides(
    row: dict[str, Any], answer: tuple[str | None, str | None]
) -> None:
    assert label(row, LabelRules(SERVICES)) == answer


def test_without_services_label_and_image_say_what_they_say_and_names_nothing() -> None:
    assert label({"pod": "mysql-0"}, LabelRules()) == (None, None)
    assert label({"image": "team/mariadb:11"}, LabelRules()) == ("mysql", "image")
    assert label({"pod_labels": {NAME: "shop-api"}}, LabelRules()) == ("shop-api", "kubernetes label")


def test_the_label_key_can_be_another() -> None:
    row = {"pod_labels": {NAME: "mysql", "app": "nginx"}}
    assert label(row, LabelRules(SERVICES, label_key="app")) == ("nginx", "kubernetes label")


def test_aliases_can_be_replaced_and_yield_to_services() -> None:
    assert label({"pod": "mariadb-0"}, LabelRules(("mysql",), aliases={})) == (None, None)
    assert label({"pod": "cache-0"}, LabelRules(("redis",), aliases={"cache": "redis"})) == ("redis", "pod name")
    assert label({"pod": "mariadb-0"}, LabelRules(("mysql", "mariadb"))) == ("mariadb", "pod name")
    assert label({"pod": "mariadb-0"}, LabelRules(("nginx",))) == (None, None)


def test_an_ambiguous_pod_name_is_reported_with_its_services() -> None:
    report = label_containers(containers({"pod": "mysql-nginx-1"}, {"pod": "mysql-1"}), LabelRules(SERVICES))
    assert report.service.isna().tolist() == [True, False]
    assert report.ambiguous[["pod", "how", "services"]].to_numpy().tolist() == [
        ["mysql-nginx-1", "pod name", "mysql, nginx"]
    ]
    assert report.unlabelled.empty


def test_a_name_within_a_longer_one_does_not_count() -> None:
    rules = LabelRules(("influx", "influxdb"))
    assert label({"pod": "influxdb-0"}, rules) == ("influxdb", "pod name")
    assert label({"pod": "influxdb-influx-0"}, rules) == (None, None)


def test_what_no_rule_knows_is_reported_with_its_image() -> None:
    report = label_containers(containers({"pod": "a", "image": "b"}, {"pod": "mysql"}), LabelRules(SERVICES))
    assert report.unlabelled[["pod", "image"]].to_numpy().tolist() == [["a", "b"]]


def test_in_a_pod_of_several_only_the_container_of_that_name_is_the_service() -> None:
    rows = containers(
        {"pod": "mysql-0", "container": "mysql"},
        {"pod": "mysql-0", "container": "metrics"},
        {"pod": "mysql-nginx-0", "container": "mariadb"},
        {"pod": "mysql-nginx-0", "container": "nginx"},
        {"pod": "db-0", "container": "main", "pod_labels": {NAME: "mysql"}, "image": "mysql:8"},
        {"pod": "db-0", "container": "metrics", "pod_labels": {NAME: "mysql"}, "image": "mysqld-exporter"},
        {"pod": "mysql-0", "container": "main", "namespace": "other"},
    )
    report = label_containers(rows, LabelRules(SERVICES))
    assert report.service.fillna("-").tolist() == ["mysql", "-", "mysql", "nginx", "mysql", "-", "mysql"]


def test_the_row_of_a_table_that_gives_most_wins() -> None:
    rows = [
        {"namespace": "shop", "service": "by namespace"},
        {"pod": "p", "container": "c", "service": "by two"},
        {"namespace": "shop", "pod": "p", "container": "c", "service": "by all"},
    ]
    rules = LabelRules(SERVICES, table=pd.DataFrame(rows))
    asked = containers(
        {"pod": "p", "container": "c"}, {"pod": "p", "container": "c", "namespace": "x"}, {"pod": "mysql-0"},
        {"pod": "mysql-0", "namespace": "x"},
    )  # fmt: skip
    report = label_containers(asked, rules)
    assert report.service.tolist() == ["by all", "by two", "by namespace", "mysql"]
    assert report.how.tolist() == ["table", "table", "table", "pod name"]


def test_rows_of_a_table_that_contradict_decide_nothing() -> None:
    table = pd.DataFrame([{"pod": "mysql-0", "service": "a"}, {"namespace": "shop", "service": "b"}])
    report = label_containers(containers({"pod": "mysql-0"}), LabelRules(SERVICES, table=table))
    assert report.ambiguous[["how", "services"]].to_numpy().tolist() == [["table", "a, b"]]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"pod": ["a"]}, "column 'service' is missing; columns are namespace, pod, container, service"),
        ({"pods": ["a"], "service": ["b"]}, "unknown column 'pods'"),
        ({"pod": ["a", "b"], "service": ["b", None]}, "row 1: the service is empty"),
        ({"pod": [""], "service": ["b"]}, "row 0: names no namespace, pod, container"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, list[Any]], words: str) -> None:
    with pytest.raises(InputError, match=f"^label table: {words}"):
        label_containers(containers({}), LabelRules(table=pd.DataFrame(table)))


POD_NAMES = st.lists(st.sampled_from([*SERVICES, *ALIASES, "x", "sql", "-"]), min_size=1, max_size=5).map("-".join)


@settings(max_examples=60)
@given(st.lists(POD_NAMES, min_size=1, max_size=6), st.permutations(SERVICES))
def test_pod_names_as_by_hand(names: list[str], services: list[str]) -> None:
    report = label_containers(containers(*({"pod": name} for name in names)), LabelRules(tuple(services)))
    spoken = {name: service for name, service in ALIASES.items() if service in services} | {s: s for s in services}
    for position, name in enumerate(names):
        found = {service for part, service in spoken.items() if part in name}
        service = report.service.iloc[position]
        assert (None if pd.isna(service) else service) == (found.pop() if len(found) == 1 else None)
    assert len(report.ambiguous) + len(report.unlabelled) + report.service.notna().sum() == len(names)


def samples_of(*rows: dict[str, Any]) -> pd.DataFrame:
    default = {"namespace": "shop", "pod": "p", "container": "main", "memory_usage_bytes": 1.0}
    table = [default | {"time": f"2026-01-05T08:00:{second:02}Z"} | row for second, row in enumerate(rows)]
    return check_samples(pd.DataFrame(table), where="test").sort_values("time", ignore_index=True)


def report_of(*rows: dict[str, Any]) -> LabelReport:
    return label_containers(containers(*({"pod": "p"} | row for row in rows)), LabelRules(SERVICES))


def applied(samples: pd.DataFrame, report: LabelReport, column: str = "service") -> list[str]:
    return apply_labels(samples, report)[column].fillna("-").tolist()


def test_labels_reach_the_samples_of_their_container() -> None:
    samples = samples_of({"pod": "mysql-0"}, {"pod": "mysql-0", "namespace": "x"}, {"pod": "y"}, {"pod": "mysql-0"})
    report = report_of({"pod": "mysql-0"}, {"pod": "y"})
    assert applied(samples, report) == ["mysql", "-", "-", "mysql"]
    assert applied(samples, report, "deployment") == ["local/shop/mysql", "-", "local/shop/y", "local/shop/mysql"]
    check_samples(apply_labels(samples, report), where="test")


def test_two_pods_of_one_name_are_told_apart_by_uid() -> None:
    report = report_of({"pod_uid": "u-1", "image": "mysql"}, {"pod_uid": "u-2", "image": "nginx"})
    samples = samples_of({"pod_uid": "u-1"}, {"pod_uid": "u-2"}, {"pod_uid": "u-3"}, {})
    assert applied(samples, report) == ["mysql", "nginx", "-", "-"]
    assert applied(samples, report, "deployment") == ["local/shop/p", "local/shop/p", "-", "local/shop/p"]


def test_names_do_where_only_one_side_knows_a_uid() -> None:
    assert applied(samples_of({}), report_of({"pod_uid": "u-1", "image": "mysql"})) == ["mysql"]
    assert applied(samples_of({"pod_uid": "u-1"}), report_of({"image": "mysql"})) == ["mysql"]


def test_labels_that_are_there_stay() -> None:
    samples = samples_of({"service": "mine", "deployment": "d-1"}, {"service": None, "deployment": None})
    report = report_of({"image": "mysql"})
    assert applied(samples, report) == ["mine", "mysql"]
    assert applied(samples, report, "deployment") == ["d-1", "local/shop/p"]


HEX = "7614ae9453d1d87e740a2056257a6de7135c84037c367e1fffa92ae922784631"


@pytest.mark.parametrize(
    "image",
    [f"sha256:{HEX}", f"SHA256:{HEX.upper()}", f"sha512:{HEX}{HEX}", f"@sha256:{HEX}", f"docker-pullable://sha256:{HEX}",
     f"docker://sha256:{HEX}", f"docker.io/library/sha256:{HEX}", HEX, HEX[:12], f"docker.io/library/{HEX}:latest",
     f"docker.io/library/{HEX[:12]}:latest", f"sha1:{HEX[:40]}", f"md5:{HEX[:32]}", f"blake3:{HEX}", f"sha256-{HEX}",
     "<none>", "<none>:<none>", "localhost/<none>:<none>", "<invalid>", "<none>@<none>", " ", "none", "unknown", "n/a"],
)  # fmt: skip
@pytest.mark.parametrize("services", [(), ("sha256", "redis")])
def test_a_text_that_names_no_image_is_none(image: str, services: tuple[str, ...]) -> None:
    containers = pd.DataFrame({"pod": ["a-0"], "container": ["main"], "image": [image]})
    report = label_containers(containers, LabelRules(services=services))
    assert report.service.isna().all()
    assert report.unlabelled["image"].tolist() == [image]


@pytest.mark.parametrize(
    ("image", "name"),
    [(f"docker.io/library/redis:7@sha256:{HEX}", "redis"), (f"redis@sha256:{HEX}", "redis"), ("redis:<none>", "redis"),
     (f"registry:5000/team/redis:{HEX[:12]}", "redis"), ("cafe", "cafe"), ("team/nonesuch:1", "nonesuch"),
     ("docker-pullable://redis", "redis")],
)  # fmt: skip
def test_other_images_keep_their_name(image: str, name: str) -> None:
    containers = pd.DataFrame({"pod": ["a-0"], "container": ["main"], "image": [image]})
    assert label_containers(containers, LabelRules()).service.tolist() == [name]
