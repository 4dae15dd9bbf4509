"""Tables about what no model knows say what was found, and nothing where there was nothing."""

from __future__ import annotations

import pandas as pd

from lab import catalogue
from podlab.evaluation.relatives import relative_hits
from podlab.evaluation.unknown import by_unknown_service, decisions_of, separation_table
from podlab.identify import Prediction
from podlab.notebook import unknown_words as words
from tests.evaluation.test_unknown import RELATIVES, predictions

__all__ = ["predictions"]


def predicted(novelty: float, confidence: float) -> Prediction:
    return Prediction(
        cluster="c", namespace="n", pod="a", pod_uid=None, container="main", seconds_observed=59.0,
        service="redis" if novelty <= 0.98 else None, confidence=confidence, candidates={"redis": confidence},
        similar=(), known=novelty <= 0.98, novelty=novelty, model="m@d",
    )  # fmt: skip


def test_scores_are_written_with_their_intervals(predictions: pd.DataFrame) -> None:
    table = separation_table(predictions, ["60 s"], RELATIVES)
    told = words.separation_words(table)
    line = table.iloc[0]
    assert told["AUROC"][0].startswith(f"{line['auroc']:.2f} (")
    assert told.loc[told["ordered by"] == "1 - confidence", "known kept"].item() == "-"
    facts = words.separation_facts(table, "60 s")
    assert set(facts) == {"all", "near", "far"}
    assert facts["all"]["auroc"]["value"] == line["auroc"]
    assert words.headline(facts).startswith(f"AUROC {told['AUROC'][0]}; where 95 %")


def test_without_strangers_nothing_is_claimed(predictions: pd.DataFrame) -> None:
    nobody = predictions.assign(unknown=False)
    table = separation_table(nobody, ["60 s"], RELATIVES)
    assert words.headline(words.separation_facts(table, "60 s")) == ""
    none = decisions_of(nobody, "60 s")
    assert words.service_words(by_unknown_service(none, RELATIVES)).empty
    assert words.hit_words(relative_hits(none, RELATIVES)).empty


def test_the_least_sure_answer_that_names_a_service_is_explained() -> None:
    answers = [
        predicted(0.99, 0.2),
        predicted(0.5, 0.8),
        predicted(0.5, 0.6),
    ]
    assert words.most_telling(answers) == 2
    assert words.most_telling(answers[:1]) == 0


def test_relatives_are_those_stated_or_of_the_same_kind() -> None:
    services = catalogue.load()
    relatives = catalogue.relatives_of(services)
    assert relatives["valkey"] == ("redis", "memcached")
    assert relatives["mysql"] == ("postgres",)
    unknown = {service.name for service in services if service.unknown}
    assert not any(unknown & set(each) or name in each for name, each in relatives.items())
