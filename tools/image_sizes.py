"""List how much of a folder of packages is whose, as a table in Markdown; `make image` ends with it.

Usage: python -m tools.image_sizes FOLDER
"""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

#: Packages below that are counted together.
_LEAST_BYTES = 1_000_000


def measure(folder: Path) -> dict[str, int]:
    """Return the bytes of each package's files that are there, by name, the largest first."""
    sizes = {
        f"{each.name} {each.version}": sum(
            path.stat().st_size for file in each.files or () if (path := Path(str(file.locate()))).is_file()
        )
        for each in distributions(path=[str(folder)])
    }
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def table(sizes: dict[str, int]) -> str:
    """Write the sizes in MB (millions of bytes)."""
    large = {name: size for name, size in sizes.items() if size >= _LEAST_BYTES}
    rest = sum(sizes.values()) - sum(large.values())
    rows = [*large.items(), (f"{len(sizes) - len(large)} others", rest), ("all packages", sum(sizes.values()))]
    return "\n".join(["| package | MB |", "|---|---|", *(f"| {name} | {size / 1e6:.1f} |" for name, size in rows)])


if __name__ == "__main__":
    print(table(measure(Path(sys.argv[1]))))
