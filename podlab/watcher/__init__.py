"""The watcher: sees each new container of a cluster, waits for its metrics, identifies it, and announces the result."""
