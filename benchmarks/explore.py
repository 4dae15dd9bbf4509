"""How long a browser takes to open a page of ``podlab explore``, and to show containers that are chosen in it.

Run it with ``python -m benchmarks.explore PAGE``, for a page that ``podlab explore FILE... --out PAGE`` wrote. Times
are on the clock, so the machine should have nothing else to do; of several runs the least counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.check_pages import chromium

_OPENED_MS = "performance.timing.loadEventEnd - performance.timing.navigationStart"
#: Three containers beside one another, as far apart as the list goes, and laid out.
_CHOSEN_MS = """(() => { const last = shown.length - 1, began = performance.now();
    choose([0, last >> 1, last].map(place => shown[place])); document.body.offsetHeight;
    return performance.now() - began })()"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    opened, chosen = [], []
    with chromium() as browser:
        for _ in range(options.runs):
            browser.open(options.page)
            opened.append(browser.evaluate(_OPENED_MS))
            chosen.append(browser.evaluate(_CHOSEN_MS))
        found = browser.evaluate("document.getElementById('found').textContent")
    size_mb = options.page.stat().st_size / 1e6
    print(f"{options.page}, {size_mb:.1f} MB, {found}: opens in {min(opened):.0f} ms, shows in {min(chosen):.0f} ms")


if __name__ == "__main__":
    main()
