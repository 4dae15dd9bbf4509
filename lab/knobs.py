"""Knobs: what a service's file lets vary, how a value is drawn, and where its text goes.

A deployment draws each knob anew. The two or three that matter most are divided into cells, whose combinations are
the service's profiles: every profile is recorded, and "leave a configuration out" means to leave one of them out.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: A placeholder in a service's file, ``@{knob}``.
PLACEHOLDER = re.compile(r"@\{([^}]*)\}")
#: Known by name: how many MB are loaded or made before the load. The load client is told it as well.
DATA_KNOB = "data_mb"
_DIGITS = 3


@dataclass(frozen=True)
class Cell:
    """A part of a knob's values.

    Attributes
    ----------
    name : str
        What the label ``profile`` calls it.
    choice : str, optional
        The one choice that it holds.
    low, high : float
        Without a choice: the numbers from ``low`` to below ``high``.
    """

    name: str
    choice: str | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Choices:
    """A knob with some choices, all equally likely.

    Attributes
    ----------
    texts : dict of str to str
        What is inserted for each choice, by its label.
    """

    texts: Mapping[str, str]

    def cells(self, cuts: Sequence[float]) -> tuple[Cell, ...]:
        """Give each choice by itself; there is nothing to cut."""
        return tuple(Cell(label, choice=label) for label in self.texts)

    def draw(self, chance: random.Random, cell: Cell | None = None) -> str:
        """Draw the label of a choice."""
        return chance.choice(list(self.texts)) if cell is None else str(cell.choice)

    def text(self, value: str) -> str:
        """Give what is inserted for a drawn value."""
        return self.texts[value]


@dataclass(frozen=True)
class Range:
    """A knob with a number between two bounds, both included; whole where both bounds are.

    Attributes
    ----------
    low, high : float
        The bounds.
    log : bool
        Whether each factor is equally likely rather than each step.
    zero_share : float
        So many of the draws are 0 instead.
    """

    low: float
    high: float
    log: bool = False
    zero_share: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return self.low % 1 == 0 and self.high % 1 == 0

    def cells(self, cuts: Sequence[float]) -> tuple[Cell, ...]:
        """Cut the range at these points; 0 is a cell of its own where it is drawn apart."""
        bounds = [self.low, *(math.ceil(cut) if self.whole else cut for cut in cuts), self.high + self.whole]
        zero = [Cell("0", choice="0")] if self.zero_share else []
        return (
            *zero,
            *(
                Cell(_span(_number(low), _number(high - self.whole)), low=low, high=high)
                for low, high in itertools.pairwise(bounds)
            ),
        )

    def draw(self, chance: random.Random, cell: Cell | None = None) -> str:
        """Draw a number, and write it."""
        is_zero = chance.random() < self.zero_share
        if cell is not None:
            is_zero = cell.choice is not None
        low, high = (cell.low, cell.high) if cell else (self.low, self.high + self.whole)
        # As many calls whatever comes out, so that what is drawn later does not depend on it.
        share = chance.random()
        if is_zero:
            return "0"
        value = math.exp(math.log(low) + share * math.log(high / low)) if self.log else low + share * (high - low)
        if self.whole:
            return str(min(max(math.floor(value), math.ceil(low)), math.ceil(high) - 1))
        rounded = float(_number(value))
        return _number(rounded) if low <= rounded <= high else repr(value)

    def text(self, value: str) -> str:
        """Give what is inserted for a drawn value: itself."""
        return value


Knob = Choices | Range
#: Knob -> the cell that its value is drawn from.
Profile = Mapping[str, Cell]


def combine_cells(knobs: Mapping[str, Knob], cuts: Mapping[str, Sequence[float]]) -> list[dict[str, Cell]]:
    """Give all profiles: every combination of the cells of the knobs that make them."""
    names = list(cuts)
    return [
        dict(zip(names, cells, strict=True))
        for cells in itertools.product(*(knobs[name].cells(cuts[name]) for name in names))
    ]


def profile_name(profile: Profile) -> str:
    """Name a profile, as the label does.

    Examples
    --------
    >>> profile_name({"threads": Cell("1..2"), "persistence": Cell("append")})
    'threads=1..2 persistence=append'
    """
    return " ".join(f"{knob}={cell.name}" for knob, cell in profile.items())


def texts(knobs: Mapping[str, Knob], values: Mapping[str, str]) -> dict[str, str]:
    """Give what is inserted for each knob's value; a choice's text may name other knobs."""
    plain = {name: knob.text(values[name]) for name, knob in knobs.items()}
    return {name: fill(text, plain) for name, text in plain.items()}


def fill(text: str, inserted: Mapping[str, str]) -> str:
    """Replace each placeholder by its text."""
    return PLACEHOLDER.sub(lambda found: inserted[found[1]], text)


def fill_words(words: Iterable[str], inserted: Mapping[str, str]) -> tuple[str, ...]:
    """Replace placeholders in a command.

    A word that is nothing but a placeholder becomes as many words as its text has for a shell, maybe none.

    Examples
    --------
    >>> fill_words(["serve", "@{log}", "--size=@{size}m"], {"log": "--log 'a b'", "size": "5"})
    ('serve', '--log', 'a b', '--size=5m')
    """
    filled: list[str] = []
    for word in words:
        alone = PLACEHOLDER.fullmatch(word)
        filled += shlex.split(inserted[alone[1]]) if alone else [fill(word, inserted)]
    return tuple(filled)


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low}..{high}"


def _number(value: float) -> str:
    """Write a number with three digits that matter, or all of its whole part."""
    if float(value).is_integer():
        return str(int(value))
    places = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}".rstrip("0").rstrip(".") if places else str(round(value))
