from __future__ import annotations

import pytest

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, LABELS, ORIGINAL_METRICS, TIMES
from podlab.errors import InputError
from podlab.evaluation.dataset import DEFAULT_FILTER, FILTERS, columns_of, features_of


def test_every_filter_lets_through_what_its_name_says():
    assert set(columns_of("all")) == set(columns_of("only-numbers")) | set(columns_of("only-strings"))
    assert set(columns_of("only-numbers")) - set(columns_of("only-numbers-no-image-size")) == {"image_size_bytes"}
    assert {"image", "pod", "pod_uid"} <= set(columns_of("only-strings"))
    assert {CATALOGUE[name].family for name in columns_of("only-memory")} == {"memory"}
    assert {CATALOGUE[name].family for name in columns_of("only-cpu")} == {"cpu"}


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_lets_labels_or_times_through(name):
    assert not set(columns_of(name)) & {*LABELS, *TIMES}


def test_a_list_of_columns_is_a_filter():
    assert columns_of(" rx_bytes,image_size_bytes ,rx_bytes") == ("rx_bytes", "image_size_bytes")
    assert features_of("rx_bytes,tx_bytes") == ("rx_bytes", "tx_bytes")


@pytest.mark.parametrize("wrong", ["only-numbrs", "rx_bytes,service", "", ",", "time"])
def test_an_unknown_name_is_refused_with_the_names_there_are(wrong):
    with pytest.raises(InputError, match=r"neither a filter nor a column.*only-memory.*rx_bytes"):
        columns_of(wrong)


def test_the_default_is_what_identification_may_see():
    assert features_of(DEFAULT_FILTER) == FEATURE_METRICS
    assert set(ORIGINAL_METRICS) < set(FEATURE_METRICS)


@pytest.mark.parametrize("telling", ["all", "only-numbers", "only-strings", "rx_bytes,image_size_bytes", "pod"])
def test_identification_gets_no_column_that_names_the_container(telling):
    with pytest.raises(InputError, match="name the container"):
        features_of(telling)
