"""`podlab check` and `inventory`: what claims and behaviour say of each other, in the terminal and on a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from podlab.cli import main
from podlab.data.recordings import read_recording, write_recording
from podlab.inventory import make_page
from tests.support.browser import needs_chromium
from tests.support.command import Call
from tests.support.synthetic import make_samples
from tools.check_pages import check_page, chromium

FIELDS = [
    "cluster", "namespace", "workload", "container", "claim", "claimed_by", "verdict", "why", "p_value", "adjusted",
    "behaves_like", "service", "confidence", "replicas", "behaviour", "miner_score", "model",
]  # fmt: skip


@pytest.fixture(scope="session")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of enough deployments to check claims."""
    folder = tmp_path_factory.mktemp("tester")
    write_recording(make_samples(deployments_per_service=6, seconds=40), folder / "training.parquet")
    words = ["fit", str(folder / "training.parquet"), "--out", str(folder / "model"), "--horizons", "30s"]
    assert main(words) == 0
    return folder / "model"


@pytest.fixture
def fleet(other_recording: Path, tmp_path: Path) -> Path:
    """Containers that run what their image says, but for one of nginx that claims mysql, and one of a shop."""
    samples = read_recording([other_recording])
    nginx, redis = (samples.loc[samples["service"] == name, "pod"].iloc[0] for name in ("nginx", "redis"))
    image = samples["image"].mask(samples["pod"] == nginx, "mariadb:11").mask(samples["pod"] == redis, "team/shop:2")
    path = tmp_path / "fleet.parquet"
    write_recording(samples.assign(image=image), path)
    return path


def test_check_prints_a_verdict_for_each_workload(call: Call, fleet: Path, tester: Path) -> None:
    answer = call("check", fleet, "--model", tester, "--json")
    assert (answer.exit_code, answer.err) == (0, "")
    assert [list(line) for line in answer.lines] == [FIELDS] * 8
    by_claim: dict[str, list[dict[str, object]]] = {}
    for line in answer.lines:
        by_claim.setdefault(line["verdict"], []).append(line)
    [mismatch], [cannot] = by_claim["mismatch"], by_claim["cannot tell"]
    assert (mismatch["claim"], mismatch["claimed_by"], mismatch["behaves_like"]) == ("mysql", "image", "nginx")
    assert (cannot["claim"], cannot["why"], cannot["p_value"]) == ("shop", "the model does not know shop", None)
    assert len(call("check", fleet, "--model", tester).out.splitlines()) == 9


def test_a_model_that_cannot_check_says_so_once(
    call: Call, fleet: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer = call("check", fleet, "--model", model, "--json")
    assert answer.exit_code == 0
    assert caplog.text.count("claims cannot be checked") == 1
    assert {line["verdict"] for line in answer.lines} == {"cannot tell"}


def test_aliases_and_tables_of_a_user_count(call: Call, fleet: Path, tester: Path, tmp_path: Path) -> None:
    aliases = tmp_path / "aliases.toml"
    aliases.write_text('[behaves_as]\nshop = "redis"\n')
    answer = call("check", fleet, "--model", tester, "--aliases-file", aliases, "--json")
    assert "cannot tell" not in {line["verdict"] for line in answer.lines}
    table = tmp_path / "claims.csv"
    table.write_text("namespace,service\nlab,redis\n")
    lines = call("check", fleet, "--model", tester, "--label-table", table, "--json").lines
    assert {(line["claim"], line["claimed_by"]) for line in lines} == {("redis", "table")}
    aliases.write_text("[other]\n")
    refused = call("check", fleet, "--model", tester, "--aliases-file", aliases)
    assert refused.exit_code == 2
    assert refused.err.startswith(f"podlab: {aliases}: 'other' is not a table of aliases; ")


def test_the_inventory_is_a_table_and_a_page_that_needs_nothing_else(
    call: Call, fleet: Path, tester: Path, tmp_path: Path
) -> None:
    samples = read_recording([fleet])
    hostile = samples["pod"].iloc[0]
    renamed = samples["pod"].mask(samples["pod"] == hostile, "</script><b>x")
    write_recording(samples.assign(pod=renamed), fleet)
    html, csv = tmp_path / "page.html", tmp_path / "table.csv"
    answer = call("inventory", fleet, "--model", tester, "--html", html, "--csv", csv, "--json")
    assert (answer.exit_code, answer.err, len(answer.lines)) == (0, "", 8)
    table = pd.read_csv(csv)
    assert table["verdict"].value_counts().to_dict() == {"consistent": 6, "mismatch": 1, "cannot tell": 1}
    page = html.read_text()
    assert not re.findall(r"""(?:src|href)=|url\(|@import|https?://""", page)
    assert "<b>x" not in page
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data = json.loads(data)
    assert data["columns"][:4] == ["verdict", "workload", "claim", "service"]
    assert set(data["columns"]) == {name for name in table if table[name].notna().any()}
    assert len(data["rows"]) == 8
    assert ["mismatch", "1"] in data["facts"]
    assert call("inventory", fleet, "--model", tester).out.startswith("8 workloads, 8 containers, 1 mismatch, ")


def test_an_inventorys_files_are_no_inputs_and_what_their_suffixes_say(
    call: Call, fleet: Path, tester: Path, tmp_path: Path
) -> None:
    before = fleet.read_bytes()
    assert call("inventory", fleet, "--model", tester, "--csv", fleet).exit_code == 2
    assert fleet.read_bytes() == before
    for option, name, kind in (("--csv", "a.html", "CSV"), ("--csv", "a.parquet", "CSV"), ("--html", "a.csv", "HTML")):
        refused = call("inventory", fleet, "--model", tester, option, tmp_path / name)
        said = f"podlab: {tmp_path / name}: is written as {kind}; name it .{kind.lower()}\n"
        assert (refused.exit_code, refused.err) == (2, said)
        assert not (tmp_path / name).exists()


@needs_chromium
def test_a_page_keeps_rows_low_and_names_within_it(tmp_path: Path) -> None:
    sentence = "almost no CPU, no disk, little even traffic, 430 kB of memory, since 4 min"
    names = [f"column {number}" for number in range(20)]
    table = pd.DataFrame([["x" * 5_000, sentence, *names], ["redis", None, *names]], columns=["name", "does", *names])
    (tmp_path / "page.html").write_text(make_page(table, title="Wide"))
    with chromium() as browser:
        browser.view(1280, 800, "light", "screen")
        browser.open(tmp_path / "page.html")
        widths = browser.evaluate("[...document.querySelectorAll('#head th')].map(each => each.offsetWidth)")
        assert len(widths) == 22
        assert 150 < widths[1] < 400  # of a sentence: not a word a line
        assert widths[0] < 500
        assert check_page(browser, tmp_path / "page.html") == []  # one block a row on a phone and on paper
