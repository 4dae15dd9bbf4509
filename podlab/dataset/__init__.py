"""Data sets: samples tables in folders of Parquet files by cluster and day, which many may add to at once."""

from podlab.dataset.append import append
from podlab.dataset.dataset import Dataset, open_dataset, sources_of
from podlab.dataset.store import is_dataset_path
from podlab.dataset.tidy import tidy

__all__ = ["Dataset", "append", "is_dataset_path", "open_dataset", "sources_of", "tidy"]
