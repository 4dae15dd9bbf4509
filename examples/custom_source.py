"""A source of one's own: CSV files that another agent drops into a folder, one row per container and instant.

Any package offers it to podlab by an entry point, here in its pyproject.toml; then `podlab collect --source folder`,
the setting metrics_source, the notebooks and the watcher take it as one of podlab's own:

    [project.entry-points."podlab.sources"]
    folder = "custom_source:FolderSource"
"""

import os
from pathlib import Path

import pandas as pd

from podlab.data.samples import check_samples
from podlab.sources.protocol import NothingThereError


class FolderSource:
    has_past = True  # it knows what was before it was made

    def __init__(self, settings, *, timeout_s, columns):
        self.folder, self.cluster = Path(os.environ["METRICS_FOLDER"]), settings.cluster
        self.name = f"folder {self.folder}"

    def fetch(self, since, until, *, pods=None):
        rows = pd.concat(pd.read_csv(file, parse_dates=["time"]) for file in sorted(self.folder.glob("*.csv")))
        rows = rows[rows["time"].between(since, until, inclusive="left")]
        if pods is not None:
            rows = rows[rows["pod"].isin(pods)]
        if rows.empty:
            raise NothingThereError(f"no rows from {since} to {until}", where=self.name)
        return check_samples(rows.assign(cluster=self.cluster), where=self.name)

    def close(self): ...
