"""The explorer as a notebook runs cell by cell, and its widgets do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat

from podlab.data.labels import read_label_table
from podlab.data.recordings import write_recording
from podlab.detect import fit_library
from podlab.identify import fit
from podlab.model import bundle
from tests.support.synthetic import make_samples

ROOT = Path(__file__).parents[2]
#: Run behind the notebook's own cells.
USED = """
import contextlib, io
before = container.value
search.value = "redis"
assert [truth[name] for _, name in container.options if name != before] and container.value == before
assert all("redis" in title or name == before for title, name in container.options)
container.value = next(name for _, name in container.options if truth[name] == "redis")
metrics.value = available[:2]
horizon.value = seconds[0]
# What widgets show is with the front end, and an error in it would not be seen here.
with contextlib.redirect_stdout(io.StringIO()) as printed:
    show(container.value, metrics.value, horizon.value)
assert "of the evidence speaks for redis" in printed.getvalue()
first.value, second.value = "nginx", "redis"
show_both(first.value, second.value, metric.value)
save.click()
assert said.value == "Nothing is entered yet." and not Path(labels).exists()
entries[1].value = " redis "
save.click()
assert said.value.endswith("1 labels written")
"""


def test_it_runs_by_nbval_and_its_widgets_work(tmp_path: Path) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=4, seconds=30)
    write_recording(samples, tmp_path / "samples.parquet")
    identifier = fit(samples, horizons_s=(10.0,), jobs=1)
    bundle.save(
        identifier, tmp_path / "model", name="model", recordings=[tmp_path / "samples.parquet"],
        scores=identifier.scores, library=fit_library(samples),
    )  # fmt: skip
    given = {
        "samples": tmp_path / "samples.parquet", "model_path": tmp_path / "model", "labels": tmp_path / "labels.csv",
        "reports": tmp_path / "reports",
    }  # fmt: skip
    notebook = nbformat.read(ROOT / "notebooks" / "11_explore.ipynb", as_version=4)
    notebook.cells[1].source += "".join(f"\n{name} = {str(value)!r}" for name, value in given.items())
    notebook.cells.append(nbformat.v4.new_code_cell(USED))
    nbformat.write(notebook, tmp_path / "copy.ipynb")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbval-lax",
        "--nbval-cell-timeout=600",
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "copy.ipynb")], cwd=ROOT, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stdout[-3000:]
    [label] = read_label_table(tmp_path / "labels.csv").to_dict("records")
    assert label["service"] == "redis"
    assert label["pod"] in set(samples["pod"])
