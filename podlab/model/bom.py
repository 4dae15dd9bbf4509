"""A model's card as a bill of materials: CycloneDX 1.6 with a model card, an ML-BOM (https://cyclonedx.org/capabilities/mlbom)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import podlab
from podlab.model.manifest import BundleInfo

SPECIFICATION: Final = "1.6"


def make_bom(
    component: Mapping[str, object], components: list[dict[str, object]], *, made_at: str, digest: str
) -> dict[str, object]:
    """Make a CycloneDX document; the same for the same content.

    Parameters
    ----------
    component : mapping
        What it is about.
    components : list of dict
        What that consists of.
    made_at : str
        ISO 8601.
    digest : str
        Of the content, which the document's serial number follows from.
    """
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, digest).urn,
        "version": 1,
        "metadata": {
            "timestamp": made_at,
            "tools": {"components": [{"type": "application", "name": "podlab", "version": podlab.__version__}]},
            "component": dict(component),
        },
        "components": components,
    }


def describe_model(info: BundleInfo) -> dict[str, object]:
    """Describe a bundle: what it was trained on and with, how well it works, and what it consists of.

    Parameters
    ----------
    info : BundleInfo
        From :func:`podlab.model.bundle.verify`.
    """
    manifest = info.manifest
    recordings = [*manifest["recordings"], *((manifest.get("base") or {}).get("recordings") or ())]
    data = [
        {
            "type": "data", "bom-ref": f"data:{each['sha256']}", "name": each["name"],
            "hashes": [{"alg": "SHA-256", "content": each["sha256"]}],
            "data": [{"type": "dataset", "name": each["name"]}],
        }
        for each in {each["sha256"]: each for each in recordings}.values()
    ]  # fmt: skip
    files = [
        {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": each["sha256"]}],
        }
        for name, each in manifest["files"].items()
    ]
    libraries = [
        {"type": "library", "bom-ref": f"library:{name}", "name": name, "version": version}
        for name, version in {"podlab": manifest["podlab"], **manifest["libraries"]}.items()
    ]
    card = {
        "modelParameters": {
            "task": "classification",
            "architectureFamily": "ensemble of tree-based classifiers by observation window",
            "datasets": [{"ref": each["bom-ref"]} for each in data],
            "inputs": [{"format": column} for column in manifest["columns"]],
            "outputs": [{"format": f"probability of {service}"} for service in manifest["services"]],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_scores(manifest["scores"]))},
        "considerations": {
            "useCases": ["Identify the service of a container from its monitoring metrics"],
            "technicalLimitations": [
                "Knows only these services, in configurations and on machines like those of its recordings; containers "
                "that differ from all of them are reported as unknown, similar ones may not be."
            ],
        },
    }
    model = {
        "type": "machine-learning-model", "bom-ref": f"model:{info.digest}", "name": info.name,
        "version": info.digest[:12], "hashes": [{"alg": "SHA-256", "content": info.digest}], "modelCard": card,
    }  # fmt: skip
    components: list[dict[str, object]] = [*data, *libraries, *files]
    return make_bom(model, components, made_at=info.created, digest=info.digest)


def _scores(scores: Mapping[str, Any], path: str = "") -> Any:
    """Give every number among nested scores, with its place as the type."""
    for name, value in scores.items():
        where = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _scores(value, where)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield {"type": where, "value": str(value)}
