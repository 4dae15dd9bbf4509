"""The one table of samples: its columns, labels, files and stores."""
