"""The installation and the model."""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

import podlab
from podlab.config import Settings
from podlab.doctor.finding import Finding, failure
from podlab.errors import PodlabError
from podlab.model import bundle
from podlab.model.bundle import BundleInfo

_WORKBENCH: Final = ("sklearn", "papermill", "nbconvert", "jupyterlab", "matplotlib", "seaborn")
#: Without any of these it is no workbench that something is missing from.
_NOTEBOOKS: Final = ("papermill", "nbconvert", "jupyterlab")


def look_at_installation() -> Finding:
    """See which Python it is, and whether the notebooks can be run; the watcher needs none of that."""
    version = f"podlab {podlab.__version__} on Python {sys.version.split()[0]}"
    missing = [name for name in _WORKBENCH if importlib.util.find_spec(name) is None]
    if set(missing) >= set(_NOTEBOOKS):
        # As in the watcher's image: nobody asked for a workbench.
        return Finding("installation", True, f"{version}, without the workbench", needed=False)
    if missing:
        return Finding("installation", False, f"{version} without {', '.join(missing)}", "make setup", needed=False)
    return Finding("installation", True, f"{version}, workbench complete", needed=False)


def look_at_model(settings: Settings) -> tuple[BundleInfo | None, Finding]:
    """Load the model, which checks every digest."""
    try:
        loaded = bundle.load(settings.model_path)
    except PodlabError as error:
        return None, failure("model", error)
    info = loaded.info
    said = f"{settings.model_path}: {len(info.services)} services, digest {info.digest[:12]}"
    if settings.watch_anomalies and loaded.library is None:
        todo = "fit the model again, or leave watch_anomalies off"
        return info, Finding("model", False, f"{said}, no detectors to look for anomalies with", todo)
    return info, Finding("model", True, said, details={"services": list(info.services), "digest": info.digest})
