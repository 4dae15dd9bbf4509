"""What the image carries of its packages, and how large that is: a table in Markdown, with which `make image` ends.

Usage: python -m tools.image_sizes FOLDER [--leave-out]    (--leave-out: remove first what nothing in the image imports)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePath

#: Packages below that are counted together.
_LEAST_BYTES = 1_000_000
#: Tests, headers for compiling against a package, and what Python would compile anew.
_FOLDERS = {"tests", "include", "__pycache__"}
_SOURCES = {".pyi", ".pxd", ".pxi", ".pyx", ".a", ".c", ".h", ".cc"}
#: Arrow's ways to services that podlab does not speak to, and two names more for one library. (Arrow's Python cannot do
#: without libarrow_dataset and libarrow_substrait.)
_OF_ARROW = (
    "includes", "src", "_pyarrow_cpp_tests.*", "*_flight*", "*_s3*", "libarrow_python*.so", "libarrow_python*.so.*.*",
)  # fmt: skip
#: Programs, and what makes recordings, which runs where they are made.
_AT_TOP = {"bin", "lab", ".."}


def is_left_out(path: PurePath) -> bool:
    """Whether nothing in the image needs a file, whose path is told from the folder of all packages."""
    return (
        path.parts[0] in _AT_TOP
        or not _FOLDERS.isdisjoint(path.parts[:-1])
        or path.suffix in _SOURCES
        or (path.parts[0] == "pyarrow" and any(fnmatch(path.parts[1], pattern) for pattern in _OF_ARROW))
    )


def leave_out(folder: Path) -> None:
    """Remove from a folder of packages what the image does not need, and the folders that are empty then."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif is_left_out(path.relative_to(folder)):
            path.unlink()


def measure(packages: Iterable[Distribution]) -> dict[str, int]:
    """Return how many bytes of each package the image carries, by name and version, the largest first."""
    sizes = {
        f"{each.name} {each.version}": sum(
            path.stat().st_size
            for file in each.files or ()
            if not is_left_out(file) and (path := Path(str(file.locate()))).is_file()
        )
        for each in packages
    }
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def table(sizes: dict[str, int]) -> str:
    """Write the sizes in MB (millions of bytes)."""
    large = {name: size for name, size in sizes.items() if size >= _LEAST_BYTES}
    rest = sum(sizes.values()) - sum(large.values())
    rows = [*large.items(), (f"{len(sizes) - len(large)} others", rest), ("all packages", sum(sizes.values()))]
    return "\n".join(["| package | MB |", "|---|---|", *(f"| {name} | {size / 1e6:.1f} |" for name, size in rows)])


if __name__ == "__main__":
    given = Path(sys.argv[1])
    if "--leave-out" in sys.argv:
        leave_out(given)
    print(table(measure(distributions(path=[str(given)]))))
