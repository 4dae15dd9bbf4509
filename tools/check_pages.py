"""Open HTML files in headless Chromium as readers do, and fail on what would trouble them.

On a desktop, a phone, in the dark and on paper: nothing is logged or asked for from elsewhere, no table or text is cut
off, links lead somewhere, headings, labels and landmarks are in order, colours have contrast, and a page is not too
large. ``--axe`` adds the rules of axe-core, from its ``axe.min.js``.

Usage: python tools/check_pages.py [--pictures FOLDER] [--axe FILE] PAGE...
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urldefrag

_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
#: Name, width and height in CSS pixels, colours, medium. Paper is A4 without its margins.
VIEWS: Final = (
    ("desktop", 1280, 800, "light", "screen"),
    ("dark", 1280, 800, "dark", "screen"),
    ("phone", 390, 844, "light", "screen"),
    ("print", 718, 1047, "light", "print"),
)
MOST_BYTES: Final = 1_000_000
PATIENCE_S: Final = 120
_AXE: Final = """axe.run({resultTypes: ["violations"]}).then(found => found.violations
  .filter(each => ["serious", "critical"].includes(each.impact))
  .map(each => `axe ${each.impact} ${each.id}: ${each.nodes.length} times, ${each.nodes[0].target}`))"""


class Browser:
    """Chromium, spoken to through pipes by its DevTools protocol."""

    def __init__(self, profile: str) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def as_3_and_4() -> None:
            read, write = os.dup(to_read), os.dup(to_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        command = ["chromium", *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            command, close_fds=False, preexec_fn=as_3_and_4, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self._session = b"", 0, ""
        self.console: list[str] = []
        self.requests: list[str] = []
        target = next(each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript in the page, waiting for promises."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"].get("exception", found))[:500])
        return found["result"].get("value")

    def open(self, page: Path | str, anchor: str = "") -> None:
        """Load a page, a file or a URL, at a place in it, and wait until it is there."""
        address = page if isinstance(page, str) else page.resolve().as_uri()
        # From one place in a page to another nothing would be loaded, so an empty page comes between.
        for url in ("about:blank", f"{address}{'#' * bool(anchor)}{anchor}"):
            self.console.clear()
            self.requests.clear()
            self.call("Page.navigate", url=url)
            while self._next().get("method") != "Page.loadEventFired":
                pass

    def view(self, width: int, height: int, colours: str, medium: str) -> None:
        """Show the page in a window of this size, in light or dark, on a screen or on paper."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": colours}
        self.call("Emulation.setEmulatedMedia", media=medium, features=[feature])
        if medium == "print":
            self.evaluate("dispatchEvent(new Event('beforeprint'))")

    def picture(self, target: Path, *, most_pixels: int = 12_000) -> None:
        """Save the whole page, as it is shown now, as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most_pixels), "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        """Read the next message; note what the page logs and asks for."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE_S)
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError(f"Chromium ended, or said nothing for {PATIENCE_S} s")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(each.get("value", "")) for each in parameters["args"]))
        elif message.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(parameters["exceptionDetails"].get("exception", {}).get("description", "an error")))
        elif message.get("method") == "Log.entryAdded":
            self.console.append(parameters["entry"]["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        return message


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            yield browser
        finally:
            browser.process.kill()
            browser.process.wait()


def check_page(browser: Browser, page: Path, *, axe: str = "", pictures: Path | None = None) -> list[str]:
    """Open a page in each view and return what is wrong, each once."""
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.open(page)
    found = [f"logs {text}" for text in browser.console]
    found += [f"asks for {url[:80]}" for url in browser.requests if not url.startswith(("data:", "file:"))]
    if (size := page.stat().st_size) > MOST_BYTES:
        found.append(f"has {size:,} bytes, more than {MOST_BYTES:,}")
    if len(browser.evaluate("document.body.innerText").strip()) < 100:
        found.append("is empty")
    found += broken_links(page)
    found += check_views(browser, axe=axe, pictures=pictures and pictures / page.stem)
    return list(dict.fromkeys(found))


def check_views(browser: Browser, *, axe: str = "", pictures: Path | None = None) -> list[str]:
    """Show the page that is open in each view and return what is wrong; pictures are called as given, and the view."""
    found: list[str] = []
    rules = Path(__file__).with_name("page_rules.js").read_text(encoding="utf-8")
    for name, width, height, colours, medium in VIEWS:
        browser.view(width, height, colours, medium)
        found += [f"{name}: {text}" for text in browser.evaluate(rules)]
        if axe and name != "print":
            found += [f"{name}: {text}" for text in browser.evaluate(f"{axe};{_AXE}")]
        if pictures:
            pictures.parent.mkdir(parents=True, exist_ok=True)
            browser.picture(pictures.with_name(f"{pictures.name}-{name}.png"))
    return found


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to files or places that are not there; those to other hosts are not followed."""
    broken = []
    for link in dict.fromkeys(re.findall(r'<a\b[^>]*\bhref="([^"]*)"', page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, anchor = urldefrag(link.replace("&amp;", "&"))
        target = page.parent / unquote(path) if path else page
        text = target.read_text(encoding="utf-8", errors="replace") if target.is_file() else None
        ids = set(re.findall(r'\bid="([^"]*)"', text or "")) if anchor and target.suffix == ".html" else {anchor}
        if text is None or not {anchor, unquote(anchor)} & {each.replace("&amp;", "&") for each in ids}:
            broken.append(f"links to {link}, which is not there")
    return broken


def main(words: list[str] | None = None) -> int:
    """Check every page given; 0 when all are in order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, help="also save each page as PNGs here, one a view")
    parser.add_argument("--axe", type=Path, metavar="FILE", help="axe.min.js of axe-core; its serious findings count")
    options = parser.parse_args(words)
    axe = options.axe.read_text(encoding="utf-8") if options.axe else ""
    faults = 0
    with chromium() as browser:
        for page in options.pages:
            complaints = check_page(browser, page, axe=axe, pictures=options.pictures)
            for complaint in complaints:
                print(f"{page}: {complaint}", file=sys.stderr)
            faults += len(complaints)
    print(f"{len(options.pages)} pages opened, {faults} complaints")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
