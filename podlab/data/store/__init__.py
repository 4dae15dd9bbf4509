"""Data sets: samples tables in folders of Parquet files by cluster and day, which many may add to at once."""

from podlab.data.store.dataset import Dataset, append, open_dataset, sources_of, vacuum
from podlab.data.store.files import is_dataset_path

__all__ = ["Dataset", "append", "is_dataset_path", "open_dataset", "sources_of", "vacuum"]
