"""Writing what is asked of Prometheus: selectors, whose values are always quoted here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

#: What has a meaning in RE2, Prometheus' regular expressions. Nothing else is escaped, so that the server still
#: knows a list of plain names when it sees one, and looks each up in its index.
_MEANING: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
#: Since Prometheus 3 a name may hold dots, where it is quoted.
_DOTTED_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.]*")


def quote_value(text: str) -> str:
    r"""Write any text as a string of PromQL: no text can end it.

    Examples
    --------
    >>> print(quote_value('a"b\\c'))
    "a\"b\\c"
    """
    # A newline ends a string, and the replacement character passes for broken UTF-8.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\ufffd", "\\ufffd")
    return f'"{escaped}"'


def any_of(texts: Collection[str]) -> str:
    r"""Write a regular expression that matches these texts and no other, in a fixed order.

    Examples
    --------
    >>> print(any_of(["web-1", "a.b"]))
    a\.b|web-1
    """
    return "|".join(_MEANING.sub(lambda found: "\\" + found[0], text) for text in sorted(texts))


def selector(
    name: str | Collection[str],
    *,
    equal: Mapping[str, str] | None = None,
    unequal: Mapping[str, Collection[str]] | None = None,
    among: Mapping[str, Collection[str]] | None = None,
) -> str:
    """Write a selector of series.

    Parameters
    ----------
    name : str or collection of str
        The metric's name, or several.
    equal : mapping of str to str, optional
        Labels that must have this value; one that is not there has the value ``""``.
    unequal : mapping of str to collection of str, optional
        Labels that must have none of these values.
    among : mapping of str to collection of str, optional
        Labels that must have one of these values.

    Raises
    ------
    ValueError
        If a label's name is none.

    Examples
    --------
    >>> selector("up", equal={"job": "a"}, unequal={"pod": [""]})
    '{__name__="up",job="a",pod!=""}'
    >>> selector("up", among={"k8s.pod.name": ["a", "b"]})
    '{__name__="up","k8s.pod.name"=~"a|b"}'
    """
    matchers = [("__name__", "=", name)] if isinstance(name, str) else [("__name__", "=~", any_of(name))]
    matchers += [(label, "=", value) for label, value in (equal or {}).items()]
    matchers += [(label, "!=", value) for label, values in (unequal or {}).items() for value in values]
    matchers += [(label, "=~", any_of(values)) for label, values in (among or {}).items()]
    return "{" + ",".join(f"{_write_name(label)}{how}{quote_value(value)}" for label, how, value in matchers) + "}"


def _write_name(label: str) -> str:
    if _LABEL_NAME.fullmatch(label):
        return label
    if _DOTTED_NAME.fullmatch(label):
        return f'"{label}"'
    raise ValueError(f"{label!r} is not a label's name")
