"""An API server that takes no event: the token has run out, the right is gone."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.kubernetes.client import ApiConnection
from podlab.watcher.sinks import EventSink
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import TOKEN, USER, events
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth


def _run_out(api: KubeApi) -> None:
    del api.tokens[TOKEN]


def _lose_the_right(api: KubeApi) -> None:
    api._rights = {right for right in api._rights if right.resource != "events"}


@pytest.mark.parametrize("lose", [_run_out, _lose_the_right], ids=["401", "403"])
def test_it_is_tried_ever_more_seldom_and_every_event_is_made_once(
    bench: MakeBench, samples: pd.DataFrame, watch_api: KubeApi, watch_connection: ApiConnection, lose: object
) -> None:
    rights, asked = set(watch_api._rights), 0

    def count(authorization: str | None) -> str:
        nonlocal asked
        asked += 1
        return user_of(authorization)

    user_of, watch_api.user_of = watch_api.user_of, count  # type: ignore[method-assign]
    lose(watch_api)  # type: ignore[operator]
    here = bench(sinks=[EventSink(watch_connection, "watcher-1")])
    here.appear(*pods_of(samples))
    here.run(600)
    # The other sinks have been told, and nobody is asked for each of six events, nor in each of 60 rounds.
    assert dict(here.announced()) == truth(samples)
    assert here.watcher.waiting == 6
    assert 5 <= asked <= 14
    assert events(watch_api) == []
    watch_api.tokens[TOKEN] = USER
    watch_api._rights = rights
    here.run(70)
    assert here.watcher.waiting == 0
    assert {event["involvedObject"]["name"] for event in events(watch_api)} == set(truth(samples))
    assert len(events(watch_api)) == len(here.lines) == 6
