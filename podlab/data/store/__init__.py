"""Data sets: samples tables in folders of Parquet files by cluster and day, which many may add to at once."""

from podlab.data.store.dataset import Dataset, open_dataset, sources_of
from podlab.data.store.files import is_dataset_path
from podlab.data.store.writing import append, vacuum

__all__ = ["Dataset", "append", "is_dataset_path", "open_dataset", "sources_of", "vacuum"]
