"""An exporter as cAdvisor's, fed from a recording: scrape by scrape it shows the next sample of every series."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from podlab.sources.remote_write import OutSeries

#: On a busy machine a scrape may run out of time: each sample is shown so often.
SHOWN = 3


@dataclass
class Exporter:
    """A running exporter; ``finished`` is set when the last sample was shown."""

    port: int
    scrapes: int = 0
    finished: threading.Event = field(default_factory=threading.Event)


@contextmanager
def exporting(series: Sequence[OutSeries]) -> Iterator[Exporter]:
    """Serve ``/metrics`` on loopback."""
    pages = _pages(series)
    exporter = Exporter(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = exporter.scrapes // SHOWN
            exporter.scrapes += 1
            if number > len(pages):  # the last sample was taken, and the answer to it is stored
                exporter.finished.set()
            body = pages[min(number, len(pages) - 1)]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # a scrape that ran out of time
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    exporter.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield exporter
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pages(series: Sequence[OutSeries]) -> list[bytes]:
    """Write what each scrape shows; a series that has no further sample goes on showing its last."""
    heads = [_head(each.labels) for each in series]
    longest = max(len(each.time_ms) for each in series)
    return [
        "".join(
            f"{head} {float(each.value[at])!r} {each.time_ms[at]}\n"
            for head, each in zip(heads, series, strict=True)
            for at in [min(number, len(each.time_ms) - 1)]
        ).encode()
        for number in range(longest)
    ]


def _head(labels: dict[str, str]) -> str:
    """Write a series' name and labels as the text format wants them."""

    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    inside = ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items() if name != "__name__")
    return f"{labels['__name__']}{{{inside}}}"
