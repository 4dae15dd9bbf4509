"""HTML pages that open anywhere: everything in them, nothing loaded from elsewhere, and no script but podlab's own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

from podlab.data.units import format_number
from podlab.files import atomic_file

TEMPLATES: Final = Path(__file__).parent / "templates"
#: Where the executed notebook's metadata tell which cell failed, and why.
FAILURE: Final = "podlab"
_HEADING: Final = re.compile(r'<h2 id="([^"]*)">(.*?)<a class="anchor-link"', re.DOTALL)


def write_notebook_page(
    notebook: NotebookNode, target: Path, around: Mapping[str, Mapping[str, str] | None] | None = None
) -> None:
    """Write a notebook as a page: its text and results, with the code folded and a list of its sections.

    Raises InputError if the file cannot be written.

    Parameters
    ----------
    notebook : NotebookNode
        Executed, or as far as it came; its metadata then tell the cell that failed and why.
    target : Path
        The page.
    around : mapping, optional
        ``previous``, ``report`` and ``next``: ``href`` and ``title`` of the pages to link to, or None.
    """
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="base",
        template_file=str(TEMPLATES / "notebook.html"),
        embed_images=True,
    )
    exporter.register_filter("demote", _demote)  # type: ignore[no-untyped-call]
    exporter.register_filter("svg_url", _svg_url)  # type: ignore[no-untyped-call]
    cells, _ = exporter.from_notebook_node(notebook)
    headings = [(anchor, Markup(words).striptags()) for anchor, words in _HEADING.findall(cells)]  # noqa: S704
    failure = {"failed_cell": None, "error": None} | notebook.metadata.get(FAILURE, {})
    text = render_page(
        "notebook_page.html",
        title=notebook_title(notebook) or target.stem,
        content=Markup(cells),  # noqa: S704
        headings=[(Markup(anchor), words) for anchor, words in headings],  # noqa: S704
        around=around,
        **failure,
    )
    with atomic_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def notebook_title(notebook: NotebookNode) -> str:
    """Return the first heading of a notebook; nothing where it has none."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return next((found[1].strip() for text in texts if (found := re.search(r"^# +(.+)$", text, re.MULTILINE))), "")


def _demote(html: str) -> str:
    """Let the headings of a text in the outputs be below those of the notebook."""
    return re.sub(r"(</?h)([1-4])\b", lambda found: f"{found[1]}{int(found[2]) + 2}", html)


def _svg_url(svg: str) -> str:
    """Write a drawing as a URL, which is a quarter shorter than in base64."""
    return "data:image/svg+xml," + quote(re.sub(r"\s+", " ", svg), safe=" !$'()*+,/:;=?@")


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
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = {"style": Markup(_page_style()), "script": Markup(script), "script_digest": f"sha256-{digest}"}  # noqa: S704
    return _environment().get_template(template).render(**page, **values)


@cache
def _page_style() -> str:
    """Return the style sheet of all pages, with the colours of code in light and dark."""
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    base = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{base}"
