"""A sink from outside: its file and an entry point are all that it takes."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.config import load_settings
from podlab.errors import InputError
from podlab.kubernetes.client import connect
from podlab.watcher.logs import JsonLines
from podlab.watcher.notify import Sink
from podlab.watcher.sinks import SinkContext, make_sinks
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench, bench, model, samples

__all__ = ["bench", "model", "samples"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_sink.py"


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A webhook that refuses its first request, and what it took."""
    taken: list[dict[str, Any]] = []
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if refused:
                taken.append(json.loads(body))
            self.send_response(200 if refused else 503)
            refused.append(self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_address[1]}/hook")
        yield taken
        server.shutdown()
        thread.join()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put what `pip install` of a package with this sink would into a folder of the search path."""
    shutil.copy(EXAMPLE, tmp_path)
    info = tmp_path / "somebodys_sinks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-sinks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[podlab.sinks]\nwebhook = custom_sink:WebhookSink\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def make(names: str) -> list[Sink]:
    settings = load_settings(watch_sinks=names)
    context = SinkContext(settings, JsonLines(io.StringIO()), connect("http://127.0.0.1:1"), "watcher-1")
    return make_sinks(settings.watch_sinks, context, log_first=False)


@pytest.mark.usefixtures("installed")
def test_it_gets_every_announcement_once_also_after_it_failed(
    posted: list[dict[str, Any]], bench: MakeBench, samples: pd.DataFrame
) -> None:
    here = bench(sinks=make("webhook"))
    here.appear(*pods_of(samples))
    here.run(100)
    assert {each["pod"]: each["service"] for each in posted} == dict(here.announced())
    assert len(posted) == len(here.lines) == 6
    assert here.watcher.waiting == 0
    assert all(each["text"].startswith("main is ") for each in posted)


@pytest.mark.usefixtures("installed", "posted")
def test_sinks_are_asked_in_an_order_in_which_the_log_knows_what_was_announced_before() -> None:
    assert [sink.name for sink in make("webhook,log,event")] == ["event", "log", "webhook"]


def test_an_unknown_one_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'webhook' is not a sink; known are event, annotation, influxdb, log"):
        load_settings(watch_sinks="log,webhook")
