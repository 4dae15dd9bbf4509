"""What the watcher's faults need."""

from __future__ import annotations

from tests.watcher.conftest import bench, model, samples, watch_api, watch_connection

__all__ = ["bench", "model", "samples", "watch_api", "watch_connection"]
