"""Where samples come from: one module per source, all with the protocol of :mod:`podlab.sources.protocol`."""
