"""Put the pages of the repository together and build the documentation site from them, without a network.

The pages stay where they are read on their own. A link to another page leads to it on the site; one to any other file
leads to a copy of that file; one to a folder is text. Pages for the command line, the Python package, the model card
and the gallery are made from what podlab says itself.

Usage: python -m tools.build_docs      (from the repository's root; mkdocs.yml names the folders)
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import podlab
from podlab.cli import app
from podlab.cli.help import examples_of

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
CARD = ROOT / "data" / "models" / "default" / "MODEL_CARD.md"
#: Modules for those who extend podlab or go deeper than its front door.
MODULES = (
    "podlab.data.recordings", "podlab.data.samples", "podlab.sources.protocol", "podlab.identify.explain",
    "podlab.detect.recording", "podlab.evaluation.scenarios", "podlab.progress", "podlab.errors",
)  # fmt: skip
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^)\s]+)\)")
_GALLERY = """# Gallery

What can be added to podlab without changing it. Each example is run by a test.
"""
_NO_MODEL = """# Model card

No model was there when this site was built. `make train` trains one; `make docs` then shows its card here, as
`podlab models show data/models/default` does.
"""


def main(target: Path = ROOT / "build") -> int:
    """Build the site into ``target``/site; the exit code is that of mkdocs, which fails where a link leads nowhere."""
    folder = target / "docs"
    shutil.rmtree(folder, ignore_errors=True)
    pages = list_pages()
    for source, place in pages.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        _write(folder / place, _translate(text, source, place, pages, folder))
    for name in sorted(path.name for path in (ROOT / "docs" / "import").iterdir() if path.suffix != ".md"):
        shutil.copy(ROOT / "docs" / "import" / name, folder / "import" / name)
    _write(folder / "gallery.md", _GALLERY + "".join(_gallery()))
    _write(
        folder / "command-line.md", "# Command line\n" + "".join(_command_line(typer.main.get_command(app), "podlab"))
    )
    _write(folder / "api.md", "# Python\n" + "".join(_api()))
    _write(folder / "model-card.md", CARD.read_text(encoding="utf-8") if CARD.is_file() else _NO_MODEL)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    config = _config(target)
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    done = subprocess.run(words, check=False, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return done.returncode


def _config(target: Path) -> Path:
    """Give mkdocs.yml, or a copy of it for another folder."""
    config = ROOT / "mkdocs.yml"
    if target == ROOT / "build":
        return config
    text = config.read_text(encoding="utf-8")
    text = text.replace("docs_dir: build/docs", f"docs_dir: {target}/docs").replace("paths: [.]", f"paths: [{ROOT}]")
    moved = target / "mkdocs.yml"
    moved.write_text(text.replace("site_dir: build/site", f"site_dir: {target}/site"), encoding="utf-8")
    return moved


def list_pages() -> dict[str, str]:
    """Name each page of the repository, and where it stands on the site."""
    found = dict(PAGES)
    for folder, place in (("docs", ""), ("data/recordings", "recordings/")):
        for path in sorted((ROOT / folder).rglob("*.md")):
            found[str(path.relative_to(ROOT))] = f"{place}{path.relative_to(ROOT / folder)}"
    return found


def _translate(text: str, source: str, place: str, pages: dict[str, str], folder: Path) -> str:
    """Rewrite the links of a page from where it stands in the repository to where it stands on the site."""

    def rewrite(match: re.Match[str]) -> str:
        image, words, link = match.groups()
        words = _LINK.sub(rewrite, words)
        path, _, anchor = link.partition("#")
        named = os.path.normpath(Path(source).parent / path)
        if named in pages:
            there = pages[named]
        elif named.startswith("examples"):
            there, anchor = "gallery.md", Path(named).name.replace(".", "") if Path(named).suffix else ""
        elif named.startswith("notebooks"):
            there, anchor = pages["docs/notebooks.md"], ""
        elif (ROOT / named).is_file():
            there = named if named.startswith("docs/import/") else f"files/{named}"
            there = there.removeprefix("docs/")
            (folder / there).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / named, folder / there)
        else:
            return f"{words} (`{named}`)"
        relative = os.path.relpath(there, Path(place).parent)
        return f"{image}[{words}]({relative}{'#' * bool(anchor)}{anchor})"

    # What stands in a code block is no link.
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _LINK.sub(rewrite, part) for part in parts)


def _gallery() -> Iterator[str]:
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix == ".py":
            text = path.read_text(encoding="utf-8")
            about = ast.get_docstring(ast.parse(text)) or ""
            yield f"\n## {path.name}\n\n{about.partition(chr(10) * 2)[0]}\n\n"
            yield f"```python\n{text.strip()}\n```\n"
        elif path.suffix == ".ipynb":
            yield f"\n## {path.name}\n\n"
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                own = "".join(cell["source"]).strip()
                # The page has its headings from files.
                yield (
                    re.sub(r"^#+ (.+)$", r"**\1**", own, flags=re.MULTILINE) + "\n\n"
                    if (cell["cell_type"] == "markdown")
                    else f"```python\n{own}\n```\n\n"
                )


def _command_line(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from _command_line(inner, f"{name} {word}")
        return
    about = "\n\n".join(each for each in (command.help or "").split("\n\n") if not each.startswith("Example: "))
    examples = "\n".join(examples_of(command.help or ""))
    yield f"\n## {name}\n\n{_plain(about)}\n\n```console\n{examples}\n```\n\n"
    yield "| option | meaning |\n|---|---|\n"
    for given in command.params:
        if given.name != "help" and not given.hidden:
            shown = ", ".join(given.opts) if given.param_type_name == "option" else given.metavar
            value = f" {given.metavar}" if given.param_type_name == "option" and given.metavar else ""
            yield f"| <code>{_plain(shown + value)}</code> | {_plain(given.help or '')} |\n"


def _plain(text: str) -> str:
    """Keep what is no markup from being read as such."""
    return re.sub(r"([*_\[])", r"\\\1", text).replace("<", "&lt;").replace("|", "&#124;")


def _api() -> Iterator[str]:
    yield "\n`import podlab` gives these names; each is loaded when it is first used.\n"
    for name, place in podlab._PLACES.items():
        module, _, attribute = place.partition(":")
        yield f"\n## podlab.{name}\n\n::: {module}.{attribute or name}\n"
    for module in MODULES:
        yield f"\n## {module}\n\n::: {module}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
