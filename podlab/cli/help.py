"""How help looks: commands and options in colour on a terminal, and examples that can be copied."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

#: Words for the kinds of values that typer names by their Python types.
_KINDS: Final = {"int": "N", "int range": "N", "float": "NUMBER", "float range": "NUMBER", "str": "TEXT"}
_EXAMPLE: Final = "Example: "
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Formatter: Any = typer.Context.formatter_class


class _HelpFormatter(_Formatter):  # type: ignore[misc]
    """The usual layout; typer drops the colours where the output is no terminal."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line of usage, with needed arguments bare as in manual pages."""
        super().write_usage(prog, re.sub(r"\{(\S+)\}", r"\1", args).replace("......", "..."), prefix)

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        super().write_heading(_style(heading, bold=True))

    def write_text(self, text: str) -> None:
        """Write paragraphs; examples come last, each on one line, so that they can be copied."""
        super().write_text("\n\n".join(each for each in text.split("\n\n") if not each.startswith(_EXAMPLE)))
        if examples := examples_of(text):
            self.dedent()
            with self.section("Example" if len(examples) == 1 else "Examples"):
                self.write("".join(f"{'':{self.current_indent}}{each}\n" for each in examples))
            self.indent()

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of commands, arguments or options."""
        shown = [(_style(_name_kind(name), fg="cyan"), text) for name, text in rows]
        super().write_dl(shown, col_max, col_spacing)


def _name_kind(name: str) -> str:
    """Write ``--folds N`` for ``--folds <int range>``, and nothing for an argument's type."""
    head, _, kind = name.partition(" <")
    kind = kind.removesuffix("...").removesuffix(">")
    if not kind or not head.startswith("-"):
        return head
    return f"{head} {_KINDS.get(kind, kind)}"


def _style(text: str, **how: Any) -> str:
    """Colour text, unless the user wants none (https://no-color.org)."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, **how)


class _Context(typer.Context):
    formatter_class = _HelpFormatter


class _Command(TyperCommand):
    context_class = _Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; for completion only which options they are, as typer loads pydantic to convert values."""
        if not ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        parser = self.make_parser(ctx)
        given, ctx.args, _ = parser.parse_args(args=args)
        ctx._opt_prefixes |= parser._opt_prefixes
        ctx.params |= {each.name: given.get(each.name) for each in self.params}
        return list(ctx.args)


class _Group(TyperGroup):
    context_class = _Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; where a command comes first there are no options to convert, see above."""
        if not args or args[0].startswith("-"):
            return super().parse_args(ctx, args)
        ctx._protected_args, ctx.args = args[:1], args[1:]
        return list(ctx.args)


class App(typer.Typer):
    """A group of commands; alone it shows which there are."""

    def __init__(self, **given: Any) -> None:
        super().__init__(cls=_Group, no_args_is_help=True, rich_markup_mode=None, **given)

    def command(self, name: str | None = None, **given: Any) -> Callable[[_Function], _Function]:
        """Register a command, as :meth:`typer.Typer.command` does."""
        return super().command(name, cls=_Command, **given)


def examples_of(help_text: str) -> list[str]:
    """List the examples in the help text of a command."""
    return [" ".join(each.split())[len(_EXAMPLE) :] for each in help_text.split("\n\n") if each.startswith(_EXAMPLE)]
