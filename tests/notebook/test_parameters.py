"""Parameters are checked before anything runs, and text stays as it was typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.notebook.parameters import Parameter, parse_parameters, read_parameters
from podlab.notebook.run import read_notebook

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def known() -> dict[str, Parameter]:
    return read_parameters(read_notebook(FIXTURES / "good.ipynb"), where="good.ipynb")


def test_types_come_from_defaults_and_hints(known: dict[str, Parameter]) -> None:
    assert {name: (parameter.kind, parameter.optional) for name, parameter in known.items()} == {
        "name": ("text", False),
        "count": ("whole number", False),
        "share": ("number", False),
        "loud": ("true or false", False),
        "services": ("list", False),
        "ratio": ("number", True),
    }
    assert known["count"].default == 3
    assert known["services"].default == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "007", "007"),
        ("name", "true", "true"),
        ("name", "", ""),
        ("name", "a\\n'\"{x}é", "a\\n'\"{x}é"),
        ("count", "007", 7),
        ("count", " -5 ", -5),
        ("share", "2", 2.0),
        ("share", "1e-3", 0.001),
        ("loud", "True", True),
        ("loud", "false", False),
        ("services", "nginx, mysql,", ["nginx", "mysql"]),
        ("services", "", []),
        ("ratio", "", None),
        ("ratio", "0.7", 0.7),
    ],
)
def test_text_becomes_the_parameters_type(known: dict[str, Parameter], name: str, text: str, value: object) -> None:
    parsed = parse_parameters(known, {name: text}, where="good.ipynb")[name]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "1.5"),
        ("count", "ten"),
        ("count", ""),
        ("count", "1_000"),
        ("share", "half"),
        ("share", "nan"),
        ("share", "inf"),
        ("loud", "yes"),
        ("loud", "1"),
        ("ratio", "much"),
    ],
)
def test_other_types_are_refused(known: dict[str, Parameter], name: str, text: str) -> None:
    with pytest.raises(InputError, match=rf"^good.ipynb: parameter '{name}': .*{text}.*; write"):
        parse_parameters(known, {name: text}, where="good.ipynb")


@pytest.mark.parametrize(
    ("name", "value"), [("count", True), ("count", 1.5), ("loud", 1), ("services", [1]), ("name", 7)]
)
def test_values_of_other_types_are_refused(known: dict[str, Parameter], name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"parameter '{name}'"):
        parse_parameters(known, {name: value}, where="good.ipynb")


def test_values_of_the_right_type_are_taken(known: dict[str, Parameter]) -> None:
    values = {"count": 5, "share": 1, "loud": True, "services": ("a", "b"), "ratio": None}
    assert parse_parameters(known, values, where="x") == {**values, "services": ["a", "b"]}


def test_unknown_names_are_refused_with_the_known_ones(known: dict[str, Parameter]) -> None:
    with pytest.raises(InputError, match=r"unknown parameter 'nmae'; it has name, count, share, loud, services, ratio"):
        parse_parameters(known, {"nmae": "x"}, where="good.ipynb")


@pytest.mark.parametrize(
    ("name", "value"),
    [("influxdb_password", "x"), ("API_TOKEN", "x"), ("name", "http://user:pass@host/")],
)
def test_secrets_are_refused_without_showing_them(known: dict[str, Parameter], name: str, value: str) -> None:
    with pytest.raises(InputError, match="holds a secret") as refused:
        parse_parameters(known, {name: value}, where="good.ipynb")
    assert "pass@" not in str(refused.value)


@given(st.text())
def test_any_text_stays_as_it_is(text: str) -> None:
    assert Parameter("name", "text", False, "").parse(text) == text


@pytest.mark.parametrize(
    ("fixture", "message"),
    [
        ("no_parameters", "no cell tagged 'parameters'"),
        ("two_parameters", "2 cells tagged 'parameters'"),
        ("computed_parameters", "parameter 'count': its default is not a literal"),
    ],
)
def test_bad_parameter_cells_are_refused(fixture: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_parameters(read_notebook(FIXTURES / f"{fixture}.ipynb"), where=fixture)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("%matplotlib inline", "is not Python"),
        ("for x in (1, 2): pass", "line 1 of its parameters cell is not a plain assignment"),
        ("a = b = 1", "not a plain assignment"),
        ("a.b = 1", "not a plain assignment"),
        ("a: int", "not a plain assignment"),
        ("a = None", "parameter 'a' has no known type"),
        ("a: dict = {}", "parameter 'a' has no known type"),
    ],
)
def test_only_plain_assignments_are_parameters(source: str, message: str) -> None:
    notebook = read_notebook(FIXTURES / "good.ipynb")
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = source
    with pytest.raises(InputError, match=message):
        read_parameters(notebook, where="x.ipynb")
