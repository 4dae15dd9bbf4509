"""HTML pages that open anywhere: everything in them, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

from podlab.files import atomic_file
from podlab.notebook.tables import format_number

TEMPLATES: Final = Path(__file__).parent / "templates"


def write_notebook_page(
    notebook: NotebookNode, target: Path, *, failed_cell: int | None = None, error: str | None = None
) -> None:
    """Write a notebook as a page.

    Parameters
    ----------
    notebook : NotebookNode
        Executed, or as far as it came.
    target : Path
        The page.
    failed_cell : int, optional
        Which code cell failed, counted from 1.
    error : str, optional
        Why; the page then says so at its top.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="base",
        template_file=str(TEMPLATES / "notebook.html"),
        embed_images=True,
        exclude_anchor_links=True,
    )
    facts = {"title": _title(notebook, target.stem), "style": page_style(), "failed_cell": failed_cell, "error": error}
    text, _ = exporter.from_notebook_node(notebook, {"podlab": facts})
    with atomic_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    return environment


def render(template: str, macro: str, *values: object) -> str:
    """Render one macro of a template, everything in ``values`` escaped."""
    return str(getattr(_environment().get_template(template).module, macro)(*values))


def render_page(template: str, **values: object) -> str:
    """Render a template as a whole page, everything in ``values`` escaped."""
    return _environment().get_template(template).render(style=Markup(page_style()), **values)  # noqa: S704


@cache
def page_style() -> str:
    """Return the style sheet of all pages, with the colours of code in light and dark."""
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    base = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{base}"


def _title(notebook: NotebookNode, otherwise: str) -> str:
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found[1].strip()
    return otherwise
