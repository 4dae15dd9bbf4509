"""Tables about what no model knows say what was found, and nothing where there was nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from lab import catalogue
from podlab.evaluation.relatives import relative_hits
from podlab.evaluation.unknown import by_unknown_service, separation_table
from podlab.notebook import unknown_words as words
from tests.evaluation.test_unknown import RELATIVES, Judged, decisions, judged, said

__all__ = ["decisions", "judged"]


def test_scores_are_written_with_their_intervals(judged: Judged) -> None:
    table = separation_table(judged, ["60 s"], RELATIVES)
    told = words.separation_words(table)
    line = table.iloc[0]
    assert told["AUROC"][0].startswith(f"{line['auroc']:.2f} (")
    assert told.loc[told["ordered by"] == "1 - confidence", "known kept"].item() == "-"
    facts = words.separation_facts(table, "60 s")
    assert set(facts) == {"all", "near", "far"}
    assert facts["all"]["auroc"]["value"] == line["auroc"]
    assert words.headline(facts).startswith(f"AUROC {told['AUROC'][0]}; where 95 %")


def test_without_strangers_nothing_is_claimed(judged: Judged, decisions: pd.DataFrame) -> None:
    nobody = replace(judged, strange=np.zeros_like(judged.strange))
    table = separation_table(nobody, ["60 s"], RELATIVES)
    assert words.headline(words.separation_facts(table, "60 s")) == ""
    none = nobody.decisions("60 s")
    assert words.service_words(by_unknown_service(none, RELATIVES)).empty
    assert words.hit_words(relative_hits(none, RELATIVES)).empty


def test_the_least_sure_answer_that_names_a_service_is_explained() -> None:
    answers = [
        said("a", 0, 0.99, 0.2, "redis", ()),
        said("a", 1, 0.5, 0.8, "redis", ()),
        said("a", 2, 0.5, 0.6, "redis", ()),
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
