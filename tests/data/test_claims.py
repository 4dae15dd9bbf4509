"""What containers claim to be is read from table, label, image and name, with aliases that users extend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.data.labels import ALIASES, claim_aliases, claims_of
from podlab.errors import InputError

NAME = "app.kubernetes.io/name"
SERVICES = ("redis", "mysql", "nginx")


def claim(**row: Any) -> tuple[str | None, str | None]:
    found = claims_of(pd.DataFrame([{"pod": "x", "container": "main", **row}]), SERVICES).iloc[0]
    return tuple(None if pd.isna(each) else each for each in (found["claim"], found["claimed_by"]))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"image": "docker.io/valkey/valkey:8"}, ("redis", "image")),
        ({"image": "mariadb:11"}, ("mysql", "image")),
        ({"image": "team/shop:1"}, ("shop", "image")),
        ({"image": "team/shop:1", "pod_labels": {NAME: "redis"}}, ("redis", "kubernetes label")),
        ({"image": "redis:7", "pod_labels": {NAME: "shop-cache"}}, ("redis", "image")),
        ({"pod": "redis-exporter-0", "image": "oliver006/redis_exporter"}, ("redis_exporter", "image")),
        ({"pod": "redis-0"}, ("redis", "pod name")),
        ({"pod": "redis-0", "image": "sha256:7614ae9453d1d87e"}, ("redis", "pod name")),
        ({"pod": "redis-0", "image": "blake2" + "_" * 100_000 + "!"}, ("blake2" + "_" * 100_000 + "!", "image")),
        ({"pod": "redis-mysql-0"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_the_first_rule_that_names_a_known_service_decides(
    row: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    assert claim(**row) == expected


def test_a_users_aliases_go_before_those_of_podlab(tmp_path: Path) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text('[behaves_as]\nKeyDB = "nginx"\nteam-cache = "redis"\n')
    assert claim_aliases()["keydb"] == "redis"
    assert claim_aliases(path)["keydb"] == "nginx"
    assert claim_aliases(path)["team-cache"] == "redis"
    assert claim_aliases(path)["mariadb"] == "mysql"
    # What only behaves alike is no label to train on.
    assert "valkey" not in ALIASES
    assert ALIASES["mariadb"] == "mysql"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[same", "not valid TOML"),
        ('[other]\na = "b"\n', r"'other' is not a table of aliases; write the tables \[same\] and \[behaves_as\]"),
        ("[same]\na = 1\n", "same.a: the service is not a text"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_no_table_of_aliases_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "aliases.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"aliases.toml: {words}"):
        claim_aliases(path)
