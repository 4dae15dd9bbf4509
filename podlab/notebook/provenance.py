"""Where results came from: which data, which versions, which machine, when."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import podlab
from podlab.data.recordings import fingerprint

#: The libraries whose version may change a number.
_LIBRARIES: Final = ("numpy", "pandas", "pyarrow", "scikit-learn", "matplotlib", "papermill")


def describe_run(recordings: Sequence[Path], seed: int | None) -> dict[str, Any]:
    """Gather what someone needs to get the same numbers again.

    Parameters
    ----------
    recordings : sequence of Path
        The files and data sets of samples.
    seed : int or None

    Returns
    -------
    dict
        ``started_at``, ``seed``, ``podlab``, ``python``, ``versions`` by library, ``machine`` (no host name), and
        ``recordings`` with ``file``, ``sha256`` and ``bytes``.

    Raises
    ------
    InputError
        If a recording cannot be read.
    """
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "podlab": podlab.__version__,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}",
        "recordings": [_describe_file(path) for path in recordings],
    }


def _describe_file(path: Path) -> dict[str, Any]:
    digest, size = fingerprint(path)
    return {"file": path.name, "sha256": digest, "bytes": size}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"
