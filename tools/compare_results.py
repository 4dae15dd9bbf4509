"""Compare the results of two runs of the notebooks, and print each number that moved.

``python -m tools.compare_results OLD NEW``: each a folder of reports (``reports/results/*.json``), that folder of
results, or one JSON file that ``--write FILE`` made of such a folder (``tests/contract/quick-results.json`` is one of
``make quick``). Times, versions, machines and durations are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: What another run on the same samples may change, by a key or a column: times, digests, how fast it was.
_CHANGING = re.compile(
    r"(started|finished)_at|created|digest|sha256|model|took|.*_cpu_m?s|.*\b(duration|rows/s|per second|CPU|MB)\b.*"
)
#: Notebooks that measure nothing but speed.
_SPEED_ONLY = ("10_scale",)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def main(words: Sequence[str] | None = None) -> int:
    """Print what moved; 1 where something did, 2 where there is nothing to compare."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_results", description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?")
    parser.add_argument("--tolerance", type=float, default=1e-6, help="numbers may differ by so much [default: 1e-6]")
    parser.add_argument("--write", type=Path, metavar="FILE", help="only write what is compared of OLD into one file")
    options = parser.parse_args(words)
    try:
        old = read(options.old)
        if options.write:
            options.write.write_text(json.dumps(old, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            return 0
        if options.new is None:
            parser.error("name two folders of results")
        moved = list(compare(old, read(options.new), options.tolerance))
    except (OSError, ValueError) as error:
        print(f"{error}; run make quick first", file=sys.stderr)
        return 2
    print("\n".join([*moved, f"{len(moved)} differences"]))
    return 1 if moved else 0


def read(path: Path) -> dict[str, Any]:
    """Read the facts and tables of all notebooks, by notebook; rows of tables by column.

    Raises
    ------
    ValueError
        If there are no results, or a notebook did not come to its end.
    """
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    files = sorted(path.glob("results/*.json")) or sorted(path.glob("*.json"))
    if not files:
        raise ValueError(f"{path}: no results")
    notebooks = {}
    for file in files:
        if file.stem in _SPEED_ONLY:
            continue
        results = json.loads(file.read_text(encoding="utf-8"))
        if not results["complete"]:
            raise ValueError(f"{file}: did not come to its end")
        tables = {
            name: {"columns": table["columns"], "rows": table["rows"]} for name, table in results["tables"].items()
        }
        notebooks[file.stem] = {"facts": results["facts"], "tables": tables}
    return notebooks


def compare(old: Any, new: Any, tolerance: float, where: str = "") -> Iterator[str]:
    """Give a line for each place where two results differ by more than the tolerance."""
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() == new.keys() == {"columns", "rows"}:
            old, new = _by_column(old), _by_column(new)
        for key in dict.fromkeys([*old, *new]):
            if _CHANGING.fullmatch(key):
                continue
            if key not in new or key not in old:
                yield f"{where}/{key}: {'is gone' if key in old else 'is new'}"
            else:
                yield from compare(old[key], new[key], tolerance, f"{where}/{key}")
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(old)} elements, now {len(new)}"
        for number, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from compare(one, other, tolerance, f"{where}/{number}")
    elif not _same(old, new, tolerance):
        by = f" ({new - old:+.6g})" if _is_number(old) and _is_number(new) else ""
        yield f"{where}: {old!r} -> {new!r}{by}"


def _by_column(table: dict[str, Any]) -> dict[str, list[Any]]:
    """Turn rows into columns, so that one more column moves no other."""
    return {name: [row[place] for row in table["rows"]] for place, name in enumerate(table["columns"])}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(old: object, new: object, tolerance: float) -> bool:
    if _is_number(old) and _is_number(new):
        return math.isclose(float(str(old)), float(str(new)), rel_tol=0, abs_tol=tolerance)
    if isinstance(old, str) and isinstance(new, str):
        # "0.81 to 0.93" is two numbers in a text that must be the same otherwise.
        if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
            return False
        pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
        return all(_same(float(one), float(other), tolerance) for one, other in pairs)
    return type(old) is type(new) and old == new


if __name__ == "__main__":
    sys.exit(main())
