"""Mappings and small files to import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from podlab.importing import Imported, import_files
from podlab.importing.mapping import Mapping

Import = Callable[..., Imported]

MEMORY = {"name": "mem", "metric": "memory_usage_bytes", "unit": "bytes"}
CPU = {"name": "cpu", "metric": "cpu_usage_nanocores", "unit": "nanocores"}
RX = {"name": "rx", "metric": "rx_bytes", "unit": "bytes"}
BEGIN_S = 1_700_000_000


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    """Import texts, each a file of its own, by a mapping of the given parts."""

    def run(*texts: str | bytes, columns: list[dict], ending: str = "csv", **parts: object) -> Imported:
        told = {"time": {"column": "time", "format": "unix-s"}, "identity": {"pod": "pod"}, "column": columns, **parts}
        paths = [tmp_path / f"{number}.{ending}" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return import_files(paths, Mapping.model_validate(told))

    return run


def answer_of(*series: tuple[dict[str, str], list[float]]) -> str:
    """Write a saved answer of Prometheus: labels, and a value each 15 s."""
    result = [
        {"metric": labels, "values": [[BEGIN_S + 15 * n, str(value)] for n, value in enumerate(values)]}
        for labels, values in series
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


LONG = {"time": {"column": "time_ms", "format": "unix-ms"}, "long": {"name": "__name__", "value": "value"}}
