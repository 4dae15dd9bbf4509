"""A informer of pods that runs in the test's own thread, without waiting: its pauses are where the test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podlab.kubernetes.client import connect
from podlab.kubernetes.informer import PodInformer
from podlab.kubernetes.objects import Change, WatchedPod
from tests.support.kubeapi import KubeApi

TOKEN = "token-of-the-watcher"


class InformerHarness:
    """A informer, and what it told.

    Each watch ends when it has told what there is; the pause after it takes no time.

    Attributes
    ----------
    changes : list of Change
        All so far.
    pauses : list of float
        All so far, in seconds.
    now_s : float
        The informer's clock; goes on by each pause.
    """

    def __init__(self, api: KubeApi, folder: Path, **how: Any) -> None:
        api.watches_end_at_once = True
        api.tokens.setdefault(TOKEN, "watcher")
        api.allow("watcher", ["list", "watch"], ["pods"])
        self.api = api
        self.changes: list[Change] = []
        self.pauses: list[float] = []
        self.now_s = 0.0
        self.connections = 0
        self._kubeconfig = api.write_kubeconfig(folder / "kubeconfig", TOKEN)
        self._steps: list[Callable[[], object]] = []
        self.informer = PodInformer(
            self._connect, self.changes.extend, clock=lambda: self.now_s, wait=self._wait, random=lambda: 0.0, **how
        )

    def run(self, *steps: Callable[[], object]) -> None:
        """Run the informer up to its first pause, then do the first step; and so on to the pause after the last."""
        self._steps = list(steps)
        self.informer.run(threading.Event())

    def told(self) -> list[tuple[str, str]]:
        """Take what was told since the last time: kinds and names."""
        told = [(change.kind, change.pod.name) for change in self.changes]
        self.changes.clear()
        return told

    def verbs(self) -> list[str]:
        """Take what was asked since the last time."""
        verbs = [request.verb for request in self.api.requests]
        self.api.requests.clear()
        return verbs

    def _connect(self) -> Any:
        self.connections += 1
        return connect(kubeconfig=self._kubeconfig, timeout_s=120)

    def _wait(self, stop: threading.Event, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now_s += pause_s
        if self._steps:
            self._steps.pop(0)()
        else:
            stop.set()


def replay(changes: list[Change]) -> dict[str, WatchedPod]:
    """Tell which pods there are by what was told, uid by uid; each change must make sense."""
    pods: dict[str, WatchedPod] = {}
    for change in changes:
        kind, pod = change.kind, change.pod
        assert (pod.uid in pods) is (kind != "added"), f"{kind} {pod.name} {pod.uid}"
        if kind == "gone":
            del pods[pod.uid]
        else:
            assert pods.get(pod.uid) != pod, f"{kind} {pod.name}, but nothing changed"
            pods[pod.uid] = pod
    return pods
