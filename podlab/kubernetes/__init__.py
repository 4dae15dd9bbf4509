"""The Kubernetes cluster: how to reach its API, and what runs in it."""
