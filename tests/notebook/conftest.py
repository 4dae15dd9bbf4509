"""All notebooks run once, small, on a synthetic recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from podlab.config import load_settings
from podlab.data.recordings import write_recording
from podlab.notebook.chain import Chain, train_all
from tests.support.synthetic import make_samples

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
#: Small enough to be quick; each notebook takes those that it has.
SMALL = {
    "horizons": "5s,10s",
    "horizon": "10s",
    "folds": "2",
    "controls": "true",
    "most_deployments": "1",
    "learning_curve_samples": "4",
    "row_iterations": "1",
    "trees": "5",
    "shuffles": "2",
    "permutations": "50",
    "groups": "2",
    "look_every": "5s",
    "bake_off_horizons": "10s",
    "interval": "1s",
    "long": "14s",
    "machines": "1",
    "seldom": "3s",
    "most_rows": "600",
    "most_containers": "40",
}


@dataclass(frozen=True)
class Whole:
    """A run of all notebooks."""

    chain: Chain
    folder: Path
    steps: list[str]

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.folder / "reports"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Run the chain of notebooks."""
    folder = tmp_path_factory.mktemp("whole")
    write_recording(make_samples(deployments_per_service=4, seconds=15), folder / "small.parquet")
    steps: list[str] = []
    chain = train_all(
        notebooks_dir=NOTEBOOKS,
        reports_dir=folder / "reports",
        settings=load_settings(seed=3),
        quick=True,
        parameters={
            **SMALL,
            "recordings": str(folder / "small.parquet"),
            "samples": str(folder / "samples.parquet"),
            "model_path": str(folder / "model"),
        },
        progress=lambda done, total, what="": steps.append(what),
    )
    return Whole(chain, folder, steps)
