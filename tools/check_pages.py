"""Open HTML files in headless Chromium and fail when a page logs to its console or asks for anything from elsewhere.

Usage: python tools/check_pages.py [--pictures FOLDER] PAGE...
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip
_REMOTE = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["'](https?:)?//""", re.IGNORECASE)


def open_page(page: Path, arguments: list[str]) -> tuple[str, list[str]]:
    """Load one page; return its DOM as text and what it wrote to the console."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *_FLAGS, f"--user-data-dir={profile}", *arguments, page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def main() -> int:
    """Check every page given; 0 when all are clean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, help="also save each page as a PNG here")
    options = parser.parse_args()
    faults = 0
    for page in options.pages:
        dom, console = open_page(page, ["--dump-dom"])
        complaints = console + [f"asks for {match[0][:80]}" for match in _REMOTE.finditer(dom)]
        if len(dom) < 500:
            complaints.append("is empty")
        for complaint in complaints:
            print(f"{page}: {complaint}", file=sys.stderr)
        faults += len(complaints)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            picture = options.pictures.resolve() / f"{page.stem}.png"
            open_page(page, [f"--screenshot={picture}", "--window-size=1200,4000"])
    print(f"{len(options.pages)} pages opened, {faults} complaints")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
