"""The lab: real services under real load in real containers, and the recorder of their samples."""
