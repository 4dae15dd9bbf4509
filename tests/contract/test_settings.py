"""Settings: names, types, defaults, and the environment variables they come from."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from pathlib import Path

import pytest

from tests.contract.golden import check
from tests.contract.support import SETTINGS, main


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def test_every_setting_has_the_type_and_default_it_had() -> None:
    schema = SETTINGS.model_json_schema()["properties"]
    kept = ("type", "anyOf", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "$ref")
    found = {
        name: {
            "default": _plain(field.default),
            "environment": f"{SETTINGS.model_config['env_prefix']}{name}".upper(),
            "schema": {word: schema[name][word] for word in kept if word in schema[name]},
        }
        for name, field in SETTINGS.model_fields.items()
    }
    check("settings", found)


@pytest.mark.usefixtures("no_folder")
def test_an_unknown_variable_is_refused_with_all_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODLAB_NO_SUCH_SETTING", "1")
    assert main(["doctor"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("podlab: PODLAB_NO_SUCH_SETTING: unknown setting")
    named = re.split(r"settings are ", message)[1].strip()
    assert named.split(", ") == list(SETTINGS.model_fields)


@pytest.mark.usefixtures("no_folder")
@pytest.mark.parametrize(("name", "value"), [("seed", "-1"), ("fetch_window", "soon"), ("metrics_source", "nowhere")])
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"PODLAB_{name.upper()}", value)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err.startswith(f"podlab: PODLAB_{name.upper()}: ")
