"""podlab identifies the service of a container from its monitoring metrics alone.

The names here are the front door; each is imported when it is first used, so that ``import podlab`` costs nothing.

>>> import podlab
>>> samples = podlab.read_samples("recording.parquet")  # doctest: +SKIP
>>> identifier = podlab.Identifier().fit(samples)  # doctest: +SKIP
>>> identifier.predict_proba(samples, horizon_s=30)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podlab.data.recordings import read_recording as read_samples  # noqa: F401
    from podlab.detect.components import register_detector as register_detector
    from podlab.detect.library import DetectorLibrary as DetectorLibrary
    from podlab.detect.library import fit_library as fit_library
    from podlab.evaluation.cross_validation import cross_validate as cross_validate
    from podlab.evaluation.metrics import score as score
    from podlab.features.features import extract_features as extract_features
    from podlab.features.features import feature as feature
    from podlab.features.windows import make_windows as make_windows
    from podlab.identify.claims import check_claims as check_claims
    from podlab.identify.identifier import Identifier as Identifier
    from podlab.identify.label import choose_to_label as choose_to_label
    from podlab.identify.storage import register_classifier as register_classifier
    from podlab.identify.workload import identify_workloads as identify_workloads
    from podlab.inventory import take_inventory as take_inventory
    from podlab.model.bundle import load as load_model  # noqa: F401
    from podlab.model.bundle import save as save_model  # noqa: F401
    from podlab.progress import show_progress as show_progress

__version__ = "0.1.0"

#: Module of each name, and what it is called there if that is something else.
_PLACES = {
    "read_samples": "podlab.data.recordings:read_recording",
    "make_windows": "podlab.features.windows",
    "extract_features": "podlab.features.features",
    "feature": "podlab.features.features",
    "Identifier": "podlab.identify.identifier",
    "choose_to_label": "podlab.identify.label",
    "identify_workloads": "podlab.identify.workload",
    "check_claims": "podlab.identify.claims",
    "take_inventory": "podlab.inventory",
    "register_classifier": "podlab.identify.storage",
    "cross_validate": "podlab.evaluation.cross_validation",
    "score": "podlab.evaluation.metrics",
    "DetectorLibrary": "podlab.detect.library",
    "fit_library": "podlab.detect.library",
    "register_detector": "podlab.detect.components",
    "load_model": "podlab.model.bundle:load",
    "save_model": "podlab.model.bundle:save",
    "show_progress": "podlab.progress",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'podlab' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
