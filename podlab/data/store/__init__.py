"""Data sets: samples tables in folders of Parquet files by cluster and day, which many may add to at once."""

from podlab.data.store.append import append
from podlab.data.store.dataset import Dataset, open_dataset, sources_of
from podlab.data.store.store import is_dataset_path
from podlab.data.store.tidy import tidy

__all__ = ["Dataset", "append", "is_dataset_path", "open_dataset", "sources_of", "tidy"]
