"""The one table of samples: its columns, labels, files and stores."""

from typing import Final

#: Rows of a data set that models are trained on at most, unless the caller asks for more.
MOST_TRAINING_ROWS: Final = 1_000_000
