"""Which metrics led to an answer: shares that add up, and that the model's own answers bear out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, format_amount
from podlab.features.windows import SERIES
from podlab.identify import Identifier, Prediction, fit
from podlab.identify.explain import Explanation, MetricContribution, explain
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def few(others: pd.DataFrame) -> pd.DataFrame:
    """One container of each service."""
    return others[others["deployment"].str.endswith("-1")].reset_index(drop=True)


@pytest.fixture(scope="module")
def explained(identifier: Identifier, few: pd.DataFrame) -> list[tuple[Prediction, Explanation]]:
    answers = identifier.identify(few, horizon_s=30.0)
    told = explain(identifier, few, answers, horizon_s=30.0)
    return [(answer, own) for answer, own in zip(answers, told, strict=True) if own is not None]


def without(samples: pd.DataFrame, metric: str) -> pd.DataFrame:
    return samples.assign(**{name: samples[name].where(np.zeros(len(samples), dtype=bool)) for name in SERIES[metric]})


def test_it_is_about_the_answer_and_the_runner_up(explained: list[tuple[Prediction, Explanation]]):
    assert len(explained) == 3
    for answer, own in explained:
        assert [own.service, own.runner_up] == list(answer.candidates)[:2]
        assert own.probability == answer.confidence
        assert {said.metric for said in own.evidence} == set(SERIES)
        sizes = [abs(said.log_odds) for said in own.evidence]
        assert sizes == sorted(sizes, reverse=True)


def test_contributions_add_up_to_the_log_odds_and_shares_to_one(explained: list[tuple[Prediction, Explanation]]):
    for answer, own in explained:
        probability, runner_up = list(answer.candidates.values())[:2]
        assert sum(said.log_odds for said in own.evidence) == pytest.approx(np.log(probability / runner_up))
        assert sum(abs(said.share) for said in own.evidence) == pytest.approx(1)
        assert all(said.share * said.log_odds >= 0 for said in own.evidence)
        assert own.log_odds == pytest.approx(np.log(probability / runner_up))


def test_a_metric_alone_is_worth_what_the_model_says_of_it_alone(identifier: Identifier, few: pd.DataFrame):
    # With two metrics there are four games, and every order of them is played: the values are exact.
    two = few.drop(columns=[name for name in few if name in CATALOGUE and name not in ("tx_bytes", "memory_rss_bytes")])
    answers = identifier.identify(two, horizon_s=30.0)
    # Of three containers only one lacks the metric, so that the table as a whole still has it.
    mine = two["pod"] == answers[0].pod
    own = explain(identifier, two, answers, horizon_s=30.0)[0]
    assert own is not None
    alone = {}
    for metric, other in (("tx_bytes", "memory_rss_bytes"), ("memory_rss_bytes", "tx_bytes")):
        table = pd.concat([without(two[mine], other), two[~mine]], ignore_index=True)
        again = next(a for a in identifier.identify(table, horizon_s=30.0) if a.pod == answers[0].pod)
        alone[metric] = np.log(again.candidates[own.service] / again.candidates[own.runner_up])
    for said in own.evidence:
        other = next(metric for metric in alone if metric != said.metric)
        expected = (alone[said.metric] + own.log_odds - alone[other]) / 2
        assert said.log_odds == pytest.approx(expected)


def test_the_metric_that_tells_two_services_apart_is_named_and_carries_the_answer():
    """Two services that differ in nothing but one metric: it is found, and the answer falls without it."""
    alike = make_samples(("nginx",), deployments_per_service=16, seconds=20)
    second = alike["deployment"].str.extract(r"(\d+)$")[0].astype(int) >= 8
    grown = alike["memory_rss_bytes"] * np.where(second, 4.0, 1.0)
    both = alike.assign(service=second.map({True: "large", False: "small"}), memory_rss_bytes=grown)
    tested = both["deployment"].str.endswith(("-0", "-15"))
    model = fit(both[~tested].reset_index(drop=True), horizons_s=(10.0,), jobs=1)
    rest = both[tested].reset_index(drop=True)
    answers = model.identify(rest)
    assert [answer.service for answer in answers] == ["small", "large"]
    for own in explain(model, rest, answers):
        assert own is not None
        assert own.evidence[0].metric == "memory_rss_bytes"
        # Its ratio to the rest of memory tells it as well, so that the rest has a share, too.
        assert own.evidence[0].share > 1.5 * abs(own.evidence[1].share)
        assert "(memory_rss_bytes, " in own.words()[1]


def test_a_metric_that_the_container_lacks_has_no_share(identifier: Identifier, few: pd.DataFrame):
    lacking = few.assign(io_read_bytes=few["io_read_bytes"].where(few["service"] != "redis"))
    answers = identifier.identify(lacking, horizon_s=30.0)
    told = explain(identifier, lacking, answers, horizon_s=30.0)
    service_of = lacking.drop_duplicates("pod").set_index("pod")["service"]
    for answer, own in zip(answers, told, strict=True):
        assert own is not None
        measured = {said.metric for said in own.evidence}
        assert ("io_read_bytes" in measured) == (service_of[answer.pod] != "redis")
        # The same odds as in the answer: what is measured at all is judged by the whole table.
        probability, runner_up = list(answer.candidates.values())[:2]
        assert own.log_odds == pytest.approx(np.log(probability / runner_up))


def test_about_a_container_without_a_value_nothing_is_said(identifier: Identifier, few: pd.DataFrame):
    metrics = [name for name in few if name in CATALOGUE]
    silent = few["service"] == "redis"
    blank = few.assign(**{name: few[name].where(~silent) for name in metrics})
    told = explain(identifier, blank, identifier.identify(blank))
    assert [own is None for own in told] == [bool(silent[few["pod"] == pod].any()) for pod in few["pod"].unique()]


def test_the_same_container_is_explained_the_same_way_again(identifier: Identifier, few: pd.DataFrame):
    one = few[few["service"] == "nginx"].reset_index(drop=True)
    answers = identifier.identify(one)
    assert explain(identifier, one, answers) == explain(identifier, one, answers)


def made(known: bool = True, **log_odds: float) -> Explanation:
    total = sum(map(abs, log_odds.values())) or 1.0
    evidence = tuple(MetricContribution(metric, 2e6, part, part / total) for metric, part in log_odds.items())
    return Explanation("redis", "valkey", known, "nginx", 0.997, 29.7, 0.93, 0.04, sum(log_odds.values()), evidence)


def test_words_give_shares_of_the_evidence_with_metrics_and_amounts():
    said = made(memory_rss_bytes=2.0, rx_bytes=-0.4, logsfs_used_bytes=0.01).words()
    assert said == [
        "83% of the evidence speaks for redis, 17% for valkey.",
        "83% for redis: the processes' own memory (memory_rss_bytes, 2 MB on average over 30 s).",
        "17% for valkey: network traffic received (rx_bytes, 2 MB a second on average over 30 s).",
    ]


def test_words_name_three_metrics_for_and_two_against_at_most():
    for_it = {"memory_rss_bytes": 5.0, "cpu_usage_nanocores": 4.0, "volume_used_bytes": 3.0, "io_read_bytes": 2.0}
    against = {"rx_bytes": -4.5, "tx_bytes": -3.5, "io_write_bytes": -2.5}
    said = made(**for_it, **against).words()[1:]
    assert [sentence.partition("(")[2].partition(",")[0] for sentence in said] == [
        "memory_rss_bytes", "cpu_usage_nanocores", "volume_used_bytes", "rx_bytes", "tx_bytes",
    ]  # fmt: skip


def test_a_metric_with_less_than_a_twentieth_of_the_shares_is_not_worth_a_sentence():
    assert len(made(memory_rss_bytes=9.5, rx_bytes=0.5).words()) == 3
    assert len(made(memory_rss_bytes=9.6, rx_bytes=0.4).words()) == 2
    assert len(made(memory_rss_bytes=9.6, rx_bytes=-0.4).words()) == 2


def test_words_about_an_unknown_container_say_so_first_and_what_it_is_most_similar_to():
    first = made(known=False, memory_rss_bytes=2.0).words()[0]
    assert "differs from every known service: 99.7% of known containers differ less" in first
    assert "most similar to nginx; if it ran a known service, redis would be the most probable" in first


def test_the_most_similar_service_is_that_of_the_answer(identifier: Identifier, few: pd.DataFrame):
    answers = identifier.identify(few, horizon_s=30.0)
    changed = [replace(answer, similar=(("other", 0.9), *answer.similar)) for answer in answers]
    told = explain(identifier, few, changed, horizon_s=30.0)
    assert [own.most_similar for own in told if own is not None] == ["other"] * 3


def test_words_when_nothing_tells_them_apart():
    assert made(memory_rss_bytes=0.0).words() == ["No metric distinguishes redis from valkey."]


def test_a_table_gives_the_share_of_each_metric_and_what_it_speaks_for():
    table = made(memory_rss_bytes=3.0, rx_bytes=-1.0).to_frame()
    assert table.to_numpy().tolist() == [
        ["memory_rss_bytes", "2 MB", "redis", 75.0], ["rx_bytes", "2 MB a second", "valkey", 25.0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "amount", "said"),
    [
        ("memory_rss_bytes", 0.0, "0 B"),
        ("memory_rss_bytes", 4.5e9, "4.5 GB"),
        ("rx_bytes", 1234.0, "1.23 kB a second"),
        ("cpu_usage_nanocores", 1.5e9, "1.5 cores"),
        ("memory_page_faults", 12.0, "12 a second"),
        ("memory_page_faults", 12_345.0, "12,300 a second"),
        ("memory_rss_bytes", 0.4, "0.4 B"),
        ("memory_rss_bytes", 999.0, "999 B"),
        ("memory_rss_bytes", 1000.0, "1 kB"),
        ("memory_rss_bytes", 999_999.0, "1,000 kB"),
        ("memory_rss_bytes", 3e12, "3 TB"),
        ("memory_rss_bytes", 3.21e15, "3,210 TB"),
        ("cpu_usage_nanocores", 0.0, "0 millicores"),
        ("cpu_usage_nanocores", 999e6, "999 millicores"),
        ("cpu_usage_nanocores", 1e9, "1 cores"),
    ],
)
def test_amounts_have_units(metric: str, amount: float, said: str):
    assert format_amount(metric, amount) == said


def test_json_is_plain_and_rounded():
    said = MetricContribution("rx_bytes", 1234567.8, -0.123456, -0.987654)
    rough = replace(made(memory_rss_bytes=2.0), log_odds=1.234567, evidence=(said,)).to_json()
    assert rough["log_odds"] == 1.2346
    assert rough["metrics"] == [{"metric": "rx_bytes", "amount": 1_234_570.0, "log_odds": -0.1235, "share": -0.9877}]
    told = made(memory_rss_bytes=2.0).to_json()
    assert told["for"] == "redis"
    assert told["metrics"] == [{"metric": "memory_rss_bytes", "amount": 2e6, "log_odds": 2.0, "share": 1.0}]
