"""The parameters of a notebook: which ones it has, of which type, and values given for them as text.

A notebook declares them in its cell tagged ``parameters``, as plain assignments of literals, with type hints where
the default does not show the type. papermill accepts an unknown name and reads ``007`` as 7, and its
``inspect_notebook`` leaves out ``ratio: float | None = None``; here every parameter is known, an unknown name and a
value of the wrong type are refused, and text stays as it was typed.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nbformat import NotebookNode

from podlab.errors import InputError

Value = str | int | float | bool | list[str] | None

_TAG: Final = "parameters"
_SECRET_NAME: Final = re.compile(r"password|passwd|token|secret|credential", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"\w://[^/\s]*:[^/\s]*@")
_INTEGER: Final = re.compile(r"[+-]?\d+")
#: What values may be: the type hint that asks for it, the type of a default that does, and how to write such a value.
_KINDS: Final[dict[str, tuple[str, type, str]]] = {
    "text": ("str", str, "write any text"),
    "whole number": ("int", int, "write digits only, such as 10"),
    "number": ("float", float, "write it such as 0.5"),
    "true or false": ("bool", bool, "write true or false"),
    "list": ("list[str]", list, "write names with commas between them"),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook."""

    name: str
    #: What its values are; the items of a list are texts.
    kind: str
    optional: bool  # whether it may be ``None``, written as the empty text
    default: Value

    def parse(self, value: object) -> Value:
        """Bring a value to the parameter's type.

        Raises ValueError if it is of another type; the message says what it is. The value is a text as typed on a
        command line, or already a value of the type.
        """
        if self.optional and (value is None or value == ""):
            return None
        parsed = _read(value, self.kind)
        if parsed is None:
            raise ValueError(f"{value!r} is not a {self.kind}" if self.kind != "true or false" else f"{value!r}")
        return parsed


def read_parameters(notebook: NotebookNode, *, where: str) -> dict[str, Parameter]:
    """Read which parameters a notebook has.

    Raises InputError if there is not exactly one cell tagged ``parameters``, or it holds anything but assignments of
    literals.

    Parameters
    ----------
    notebook : NotebookNode
        In nbformat 4.
    where : str
        The notebook's path, for errors.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.
    """
    cells = [cell for cell in notebook.cells if _TAG in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        count = "no cell" if not cells else f"{len(cells)} cells"
        raise InputError(f"{count} tagged {_TAG!r}", where=where, hint="tag the one cell that holds the parameters")
    try:
        statements = ast.parse(cells[0].source).body
    except SyntaxError as error:
        raise InputError(f"its parameters cell is not Python: line {error.lineno}", where=where) from None
    except (ValueError, RecursionError, MemoryError):  # a character 0; nested without end
        raise InputError("its parameters cell is not Python", where=where) from None
    found = [_read_statement(statement, where) for statement in statements if not _is_text(statement)]
    return {parameter.name: parameter for parameter in found}


def parse_parameters(known: Mapping[str, Parameter], given: Mapping[str, object], *, where: str) -> dict[str, Value]:
    """Check the given values against the parameters of a notebook.

    Raises InputError if a name is unknown or could hold a secret, or a value is of another type.

    Parameters
    ----------
    known : mapping of str to Parameter
        From :func:`read_parameters`.
    given : mapping of str to object
        Values by name; texts are read as the parameter's type.
    where : str
        The notebook's path, for errors.

    Returns
    -------
    dict
        The values in their types, in the order given.
    """
    values: dict[str, Value] = {}
    for name, value in given.items():
        if _SECRET_NAME.search(name) or (isinstance(value, str) and _SECRET_VALUE.search(value)):
            # What is a parameter stands in the executed notebook for everyone to read.
            hint = "set it in the environment, such as PODLAB_INFLUXDB_PASSWORD"
            what = f"parameter {name!r} holds a secret, and parameters are written down"
            raise InputError(what, where=where, hint=hint)
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InputError(f"unknown parameter {name!r}", where=where, hint=f"it has {listed}")
        parameter = known[name]
        try:
            values[name] = parameter.parse(value)
        except (ValueError, OverflowError) as error:
            what = f"parameter {name!r}: {error}"
            raise InputError(what, where=where, hint=_KINDS[parameter.kind][2]) from None
    return values


def _read_statement(statement: ast.stmt, where: str) -> Parameter:
    target, hint = None, ""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value, hint = statement.target, statement.value, ast.unparse(statement.annotation)
    if not isinstance(target, ast.Name):
        what = f"line {statement.lineno} of its parameters cell is not a plain assignment"
        raise InputError(what, where=where, hint="write `name = literal`, one a line")
    try:
        default = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise InputError(f"parameter {target.id!r}: its default is not a literal", where=where) from None
    base = hint.replace(" ", "").removesuffix("|None").removeprefix("None|")
    kinds = [kind for kind, (name, of, _) in _KINDS.items() if (name == base if base else of is type(default))]
    if not kinds:
        known = ", ".join(name for name, *_ in _KINDS.values())
        raise InputError(f"parameter {target.id!r} has no known type", where=where, hint=f"use one of {known}")
    return Parameter(target.id, kinds[0], optional="None" in hint, default=default)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _read(value: object, kind: str) -> Value:
    """Take a value, as it was typed or of its type, as a kind; ``None`` if it is no such thing."""
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "list":
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, Sequence) or not all(isinstance(part, str) for part in parts):
            return None
        return [part.strip() for part in parts if part.strip()]
    text = str(value).strip()
    if kind == "true or false":
        return {"true": True, "false": False}.get(text.lower())
    if kind == "whole number":
        return int(text) if _INTEGER.fullmatch(text) else None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
