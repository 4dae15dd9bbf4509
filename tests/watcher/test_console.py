"""The watcher's page: what to look at comes first, everything is bounded, and what pods are called stays text."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import podlab.watcher
from podlab.watcher.console import MOST_ROWS
from podlab.watcher.loop import MOST_INSPECTED
from tests.support.browser import needs_chromium
from tests.support.synthetic import EPOCH
from tests.support.watching import make_watched, pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_status import serving
from tools.check_pages import check_views, chromium

PAGE = Path(podlab.watcher.__file__).parent


def test_containers_are_searched_and_filtered_by_the_watcher(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    waiting = [make_watched(name, name, None, state="waiting", reason="CrashLoopBackOff") for name in ("web", "db")]
    here.appear(*pods_of(samples), *waiting)
    here.run(60)
    with serving(here) as client:

        def pods(**asked: str) -> tuple[set[str], int]:
            found = client.get("/overview", params=asked).json()
            return {each["pod"] for each in found["containers"]}, found["matching"]

        redis = set(samples.loc[samples["service"] == "redis", "pod"])
        assert pods(search="REDIS main") == (redis, 3)
        assert pods(show="not started") == ({"web", "db"}, 2)
        assert pods(show="decided")[1] == 6
        assert pods(show="attention") == (set(), 0)
        assert pods(namespace="lab")[1] == 8
        assert pods(namespace="elsewhere") == (set(), 0)
        found = client.get("/overview").json()
    assert found["containers_by_state"] == {"decided": 6, "unknown": 0, "waiting": 0, "not started": 2}
    assert found["reasons"] == []
    assert found["namespaces"] == ["lab"]


def test_an_overview_of_thousands_of_containers_is_bounded(bench: MakeBench) -> None:
    here = bench()
    here.appear(*(make_watched(f"web-{n}", f"{n}", EPOCH.to_pydatetime()) for n in range(1001)))
    here.run(0)
    with serving(here) as client:
        found = client.get("/overview", params={"search": "web " * 1000}).json()
    assert (len(found["containers"]), found["matching"], found["all"]) == (MOST_ROWS, 1001, 1001)


def test_the_page_has_the_times_of_the_log(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    here.run(60)
    logged = {line["pod"]: line["decided_at"] for line in here.lines}
    with serving(here) as client:
        for path in ("/containers", "/overview"):
            found: Any = client.get(path).json()
            shown = {
                each["pod"]: each["decided_at"] for each in (found if path == "/containers" else found["containers"])
            }
            assert shown == logged
            assert len(shown) == 6


def test_a_container_is_shown_with_samples_and_the_evidence_in_them(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    here.run(60)
    own = samples[samples["service"] == "redis"].iloc[0]
    with serving(here) as client:
        found = client.get(f"/containers/{own['pod_uid']}/main").json()
        assert client.get("/containers/nobody/main").status_code == 404
    assert found["service"] == "redis"
    series = {each["metric"]: each for each in found["series"]}
    assert series["cpu_usage_nanocores"]["unit"] == "cores"
    lived = samples[samples["pod_uid"] == own["pod_uid"]]
    at_s, level = series["memory_working_set_bytes"]["points"][-1]
    [there] = lived.loc[((lived["time"] - lived["started_at"]).dt.total_seconds() - at_s).abs() < 0.06].itertuples()
    assert level == pytest.approx(there.memory_working_set_bytes, rel=1e-3)
    assert len(series["rx_bytes"]["points"]) == found["samples"] - 1  # a rate takes two samples
    assert found["evidence"]["for"] == "redis"
    assert {each["metric"] for each in found["evidence"]["metrics"]} <= set(series)


def test_samples_of_a_settled_container_come_when_somebody_looks(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench(settle_s=20.0)
    here.appear(*pods_of(samples))
    here.run(80)
    assert here.watcher.active == 0
    uids = samples["pod_uid"].unique()
    with serving(here) as client:

        def count(uid: str) -> int:
            return int(client.get(f"/containers/{uid}/main").json()["samples"])

        assert count(uids[0]) == 0
        here.run(0)
        assert count(uids[0]) > 50
        here.clock.at_s += 100  # nobody looked for a while
        here.run(0)
        assert count(uids[0]) == 0


def test_no_more_containers_are_fetched_than_a_few(bench: MakeBench) -> None:
    here = bench()
    here.appear(*(make_watched(f"web-{n}", f"{n}", EPOCH.to_pydatetime()) for n in range(50)))
    here.run(0)
    with serving(here) as client:
        for number in range(50):
            assert client.get(f"/containers/{number}/main").status_code == 200
    assert len(here.watcher._looked_at(here.clock.at_s)) == MOST_INSPECTED


def test_nothing_on_the_page_is_inline_or_from_elsewhere(bench: MakeBench) -> None:
    with serving(bench()) as client:
        page, policy = client.get("/").text, client.get("/").headers["Content-Security-Policy"]
        loaded = re.findall(r'(?:href|src)="(console[^"]+)"', page)
        assert loaded == ["console.css", "console.js"]
        assert all(client.get(f"/{name}").status_code == 200 for name in loaded)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=|https?://", page)
    script = (PAGE / "console.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://(?!www\.w3\.org)", script)


@needs_chromium
def test_a_browser_shows_containers_as_text_and_complains_of_nothing(
    bench: MakeBench, samples: pd.DataFrame, tmp_path: Path
) -> None:
    odd = "<img src=x onerror=alert(1)>\"&'"
    own = samples[samples["service"] == "nginx"].iloc[0]
    here = bench(samples=samples)
    here.appear(*pods_of(samples), make_watched(odd, "1", None, state="waiting", reason="<b>Crash</b>"))
    here.run(60)
    with serving(here) as client:
        done = subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--enable-logging=stderr", f"--user-data-dir={tmp_path}", "--virtual-time-budget=3000", "--dump-dom",
                f"{client.base_url}/#container/{own['pod_uid']}/main",
            ],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
    assert not [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    containers = done.stdout.split('<tbody id="containers">')[1].split("</tbody>")[0]
    assert containers.count("<tr>") == 7
    assert odd in html.unescape(containers)
    assert "<img" not in containers
    assert "<b>" not in containers
    detail = done.stdout.split('<dialog id="detail"')[1]
    assert f"lab/{own['pod']}, main</h2>" in detail
    assert detail.count("<polyline") >= 5
    assert "for nginx" in detail


@needs_chromium
def test_the_page_is_in_order_on_a_desktop_a_phone_in_the_dark_and_on_paper(
    bench: MakeBench, samples: pd.DataFrame
) -> None:
    own = samples[samples["service"] == "nginx"].iloc[0]
    here = bench(samples=samples)
    here.appear(*pods_of(samples), make_watched("web", "1", None, state="waiting", reason="CrashLoopBackOff"))
    here.run(60)
    there = """new Promise(found => { const look = () => document.querySelectorAll("{}").length
        ? found(true) : setTimeout(look, 50); look() })"""
    with serving(here) as client, chromium() as browser:
        for place, filled in (("", "#containers tr"), (f"container/{own['pod_uid']}/main", "#detail polyline")):
            browser.open(f"{client.base_url}/", place)
            browser.evaluate(there.replace("{}", filled))
            assert check_views(browser) == []
